"""What outlives the process: keyed commands, what they published, and where temporaries may lie.

Everything is in ``python/`` below the state directory, so that it never mixes with the records of
another backend: ``state.sqlite`` and one lock file per session and per key. A lock is held for as
long as its owner lives, so a dead owner is told without trusting clocks or process ids.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import threading
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Type,
)

from .faults import Fault

if TYPE_CHECKING:
    import sqlite3

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    name TEXT PRIMARY KEY, op TEXT NOT NULL, key TEXT, roots TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS keys (
    key TEXT PRIMARY KEY, op TEXT NOT NULL, command TEXT NOT NULL, job TEXT NOT NULL,
    result TEXT);
CREATE TABLE IF NOT EXISTS roots (
    key TEXT NOT NULL, side TEXT NOT NULL, identity TEXT NOT NULL,
    PRIMARY KEY (key, side)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS receipts (
    key TEXT NOT NULL, path BLOB NOT NULL, mark TEXT NOT NULL, source TEXT NOT NULL,
    facts TEXT NOT NULL, PRIMARY KEY (key, path)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uploads (
    job TEXT NOT NULL, location TEXT NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL,
    PRIMARY KEY (job, key, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS upload_facts (
    job TEXT NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL, mark TEXT NOT NULL,
    facts TEXT NOT NULL, PRIMARY KEY (job, key, name)) WITHOUT ROWID;
"""


class Content(NamedTuple):
    """What is known of an item's content: plain bytes, digests, those of its ranges.

    ``stored`` is its length at the destination where it was packed or unpacked on its way.
    """

    size: int
    digests: Dict[str, str]
    ranges: List[str]
    stored: Optional[int] = None


class Published(NamedTuple):
    """One item that a keyed command published, or was about to.

    ``mark`` tells that very file, ``source`` the state that was read.
    """

    path: bytes
    mark: str
    source: str
    content: Content


class Root(NamedTuple):
    """A directory with temporary files in it, or with ``deep`` also anywhere below it."""

    path: bytes
    deep: bool


class Begun(NamedTuple):
    """An upload in parts that a job began: where, as its command says it, and its name there.

    ``mark`` is that of the object it becomes, ``facts`` stands for all else that was settled when
    it began; both are empty where nobody goes on with it.
    """

    location: Any
    key: str
    name: str
    mark: str = ""
    facts: str = ""


class JobRecord(NamedTuple):
    """A job whose temporary files may still lie in ``roots``."""

    name: str
    op: str
    key: Optional[str]
    roots: List[Root]


def default_directory() -> str:
    """``MIGRATION_ENGINE_STATE_DIR``, or the XDG state directory."""
    given = os.environ.get("MIGRATION_ENGINE_STATE_DIR")
    if given:
        return given
    base = os.environ.get("XDG_STATE_HOME") or os.path.join(
        os.path.expanduser("~"), ".local", "state"
    )
    return os.path.join(base, "migration-engine")


class FileLock:
    """An advisory lock on a file, held until :meth:`release` or the death of the process."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    def take(cls, path: str) -> Optional["FileLock"]:
        """The lock, or ``None`` where somebody holds it."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        return cls(fd)

    @classmethod
    def wait(cls, path: str) -> "FileLock":
        """The lock, once whoever holds it gave it back."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        return cls(fd)

    def release(self) -> None:
        """Gives the lock back."""
        os.close(self._fd)

    def __enter__(self) -> "FileLock":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.release()


class State:
    """The state directory of this backend."""

    def __init__(self, directory: str) -> None:
        self._directory = os.path.join(directory, "python")
        self._lock = threading.RLock()
        self._base: Optional["sqlite3.Connection"] = None
        self._session: Optional[Tuple[str, FileLock]] = None

    def begin(self, job8: str) -> bool:
        """Claims the name of this session; false where another one has or had it.

        Raises ``STATE_DIR`` where the directory cannot be used.
        """
        with _usable():
            os.makedirs(os.path.join(self._directory, "sessions"), mode=0o700, exist_ok=True)
            path = self._session_path(job8)
            if os.path.exists(path):
                return False
            lock = FileLock.take(path)
        if lock is None:
            return False
        self._session = (job8, lock)
        return True

    def end(self) -> None:
        """Leaves the state directory; a session that owes nothing leaves no trace."""
        with self._lock:
            owes = self._base is not None and self._owes()
            if self._base is not None:
                self._base.close()
                self._base = None
        if self._session is not None:
            job8, lock = self._session
            if not owes:
                with contextlib.suppress(OSError):
                    os.unlink(self._session_path(job8))
            lock.release()
            self._session = None

    def _owes(self) -> bool:
        if self._session is None:
            return False
        with contextlib.suppress(Fault):
            mine = self._session[0] + "%"
            return bool(self._rows("SELECT 1 FROM jobs WHERE name LIKE ? LIMIT 1", (mine,)))
        return True

    def _session_path(self, job8: str) -> str:
        return os.path.join(self._directory, "sessions", job8 + ".lock")

    def alive(self, job8: str) -> bool:
        """Whether the session whose jobs begin with ``job8`` still runs."""
        if self._session is not None and self._session[0] == job8:
            return True
        path = self._session_path(job8)
        if not os.path.exists(path):
            return False
        with _usable():
            lock = FileLock.take(path)
        if lock is None:
            return True
        lock.release()
        return False

    def native_alive(self, job8: str) -> bool:
        """Whether the binary runs a job whose name begins with ``job8`` on the same state."""
        attempts = os.path.join(os.path.dirname(self._directory), "attempts")
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(attempts):
                if name.startswith(job8) and self._is_held(os.path.join(attempts, name)):
                    return True
        return False

    def _is_held(self, path: str) -> bool:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def report_path(self, job: str) -> str:
        """Where the list of all failures of ``job`` goes."""
        with _usable():
            directory = os.path.join(self._directory, "reports")
            os.makedirs(directory, mode=0o700, exist_ok=True)
        return os.path.join(directory, job + ".jsonl")

    # Jobs and where they write.

    def note_job(self, record: JobRecord) -> None:
        """Remembers where ``record`` may leave temporary files, before it makes any."""
        roots = json.dumps(
            [[base64.b64encode(root.path).decode("ascii"), root.deep] for root in record.roots]
        )
        row = (record.name, record.op, record.key, roots)
        self._write("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?)", [row])

    def drop_job(self, name: str) -> None:
        """Forgets a job that left nothing behind."""
        self._write("DELETE FROM jobs WHERE name = ?", [(name,)])

    def jobs(self, name: Optional[str] = None, key: Optional[str] = None) -> List[JobRecord]:
        """The jobs on record, oldest first: all, the one of this name, or those of this key."""
        where, values = "", ()  # type: Tuple[str, Tuple[str, ...]]
        if name is not None:
            where, values = " WHERE name = ?", (name,)
        elif key is not None:
            where, values = " WHERE key = ?", (key,)
        rows = self._rows("SELECT name, op, key, roots FROM jobs%s ORDER BY rowid" % where, values)
        return [JobRecord(row[0], row[1], row[2], _roots(row[3])) for row in rows]

    # Uploads in parts, which a store keeps until they are given up.

    def note_upload(self, job: str, begun: Begun) -> None:
        """Remembers an upload."""
        location = json.dumps(begun.location, sort_keys=True)
        row = (job, location, begun.key, begun.name)
        if begun.facts:
            # Written first: without it, the upload is one to be given up.
            facts = (job, begun.key, begun.name, begun.mark, begun.facts)
            self._write("INSERT OR REPLACE INTO upload_facts VALUES (?, ?, ?, ?, ?)", [facts])
        self._write("INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?)", [row])

    def drop_upload(self, job: str, begun: Begun) -> None:
        """Forgets an upload that ended."""
        for table in ("uploads", "upload_facts"):
            sql = "DELETE FROM %s WHERE job = ? AND key = ? AND name = ?" % table
            self._write(sql, [(job, begun.key, begun.name)])

    def uploads(self, job: str) -> List[Begun]:
        """The uploads of a job that did not end."""
        rows = self._rows(
            "SELECT location, key, name, coalesce(mark, ''), coalesce(facts, '') FROM uploads"
            " LEFT JOIN upload_facts USING (job, key, name) WHERE job = ?",
            (job,),
        )
        return [Begun(json.loads(row[0]), *row[1:]) for row in rows]

    def uploads_of(self, key: str) -> List[Tuple[str, str]]:
        """The uploads of an object's key that are on record: their jobs and their names."""
        rows = self._rows("SELECT job, name FROM uploads WHERE key = ?", (key,))
        return [(row[0], row[1]) for row in rows]

    # Keys.

    def lock_key(self, key: str) -> FileLock:
        """Holds ``key``; ``LOCKED`` where somebody does already."""
        name = hashlib.sha256(key.encode("utf-8")).hexdigest()[:32]
        with _usable():
            directory = os.path.join(self._directory, "keys")
            os.makedirs(directory, mode=0o700, exist_ok=True)
            lock = FileLock.take(os.path.join(directory, name + ".lock"))
        if lock is None:
            raise Fault("LOCKED", "the key is in use by a running command", detail={"key": key})
        return lock

    def command_of(self, key: str) -> Optional[Tuple[str, str, Optional[str]]]:
        """The op, the command (canonical JSON) and the stored result of ``key``."""
        rows = self._rows("SELECT op, command, result FROM keys WHERE key = ?", (key,))
        return (rows[0][0], rows[0][1], rows[0][2]) if rows else None

    def key_of_job(self, job: str) -> Optional[str]:
        """The key under which ``job`` ran."""
        rows = self._rows("SELECT key FROM keys WHERE job = ?", (job,))
        if not rows:
            rows = self._rows("SELECT key FROM jobs WHERE name = ? AND key NOT NULL", (job,))
        return str(rows[0][0]) if rows else None

    def store_command(self, key: str, op: str, command: str, job: str) -> None:
        """Remembers what ``key`` stands for, before it runs."""
        sql = "INSERT INTO keys VALUES (?, ?, ?, ?, NULL) ON CONFLICT(key) DO UPDATE SET job = ?"
        self._write(sql, [(key, op, command, job, job)], durable=True)

    def store_result(self, key: str, result: Dict[str, Any]) -> None:
        """Remembers the result of a command that ended with ``ok``; its items go."""
        text = json.dumps(result, ensure_ascii=False)
        self._write("DELETE FROM receipts WHERE key = ?", [(key,)])
        self._write("UPDATE keys SET result = ? WHERE key = ?", [(text, key)], durable=True)

    def forget(self, key: str) -> None:
        """Drops all that is known about ``key``."""
        for table in ("receipts", "roots"):
            self._write("DELETE FROM %s WHERE key = ?" % table, [(key,)])
        self._write("DELETE FROM keys WHERE key = ?", [(key,)], durable=True)

    # What keyed commands published.

    def note_published(self, key: str, items: Sequence[Published], durable: bool) -> None:
        """Remembers ``items`` before their names appear, so that a resumed job knows its own."""
        rows = [
            (key, item.path, item.mark, item.source, json.dumps(item.content)) for item in items
        ]
        self._write("INSERT OR REPLACE INTO receipts VALUES (?, ?, ?, ?, ?)", rows, durable)

    def published(self, key: str, path: bytes) -> Optional[Published]:
        """What is on record about ``path``."""
        sql = "SELECT mark, source, facts FROM receipts WHERE key = ? AND path = ?"
        rows = self._rows(sql, (key, path))
        if not rows:
            return None
        mark, source, facts = rows[0]
        return Published(path, mark, source, Content(*json.loads(facts)))

    # What a keyed command was first run on.

    def first_root(self, key: str, side: str, identity: str) -> str:
        """What ``side`` was when the key first met it: ``identity``, if that is now."""
        self._write(
            "INSERT OR IGNORE INTO roots VALUES (?, ?, ?)", [(key, side, identity)], durable=True
        )
        found = self._rows("SELECT identity FROM roots WHERE key = ? AND side = ?", (key, side))
        return str(found[0][0])

    # What a keyed command ended with, noted before all that it needed to go on is gone.

    def settle(self, key: str, answer: str) -> None:
        """Remembers the answer of a command whose work is done."""
        sql = "INSERT OR REPLACE INTO roots VALUES (?, 'settled', ?)"
        self._write(sql, [(key, answer)], durable=True)

    def settled(self, key: str) -> Optional[str]:
        """The answer that an earlier attempt noted."""
        rows = self._rows("SELECT identity FROM roots WHERE key = ? AND side = 'settled'", (key,))
        return str(rows[0][0]) if rows else None

    # The base.

    def _write(self, sql: str, rows: Sequence[Tuple[Any, ...]], durable: bool = False) -> None:
        with self._lock, _sound():
            base = self._open()
            # FULL syncs the log at commit; NORMAL survives the process, not the machine.
            base.execute("PRAGMA synchronous = %s" % ("FULL" if durable else "NORMAL"))
            with base:
                base.executemany(sql, rows)

    def _rows(self, sql: str, values: Tuple[Any, ...]) -> List[Tuple[Any, ...]]:
        with self._lock, _sound():
            return self._open().execute(sql, values).fetchall()

    def _open(self) -> "sqlite3.Connection":
        if self._base is None:
            import sqlite3

            with _usable():
                os.makedirs(self._directory, mode=0o700, exist_ok=True)
                lock = FileLock.wait(os.path.join(self._directory, "open.lock"))
            path = os.path.join(self._directory, "state.sqlite")
            base = sqlite3.connect(path, timeout=30.0, check_same_thread=False)
            try:
                # The change to WAL is refused while another session makes it, whatever the timeout.
                with lock:
                    base.execute("PRAGMA journal_mode = WAL")
                    base.executescript(_SCHEMA)
            except BaseException:
                base.close()
                raise
            self._base = base
        return self._base


@contextlib.contextmanager
def _usable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Fault("STATE_DIR", "failed to use the state directory", cause=error) from error


@contextlib.contextmanager
def _sound() -> Iterator[None]:
    try:
        import sqlite3
    except ImportError:
        raise Fault("STATE_DIR", "this Python has no sqlite3 for the state directory") from None
    try:
        yield
    except sqlite3.OperationalError as error:
        raise Fault("STATE_DIR", "failed to use the state directory: %s" % error) from error
    except sqlite3.DatabaseError as error:
        raise Fault("JOURNAL_CORRUPT", "the records are damaged: %s" % error) from error


def _roots(text: str) -> List[Root]:
    return [Root(base64.b64decode(path), bool(deep)) for path, deep in json.loads(text)]
