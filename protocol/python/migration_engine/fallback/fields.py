"""What a command's fields may hold: checks, and the reader that applies them.

A check takes the raw value and the field's dotted name; it returns the parsed value or raises
``INVALID_FIELD`` (or ``UNSUPPORTED``) at that field.
"""

from __future__ import annotations

import difflib
import re
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional

from .faults import Fault
from .frame import INTEGER_MAX
from .glob import checked

Check = Callable[[Any, str], Any]

_SIZE_UNITS = {
    "": 1,
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
}
_TIME_UNITS = {"": 1, "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_NUMBER = re.compile(r"\s*([0-9]+)(?:\.([0-9]{0,9}))?\s*([A-Za-z]*)\s*\Z")


class Field(NamedTuple):
    """A field of an op: its check, and what it is when left out."""

    check: Check
    default: Any = None
    required: bool = False


class _Missing:
    """Tells a field that is absent from one that is null."""


ABSENT = _Missing()


def read_fields(raw: Mapping[str, Any], fields: Mapping[str, Field]) -> Dict[str, Any]:
    """Checks ``raw`` against ``fields``: unknown names first, then each field in order."""
    for name in raw:
        if name not in fields:
            raise unknown_field(name, fields)
    return {name: _read_one(raw, name, field) for name, field in fields.items()}


def _read_one(raw: Mapping[str, Any], name: str, field: Field) -> Any:
    if name in raw:
        return field.check(raw[name], name)
    if field.required:
        raise Fault("MISSING_FIELD", "the field %s is missing" % name, field=name)
    return field.default


def unknown_field(name: str, known: Iterable[str]) -> Fault:
    """``UNKNOWN_FIELD`` with the nearest known name."""
    hint = suggestion(name, known)
    return Fault("UNKNOWN_FIELD", "unknown field %s" % name, field=name, hint=hint)


def suggestion(name: str, known: Iterable[str]) -> Optional[str]:
    """``did you mean …?`` where a known name is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return "did you mean %s?" % near[0] if near else None


def invalid(field: str, expected: str) -> Fault:
    """``INVALID_FIELD`` at ``field``."""
    return Fault("INVALID_FIELD", "expected %s" % expected, field=field)


def flag(value: Any, field: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise invalid(field, "true or false")
    return value


def text(value: Any, field: str) -> str:
    """A string."""
    if not isinstance(value, str):
        raise invalid(field, "a string")
    return value


def integer(low: int = 0, high: int = INTEGER_MAX) -> Check:
    """An integer from ``low`` to ``high``."""

    def check(value: Any, field: str) -> int:
        if type(value) is not int or not low <= value <= high:
            raise invalid(field, "an integer from %d to %d" % (low, high))
        return value

    return check


def number(value: Any, field: str) -> float:
    """A number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise invalid(field, "a number that is not negative")
    return float(value)


def choice(*names: str) -> Check:
    """One of ``names``."""

    def check(value: Any, field: str) -> str:
        if not isinstance(value, str) or value not in names:
            raise invalid(field, "one of " + ", ".join(names))
        return value

    return check


def many(inner: Check) -> Check:
    """A list."""

    def check(value: Any, field: str) -> List[Any]:
        if not isinstance(value, list):
            raise invalid(field, "a list")
        return [inner(item, "%s.%d" % (field, index)) for index, item in enumerate(value)]

    return check


def one_or_more(inner: Check) -> Check:
    """A list with at least one value."""
    several = many(inner)

    def check(value: Any, field: str) -> List[Any]:
        items: List[Any] = several(value, field)
        if not items:
            raise invalid(field, "at least one")
        return items

    return check


def one_or_many(inner: Check) -> Check:
    """One value or a list with at least one."""
    several = many(inner)

    def check(value: Any, field: str) -> List[Any]:
        if not isinstance(value, list):
            return [inner(value, field)]
        if not value:
            raise invalid(field, "at least one value")
        items: List[Any] = several(value, field)
        return items

    return check


def optional(inner: Check) -> Check:
    """A value or null."""

    def check(value: Any, field: str) -> Any:
        return None if value is None else inner(value, field)

    return check


def obj(fields: Mapping[str, Field]) -> Check:
    """An object with these fields and no other."""

    def check(value: Any, field: str) -> Dict[str, Any]:
        if not isinstance(value, dict):
            raise invalid(field, "an object")
        try:
            return within(field, lambda raw: read_fields(raw, fields), value)
        except Fault as fault:
            if fault.code not in ("UNKNOWN_FIELD", "MISSING_FIELD"):
                raise
            # These two are about a command's own fields.
            raise Fault(
                "INVALID_FIELD", fault.message, field=fault.field, hint=fault.hint
            ) from fault

    return check


def within(
    field: str, read: Callable[[Mapping[str, Any]], Dict[str, Any]], raw: Mapping[str, Any]
) -> Dict[str, Any]:
    """What ``read`` makes of ``raw``; the field of its fault lies within ``field``."""
    try:
        return read(raw)
    except Fault as fault:
        fault.field = "%s.%s" % (field, fault.field)
        raise


def size(low: int = 0, high: int = INTEGER_MAX) -> Check:
    """Bytes: an integer, or a string with a unit such as ``64MiB``."""
    return _with_unit(_SIZE_UNITS, low, high)


def millis(low: int = 0, high: int = INTEGER_MAX) -> Check:
    """Milliseconds: an integer, or a string such as ``30s``."""
    return _with_unit(_TIME_UNITS, low, high)


def _with_unit(units: Mapping[str, int], low: int, high: int) -> Check:
    def check(value: Any, field: str) -> int:
        amount: Any = _exact(value, units, field) if isinstance(value, str) else value
        if type(amount) is not int or not low <= amount <= high:
            raise invalid(field, "%d to %d" % (low, high))
        return int(amount)

    return check


def _exact(value: str, units: Mapping[str, int], field: str) -> int:
    found = _NUMBER.match(value)
    if not found or found.group(3) not in units:
        raise invalid(field, "a number with one of the units %s" % ", ".join(filter(None, units)))
    whole, fraction, unit = found.group(1), found.group(2) or "", found.group(3)
    if len(whole) > 16:
        raise invalid(field, "an integer up to %d" % INTEGER_MAX)
    scaled, power = int(whole + fraction) * units[unit], int("1" + "0" * len(fraction))
    if scaled % power:
        raise invalid(field, "a whole number of the smallest unit")
    return scaled // power


def not_built(*harmless: Any) -> Check:
    """A field that is known and not built: only the values that ask for nothing pass."""

    def check(value: Any, field: str) -> None:
        if not any(value is one or (value == one and value is not True) for one in harmless):
            raise Fault("UNSUPPORTED", "%s is known and not built" % field, field=field)

    return check


def digest_algorithm(*names: str) -> Check:
    """A digest algorithm of the standard library; ``blake3`` is known and not in it."""
    among = choice(*names, "blake3")

    def check(value: Any, field: str) -> str:
        name: str = among(value, field)
        if name == "blake3":
            raise Fault(
                "UNSUPPORTED",
                "blake3 is not in Python's standard library",
                field=field,
                hint="install the binary, or choose sha256",
            )
        return name

    return check


GLOBS = Field(checked, default=())
