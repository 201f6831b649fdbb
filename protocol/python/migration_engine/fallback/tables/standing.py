"""Whether rows can go into a table that stands: each value must arrive as it is.

Engines make others of what does not fit a column, some of them without a word.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence, Tuple

from ..faults import Fault
from .catalog import Table
from .cells import Cell, Question
from .kinds import Kind
from .values import bounds


class Fitted(NamedTuple):
    """What is read and written then, and what the census asks besides."""

    read: List[Cell]
    write: List[Cell]
    questions: List[Question]


Loss = Tuple[str, Tuple[int, int]]


def _mismatch(table: Table, message: str) -> Fault:
    return Fault("SCHEMA_MISMATCH", message, path=table.name.encode("utf-8"))


def fit(read: Sequence[Cell], write: Sequence[Cell], target: Table, there: Table) -> Fitted:
    """Makes a plan fit a table that stands; what it holds less of becomes a question."""
    fitted = Fitted([], [], [])
    for own, made in zip(read, write):
        kind = _kind_there(own, made, target, there, fitted.questions)
        fitted.read.append(own._replace(kind=kind))
        fitted.write.append(made._replace(kind=kind))
    written = {cell.name for cell in write}
    for column in there.columns:
        filled = column.nullable or column.default or column.counts or column.generated
        if not filled and column.name not in written:
            raise _mismatch(there, "the column %s at the target needs a value" % column.name)
    return fitted


def _kind_there(
    own: Cell, made: Cell, target: Table, there: Table, questions: List[Question]
) -> Kind:
    """As what a column travels."""
    column = there.column(made.name)
    if column is None:
        raise _mismatch(there, "the table at the target has no column %s" % made.name)
    if column.generated is not None:
        raise _mismatch(there, "the column %s at the target is generated" % made.name)
    planned = target.column(made.name)
    if planned is not None and _is_declared(planned.declared, column.declared):
        return made.kind
    losses = held(made.kind, column.kind)
    if losses is None:
        message = "the column %s at the target is %s, which makes other values of %s"
        raise _mismatch(there, message % (made.name, column.declared, made.kind.shown))
    if own.mask is not None:
        # What comes is not what the source holds, so that there is nothing to ask it.
        return made.kind
    questions.extend(Question(own.name, loss, made.kind, ends) for loss, ends in losses)
    alike = made.kind.word == column.kind.word and made.kind.word in ("int", "uint", "decimal")
    return column.kind if alike else made.kind


def same_key(target: Table, there: Table) -> None:
    """``SCHEMA_MISMATCH`` where rows would be merged by another key than the table has."""
    if sorted(target.primary_key) != sorted(there.primary_key):
        message = "the table at the target has another primary key, by which no row is found"
        raise _mismatch(there, message)


def _is_declared(planned: str, there: str) -> bool:
    planned, there = planned.lower(), there.lower()
    return bool(there) and (planned == there or planned.startswith(there + " "))


def held(kind: Kind, there: Kind) -> Optional[List[Loss]]:
    """What a column of another kind does not hold; ``None`` where it makes other values."""
    if kind == there or there.word == "any":
        return []
    if kind.is_integer:
        return _integer_in(bounds(kind), there)
    pair = (kind.word, there.word)
    if pair == ("bool", "int"):
        return []
    if pair == ("decimal", "decimal"):
        return _decimal_in(kind, there)
    if pair in (("bits", "varbits"), ("bytes", "bytes"), ("fixed_bytes", "bytes")):
        return _longer(kind.size, there.size)
    if {kind.word, there.word} <= {"json", "json_parsed"}:
        return []
    if there.word == "text" and kind.word in _TEXTS:
        return _longer(kind.size if kind.word in ("text", "char") else None, there.size)
    return None


# Kinds whose values travel as text.
_TEXTS = (
    "text",
    "char",
    "decimal",
    "bits",
    "varbits",
    "time_tz",
    "interval",
    "json",
    "json_parsed",
)


def _longer(length: Optional[int], most: Optional[int]) -> List[Loss]:
    if most is None or (length is not None and length <= most):
        return []
    return [("longer", (0, most))]


def _parts(kind: Kind) -> Tuple[int, int]:
    """Digits in front of the point, and behind it."""
    scale = kind.scale or 0
    return max(0, (kind.size or 0) - scale), max(0, scale)


def _decimal_in(kind: Kind, there: Kind) -> List[Loss]:
    if there.size is None:
        return []
    whole, scale = _parts(there)
    fits = kind.size is not None and _parts(kind)[0] <= whole and _parts(kind)[1] <= scale
    return [] if fits else [("decimal_outside", (whole, scale))]


def _integer_in(own: Tuple[int, int], there: Kind) -> Optional[List[Loss]]:
    if there.word == "decimal":
        if there.size is None:
            return []
        most = 10 ** min(_parts(there)[0], 38) - 1
        low, high = -most, most
    elif there.word in ("int", "uint"):
        low, high = bounds(there)
    else:
        return None
    return [] if low <= own[0] and own[1] <= high else [("integer_outside", (low, high))]
