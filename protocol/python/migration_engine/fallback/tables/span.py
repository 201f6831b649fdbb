"""Parts of a table, rows on their way, and what is said of them in the ledger."""

from __future__ import annotations

from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

from ..faults import Fault
from . import values
from .cells import Cell
from .sql import quote
from .values import Bound, Value


class Range(NamedTuple):
    """``from <= column < to``, the ends as text, ``None`` for open; all rows without a column."""

    column: Optional[str] = None
    from_: Optional[str] = None
    to: Optional[str] = None


WHOLE = Range()


class Tally(NamedTuple):
    """What was read of a span, or written."""

    rows: int = 0
    changed: int = 0
    digest: int = 0

    def plus(self, other: "Tally") -> "Tally":
        """Both together."""
        digest = (self.digest + other.digest) & DIGEST_MASK
        return Tally(self.rows + other.rows, self.changed + other.changed, digest)


DIGEST_MASK = (1 << 128) - 1
ALGORITHM = "xxh3-128-sum/canonical"


class Receipt(NamedTuple):
    """Proof that a span's rows are committed; with ``planned`` only what the span is."""

    table: str
    number: int
    range: Range
    written: Tally = Tally()
    rejected: int = 0
    refused: int = 0
    """Sum of the digests of the rows that were rejected."""
    planned: bool = False
    makes: bool = False
    """Of a span that is planned: whether its table is one that the job makes."""


class Read(NamedTuple):
    """What of a table is read."""

    table: str
    cells: Tuple[Cell, ...]
    filter: str
    batch_rows: int
    row_bytes_max: int


class Write(NamedTuple):
    """What is written into a table."""

    table: str
    cells: Tuple[Cell, ...]
    key: Tuple[str, ...]
    merges: bool
    own: bool
    """Whether the job makes the table: its foreign keys are looked at after the rows.

    Those of a table that stood before are kept by each row.
    """


class Reject(NamedTuple):
    """A row that is not written, its cells as text."""

    row: Sequence[Tuple[str, Optional[bytes]]]
    column: str
    error: Fault


class Batch:
    """Rows in memory: canonical bytes of each, and what is bound."""

    def __init__(self) -> None:
        self.canonical: List[bytes] = []
        self.bound: List[Tuple[Bound, ...]] = []
        self.bytes = 0


def end_text(value: Value) -> Optional[str]:
    """An end of a range as text: digits for an integer, else the class and the value."""
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return "r" + values.tagged(value)[1:].hex()  # type: ignore[index]
    if isinstance(value, str):
        return "'" + value
    return "x" + value.hex() if isinstance(value, bytes) else None


def end_value(text: str) -> Any:
    """The value of :func:`end_text`; ``JOURNAL_CORRUPT`` for anything else."""
    import struct

    try:
        if text.startswith("'"):
            return text[1:]
        if text.startswith("r"):
            return struct.unpack(">d", bytes.fromhex(text[1:]))[0]
        return bytes.fromhex(text[1:]) if text.startswith("x") else int(text)
    except (ValueError, struct.error):
        raise Fault("UNSUPPORTED", "the range is not one of SQLite's") from None


def condition(part: Range, filter_: str) -> Tuple[str, List[Any]]:
    """The condition of a range and a filter, with the ends that are bound to it."""
    parts, ends = [], []
    for end, sign in ((part.from_, ">="), (part.to, "<")):
        if part.column is not None and end is not None:
            ends.append(end_value(end))
            parts.append("%s %s ?%d" % (quote(part.column), sign, len(ends)))
    if filter_:
        # A comment at its end must not reach further.
        parts.append("(%s\n)" % filter_)
    return (" WHERE " + " AND ".join(parts) if parts else ""), ends
