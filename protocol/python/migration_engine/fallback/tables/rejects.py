"""Rows that were not written, as JSON Lines: durable before the ledger passes them."""

from __future__ import annotations

import base64
import json
import os
from typing import Any, Dict, Optional, Sequence, Set, Tuple

from ..faults import Fault, destination_fault, printable
from .span import Reject


class Rejects:
    """The file of a job's rejected rows, made with the first one."""

    def __init__(self, path: bytes, limit: int, before: int) -> None:
        self._path = path
        self._limit = limit
        self._rows = before
        self._fd: Optional[int] = None
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
        lines = "".join(_line(table, span, key, row) + "\n" for row in rows)
        try:
            if self._fd is None:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                self._fd = os.open(self._path, flags, 0o600)
            rest = memoryview(lines.encode("utf-8"))
            while rest:
                rest = rest[os.write(self._fd, rest) :]
            os.fdatasync(self._fd)
        except OSError as error:
            fault = destination_fault(error, "write the file of rejected rows", self._path)
            fault.code = "DST_WRITE"
            raise fault from error
        self._rows += len(rows)
        self._spans.add((table, span))

    def close(self) -> None:
        """Closes the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

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


def _line(table: str, span: int, key: Sequence[str], reject: Reject) -> str:
    row: Dict[str, Any] = {name: _value(raw) for name, raw in reject.row}
    cause = reject.error.cause
    line = {
        "table": table,
        "span": span,
        "key": {name: value for name, value in row.items() if name in key},
        "column": reject.column,
        "reason": reject.error.message,
        "cause": None if cause is None else printable(str(cause)),
        "row": row,
    }
    return json.dumps(line, ensure_ascii=False)
