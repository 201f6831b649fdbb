"""Opening a database file: what every session says first, and the library's words as faults."""

from __future__ import annotations

import contextlib
import copy
import os
import time
import urllib.parse
import weakref
from typing import TYPE_CHECKING, Any, Callable, Iterator, Optional, Sequence, Tuple, TypeVar

from ..faults import Fault
from ..job import Cancelled, Job
from ..location import Location
from . import values
from .choices import LOCK_S

if TYPE_CHECKING:
    import sqlite3

T = TypeVar("T")

_STEPS_BETWEEN_LOOKS = 100_000
_PARTING_S = 20.0
_WAIT_S = 0.05
_CACHE_KIB = 8 << 10
# pragma_table_list, which tells tables from what only looks like one.
_OLDEST = (3, 37, 0)

_CANNOT_OPEN = (
    "the file must exist; of a database in WAL mode also its -shm, or its directory must be "
    "writable"
)
_SAYINGS: Tuple[Tuple[str, str, str, Optional[str]], ...] = (
    ("unable to open database", "DATABASE_NOT_FOUND", "DATABASE_NOT_FOUND", _CANNOT_OPEN),
    (
        "not a database",
        "DATABASE_NOT_FOUND",
        "DATABASE_NOT_FOUND",
        "the file is no SQLite database, or it is encrypted",
    ),
    ("is locked", "LOCKED", "LOCKED", None),
    ("access permission denied", "DATABASE_PERMISSION", "DATABASE_PERMISSION", None),
    ("authoriz", "DATABASE_PERMISSION", "DATABASE_PERMISSION", None),
    (
        "readonly database",
        "DATABASE_REFUSED",
        "DST_READ_ONLY",
        "its last writer was killed: open it once with its own program",
    ),
    ("disk I/O error", "SRC_READ", "DST_WRITE", None),
    ("malformed", "SRC_READ", "DST_WRITE", None),
    ("disk is full", "DATABASE_REFUSED", "DST_NO_SPACE", None),
    ("too big", "ROW_TOO_LARGE", "ROW_TOO_LARGE", None),
    ("mismatch", "ROW_REFUSED", "ROW_REFUSED", None),
    ("constraint", "ROW_REFUSED", "ROW_REFUSED", None),
)
"""What the library says, the codes for it on either side, and a hint for the source's."""


@contextlib.contextmanager
def at_field(field: str) -> Iterator[None]:
    """Has a fault within it name this field."""
    try:
        yield
    except Fault as fault:
        fault.field = fault.field or field
        raise


class Refused(OSError):
    """The library's own words, as the cause of a fault."""


class Place:
    """A database file, on one side of a command."""

    def __init__(self, job: Job, location: Location, writes: bool) -> None:
        if not location.path or location.path.endswith(b"/"):
            raise Fault("INVALID_FIELD", "a sqlite location names a file: sqlite://relative/path")
        if b"?" in location.path:
            raise Fault("INVALID_FIELD", "sqlite locations take no parameters")
        if location.auth:
            raise Fault("INVALID_FIELD", "sqlite locations take no auth")
        self.job: Optional[Job] = job
        self.path = os.path.abspath(location.path)
        self.writes = writes

    def reading(self) -> "Place":
        """The same file as a source."""
        other = copy.copy(self)
        other.writes = False
        return other

    def parting(self) -> "Place":
        """The same file for what is done last, also where the job was cancelled; not for long."""
        other = copy.copy(self)
        other.job = None
        return other

    @property
    def cancelled(self) -> bool:
        """Whether its sessions are to end."""
        return self.job is not None and self.job.cancelled

    @property
    def patience_s(self) -> float:
        """Seconds to wait for locks of others."""
        if self.job is None:
            return _PARTING_S
        return float(self.job.params.get("lock_timeout_s") or LOCK_S)

    def wait(self) -> None:
        """Waits a little for others; :class:`Cancelled` with the job."""
        if self.job is None:
            time.sleep(_WAIT_S)
        else:
            self.job.sleep(_WAIT_S)

    @property
    def exists(self) -> bool:
        """Whether there is a file."""
        return os.path.lexists(self.path)

    def is_same(self, other: "Place") -> bool:
        """Whether both are one file."""
        try:
            return os.path.samefile(self.path, other.path)
        except OSError:
            return False

    def open(self, makes: bool = False) -> "Session":
        """A session; one that reads a file that is still to be made sees an empty database.

        ``makes``: the file is made where it is not there.
        """
        import sqlite3

        if sqlite3.sqlite_version_info < _OLDEST:
            message = "this Python's SQLite %s is older than 3.37" % sqlite3.sqlite_version
            raise Fault("DATABASE_VERSION", message, hint="install the binary, which has its own")
        name = "file:%s?mode=ro" % urllib.parse.quote(self.path)
        if self.writes:
            name = name[:-2] + ("rwc" if makes else "rw")
        with self.told("open the database"):
            if self.writes and not makes and not self.exists:
                base = sqlite3.connect(":memory:", **_HOW)
            else:
                base = sqlite3.connect(name, uri=True, **_HOW)
            try:
                return Session(self, base)
            except BaseException:
                base.close()
                raise

    @contextlib.contextmanager
    def told(self, doing: str, table: Optional[str] = None) -> Iterator[None]:
        """The library's errors within it as faults; ``doing`` completes "failed to"."""
        import sqlite3

        try:
            yield
        except sqlite3.Error as error:
            fault = self._fault("failed to " + doing, error)
            raise (fault.at(table.encode("utf-8")) if table else fault) from error

    def _fault(self, message: str, error: "sqlite3.Error") -> Fault:
        if self.cancelled:
            raise Cancelled from error
        return self.fault(message, error)

    def fault(self, message: str, error: "sqlite3.Error") -> Fault:
        """The fault for an error of the library's."""
        code, hint = self._code(str(error))
        return Fault(code, message, hint=hint, cause=Refused(str(error)))

    def _code(self, words: str) -> Tuple[str, Optional[str]]:
        for part, source, sink, hint in _SAYINGS:
            if part in words:
                kept = hint if not self.writes or source == sink else None
                return (sink if self.writes else source), kept
        return "DATABASE_REFUSED", None


# Transactions are begun by hand, and locks waited for where a cancel is heard.
_HOW: Any = {"timeout": 0.0, "isolation_level": None, "check_same_thread": False}


class Session:
    """A session of a file. Statements wait for locks of others, and end with the job."""

    def __init__(self, place: Place, base: "sqlite3.Connection") -> None:
        self.place = place
        self._base = base
        # An answer that is not read to its end would keep its lock behind the session's.
        self._open: "weakref.WeakSet[sqlite3.Cursor]" = weakref.WeakSet()
        base.text_factory = values.text_of
        base.set_progress_handler(lambda: place.cancelled, _STEPS_BETWEEN_LOOKS)
        self._harden()
        for pragma in (
            "trusted_schema = OFF",
            "cell_size_check = ON",
            "mmap_size = 0",
            "cache_size = -%d" % _CACHE_KIB,
            # Rows come in any order; what points nowhere is looked for at the end. Of tables that
            # stood before, whoever writes them has it looked at.
            "foreign_keys = OFF",
            "synchronous = FULL" if place.writes else "query_only = ON",
        ):
            base.execute("PRAGMA " + pragma)
        self.rows("SELECT count(*) FROM sqlite_schema")

    def _harden(self) -> None:
        """Text in double quotes is a name and nothing else, where this Python can say so."""
        import sqlite3

        if hasattr(self._base, "setconfig"):
            for name, on in (("DQS_DML", False), ("DQS_DDL", False), ("DEFENSIVE", True)):
                setting = getattr(sqlite3, "SQLITE_DBCONFIG_" + name, None)
                if setting is not None:
                    self._base.setconfig(setting, on)

    def bound_length(self, most: int) -> None:
        """Has the library make no value longer than this, where this Python can say so."""
        import sqlite3

        if hasattr(self._base, "setlimit"):
            self._base.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, most)

    def run(self, sql: str, bound: Sequence[Any] = ()) -> int:
        """Runs one statement; how many rows it changed."""
        return self._patiently(lambda: self._base.execute(sql, bound).rowcount)

    def rows(self, sql: str, bound: Sequence[Any] = ()) -> Sequence[Tuple[Any, ...]]:
        """All rows of an answer that is known to be short."""
        return self._patiently(lambda: self._base.execute(sql, bound).fetchall())

    def each(self, sql: str, bound: Sequence[Any] = ()) -> "sqlite3.Cursor":
        """Rows of an answer, one after the other."""
        cursor = self._patiently(lambda: self._base.execute(sql, bound))
        self._open.add(cursor)
        return cursor

    def many(self, sql: str, bound: Sequence[Sequence[Any]]) -> int:
        """Runs one statement for each of ``bound``, within a transaction that is open.

        Returns how many rows they changed.
        """
        return self._base.executemany(sql, bound).rowcount

    def _patiently(self, call: Callable[[], T]) -> T:
        import sqlite3

        end = time.monotonic() + self.place.patience_s
        while True:
            try:
                return call()
            except sqlite3.OperationalError as error:
                if "is locked" not in str(error) or time.monotonic() >= end:
                    raise
                self.place.wait()

    @contextlib.contextmanager
    def transaction(self, doing: str) -> Iterator[None]:
        """A transaction that locks the file at its beginning and is committed at its end."""
        with self.place.told(doing):
            self.run("BEGIN IMMEDIATE")
            try:
                yield
                self.run("COMMIT")
            except BaseException:
                self.give_up()
                raise

    def give_up(self) -> None:
        """Ends a transaction without a trace; one that the library ended is gone already."""
        import sqlite3

        with contextlib.suppress(sqlite3.Error):
            self._base.execute("ROLLBACK")

    def close(self) -> None:
        """Ends the session, and what was begun in it."""
        for cursor in list(self._open):
            cursor.close()
        self._base.close()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
