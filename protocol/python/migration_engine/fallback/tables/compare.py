"""Whether a table is the same on both sides, each read by itself; where not, which rows differ."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Sequence, Tuple

from ..job import Job
from . import values
from .catalog import Table
from .instant import Instant
from .span import Range, Read, Tally
from .values import Bound
from .writing import digest
from .xxh3 import xxh3_128

COMPARED_ROWS = 20_000
_SHOWN_MAX = 20
# Longer values are held by their digest.
_KEPT_MAX = 32


class Side(NamedTuple):
    """One side of a comparison: the same kinds in the same order on both."""

    instant: Instant
    table: Table
    read: Read


class Difference(NamedTuple):
    """A row that differs: its key, how, and the columns where both sides have it."""

    key: str
    what: str
    columns: Tuple[str, ...] = ()


def tally(job: Job, side: Side, rows: int) -> Tally:
    """Counts and digests all rows of a side."""
    total = Tally()
    for part in side.instant.split(side.table.name, side.read.filter, rows):
        for batch in side.instant.reader(side.read, part).batches():
            job.read(batch.bytes)
            total = total.plus(Tally(len(batch.canonical), 0, digest(batch.canonical)))
    return total


def differences(job: Job, left: Side, right: Side, rows: int = COMPARED_ROWS) -> List[Difference]:
    """The first rows that differ, by the key of the left side.

    None are named where that key has no order that both sides share.
    """
    names = [cell.name for cell in left.read.cells]
    key = left.table.primary_key
    if not key or any(name not in names for name in key):
        return []
    places = [names.index(name) for name in key]
    if not left.read.cells[places[0]].kind.orders_alike:
        return []
    found: List[Difference] = []
    for part in left.instant.split(left.table.name, left.read.filter, rows):
        job.step()
        if part.column not in (None, names[places[0]]):
            return found
        there = part._replace(column=part.column and right.read.cells[places[0]].name)
        one, other = _keyed(job, left, part, places), _keyed(job, right, there, places)
        found.extend(_differing(one, other, names))
        if len(found) >= _SHOWN_MAX:
            break
    return found[:_SHOWN_MAX]


_Rows = Dict[str, Tuple[object, ...]]


def _keyed(job: Job, side: Side, part: Range, places: Sequence[int]) -> _Rows:
    rows: _Rows = {}
    cells = side.read.cells
    for batch in side.instant.reader(side.read, part).batches():
        job.read(batch.bytes)
        for bound in batch.bound:
            texts = (values.travelling(cells[at].kind, bound[at]) or b"" for at in places)
            key = ",".join(text.decode("utf-8", "replace") for text in texts)
            rows[key] = tuple([_mark(value) for value in bound])
    return rows


def _mark(value: Bound) -> Tuple[object, object]:
    """What tells a value from others; of bound ones 1 and 1.0 are equal."""
    if isinstance(value, (str, bytes)) and len(value) > _KEPT_MAX:
        raw = value.encode("utf-8") if isinstance(value, str) else value
        return type(value), xxh3_128(raw)
    return type(value), value


def _differing(one: _Rows, other: _Rows, names: Sequence[str]) -> List[Difference]:
    found = []
    for key, row in one.items():
        theirs = other.pop(key, None)
        if theirs is None:
            found.append(Difference(key, "missing"))
        elif theirs != row:
            differ = (name for name, a, b in zip(names, row, theirs) if a != b)
            found.append(Difference(key, "changed", tuple(differ)))
    found.extend(Difference(key, "extra") for key in other)
    return sorted(found)
