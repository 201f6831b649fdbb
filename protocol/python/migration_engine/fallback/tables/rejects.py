"""Rows that were not written, as JSON Lines: durable before the ledger passes them."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
from typing import Any, BinaryIO, Callable, Dict, Iterator, Optional, Sequence, Set, Tuple

from ..faults import Fault, destination_fault, printable
from .span import Reject


class Rejects:
    """The file of a job's rejected rows, made with the first one."""

    def __init__(self, path: bytes, job: str, limit: int) -> None:
        self._path = path
        self._job = job
        self._limit = limit
        self._rows = 0
        self._spans: Set[Tuple[str, int]] = set()

    @property
    def path(self) -> Optional[bytes]:
        """Where they are; ``None`` while there is none."""
        return self._path if self._rows else None

    def add(self, table: str, span: int, key: Sequence[str], rows: Sequence[Reject]) -> None:
        """Adds a span's rejected rows; they are on the device when this returns."""
        if not rows or (table, span) in self._spans:
            return
        if self._rows + len(rows) > self._limit:
            raise self._too_many(table, key, rows[0])
        lines = "".join(_line(self._job, table, span, key, row) + "\n" for row in rows)
        with self._told():
            _append(self._path, lines.encode("utf-8"))
        self._rows += len(rows)
        self._spans.add((table, span))

    def resume(self, rows: int, standing: Set[Tuple[str, int]]) -> None:
        """Goes on after an earlier attempt, whose spans that stand rejected ``rows``.

        Lines of its other spans go: those are copied anew, or were never committed.
        """
        self._rows = rows
        with self._told():
            _without(self._path, lambda line: self._stays(line, standing))

    def _stays(self, line: bytes, standing: Set[Tuple[str, int]]) -> bool:
        try:
            told = json.loads(line)
            return told["job"] != self._job or (told["table"], told["span"]) in standing
        except (ValueError, KeyError, TypeError):
            # The end of a line that its writer did not live to write.
            return line.endswith(b"\n")

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            fault = destination_fault(error, "write the file of rejected rows", self._path)
            fault.code = "DST_WRITE"
            raise fault from error

    def _too_many(self, table: str, key: Sequence[str], first: Reject) -> Fault:
        which = _shown_key(key, first)
        hint = first.error.hint
        if self._limit:
            message = "more than %d rows were rejected; one more is %s" % (self._limit, which)
        else:
            cause = ": %s" % first.error.cause if first.error.cause else ""
            message = "%s%s in the row %s" % (first.error.message, cause, which)
            hint = hint or 'mend the row, or allow rejects with "rejects":{"limit":N}'
        return Fault(
            "REJECT_LIMIT" if self._limit else first.error.code,
            message,
            path=table.encode("utf-8"),
            field=first.column or None,
            hint=hint,
        )


def _held(path: bytes) -> "BinaryIO":
    """The file, made where it is not there and held against others that add to it."""
    while True:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        file = os.fdopen(os.open(path, flags, 0o600), "r+b", buffering=0)
        try:
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                held, named = os.fstat(file.fileno()), os.stat(path)
                if (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino):
                    return file
        except BaseException:
            file.close()
            raise
        file.close()


def _append(path: bytes, lines: bytes) -> None:
    """Adds lines to a file; they are on the device when this returns."""
    with _held(path) as file:
        length = os.fstat(file.fileno()).st_size
        if length and os.pread(file.fileno(), 1, length - 1) != b"\n":
            lines = b"\n" + lines
        rest = memoryview(lines)
        while rest:
            rest = rest[os.write(file.fileno(), rest) :]
        os.fdatasync(file.fileno())
        if not length:
            _sync_directory(path)


def _without(path: bytes, stays: Callable[[bytes], bool]) -> None:
    """Writes a file anew with the lines that stay, in one step."""
    path = os.path.realpath(path)
    if not os.path.isfile(path):
        return
    part, gone = path + b".part", 0
    with _held(path) as held, open(path, "rb") as lines:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
        with open(part, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as made:
            for line in lines:
                if stays(line):
                    made.write(line)
                else:
                    gone += 1
            made.flush()
            os.fchmod(made.fileno(), os.fstat(held.fileno()).st_mode & 0o7777)
            os.fsync(made.fileno())
        if gone:
            os.replace(part, path)
            _sync_directory(path)
        else:
            os.unlink(part)


def _sync_directory(path: bytes) -> None:
    directory = os.open(os.path.dirname(path) or b".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _shown_key(key: Sequence[str], reject: Reject) -> str:
    cells = dict(reject.row)
    parts = []
    for name in key:
        raw = cells.get(name)
        parts.append("%s=%s" % (name, "NULL" if raw is None else raw.decode("utf-8", "replace")))
    return ", ".join(parts) or "without a key"


def _value(raw: Optional[bytes]) -> Any:
    if raw is None:
        return None
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(raw).decode("ascii")}


def _line(job: str, table: str, span: int, key: Sequence[str], reject: Reject) -> str:
    row: Dict[str, Any] = {name: _value(raw) for name, raw in reject.row}
    cause = reject.error.cause
    line = {
        "job": job,
        "table": table,
        "span": span,
        "key": {name: value for name, value in row.items() if name in key},
        "column": reject.column,
        "reason": reject.error.message,
        "cause": None if cause is None else printable(str(cause)),
        "row": row,
    }
    return json.dumps(line, ensure_ascii=False)
