"""What a value in a file is as each kind: its canonical bytes, and how it is bound again."""

from __future__ import annotations

import json
import re
import struct
from decimal import Decimal
from typing import Any, Callable, Dict, NamedTuple, Optional, Tuple, Union

from . import forms
from .kinds import Kind


class NotText:
    """Text in a file that is not UTF-8."""

    __slots__ = ("raw",)

    def __init__(self, raw: bytes) -> None:
        self.raw = raw


Value = Union[None, int, float, str, bytes, NotText]
Bound = Union[None, int, float, str, bytes]


class Taken(NamedTuple):
    """A value on its way: as it is digested, as it is bound."""

    canonical: bytes
    bound: Bound


Take = Callable[[Value], Optional[Taken]]
"""Takes a value that is not NULL; ``None`` where the kind cannot hold it."""

NULL = Taken(b"\0", None)
NAN, MINUS_ZERO = "NaN", "-zero"
_EXPONENT = re.compile(r"e([-+])0*")
_I64 = struct.Struct("<cq").pack
_U64 = struct.Struct("<cQ").pack
_I32 = struct.Struct("<ci").pack
_F64 = struct.Struct("<cd").pack
_F32 = struct.Struct("<cf").pack
_NAN_BITS = {4: b"f\x00\x00\xc0\x7f", 8: b"g\x00\x00\x00\x00\x00\x00\xf8\x7f"}


def text_of(raw: bytes) -> Union[str, NotText]:
    """Text as it is read from a file."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return NotText(raw)


def real_text(value: float) -> str:
    """A number with a point as the shortest text that stands for it."""
    return _EXPONENT.sub(lambda found: "e-" if found.group(1) == "-" else "e", repr(value))


def as_text(value: Value) -> Optional[str]:
    """Text, and numbers as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    return real_text(value) if isinstance(value, float) and _is_finite(value) else None


def _is_finite(value: float) -> bool:
    return value - value == 0.0


def _sized(class_: bytes, raw: bytes) -> bytes:
    return _U64(class_, len(raw)) + raw


def _take_text(text: Optional[str]) -> Optional[Taken]:
    return None if text is None else Taken(_sized(b"s", text.encode("utf-8")), text)


def _bool(value: Value) -> Optional[Taken]:
    if isinstance(value, int) and value in (0, 1):
        return Taken(b"b\1" if value else b"b\0", value)
    return None


def bounds(kind: Kind) -> Tuple[int, int]:
    """The least and the greatest integer of a kind that is one."""
    if kind.word == "year":
        return 0, 9999
    bits = kind.size or 64
    return (0, (1 << bits) - 1) if kind.word == "uint" else (-(1 << bits - 1), (1 << bits - 1) - 1)


def _integer(kind: Kind) -> Take:
    least, most = bounds(kind)
    unsigned = kind.word == "uint"

    def take(value: Value) -> Optional[Taken]:
        if not isinstance(value, int) or not least <= value <= most:
            return None
        return Taken(_U64(b"u", value) if unsigned else _I64(b"i", value), value)

    return take


def as_float(value: Value) -> Optional[float]:
    """A double."""
    if isinstance(value, float):
        return value
    if isinstance(value, int):
        return float(value) if abs(value) <= 1 << 53 else None
    if value == NAN:
        return float("nan")
    return -0.0 if value == MINUS_ZERO else None


def _double(value: Value) -> Optional[Taken]:
    number = as_float(value)
    if number is None:
        return None
    canonical = _NAN_BITS[8] if number != number else _F64(b"g", number)
    return Taken(canonical, bound_float(number))


def _single(value: Value) -> Optional[Taken]:
    number = as_float(value)
    if number is None:
        return None
    if number != number:
        return Taken(_NAN_BITS[4], NAN)
    try:
        canonical = _F32(b"f", number)
    except OverflowError:
        return None
    if struct.unpack("<f", canonical[1:])[0] != number:
        return None
    return Taken(canonical, bound_float(number))


def bound_float(number: float) -> Bound:
    """NaN and -0.0 as text: a column of reals keeps neither."""
    if number != number:
        return NAN
    is_minus_zero = number == 0.0 and str(number) == "-0.0"
    return MINUS_ZERO if is_minus_zero else number


def plain_digits(value: Value) -> Optional[str]:
    """A number in plain digits, as it stands."""
    if isinstance(value, str):
        return value if forms.is_decimal(value) else None
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, float) or not _is_finite(value):
        return None
    text = format(Decimal(repr(value + 0.0)), "f")
    return text[:-2] if text.endswith(".0") else text


def _decimal(kind: Kind) -> Take:
    def take(value: Value) -> Optional[Taken]:
        text = plain_digits(value)
        if text is None or kind.size is None:
            return _take_text(text)
        return _take_text(_scaled(text, kind.size, kind.scale or 0))

    return take


def _scaled(text: str, digits: int, scale: int) -> Optional[str]:
    """The number with all digits of its scale; ``None`` where it has more than the type."""
    if text[-1].isalpha():
        # Infinity has more digits than any number.
        return text if text == NAN else None
    whole, behind = forms.decimal_parts(text)
    have, most = len(behind or ""), digits - scale
    scale = max(scale, 0)
    if len((behind or "").rstrip("0")) > scale or len(whole.lstrip("0")) > most:
        return None
    if have == 0 and scale > 0:
        text += "."
    if have <= scale:
        return text + "0" * (scale - have)
    # Zeros that the type has no place for; the point too where it has none at all.
    return text[: len(text) - (have - scale) - (scale == 0)]


def is_wider(text: str, whole: int, scale: int) -> bool:
    """Whether a number has more digits than these in front of its point or behind it."""
    if text[-1].isalpha():
        return False
    front, behind = forms.decimal_parts(text)
    return len(front.lstrip("0")) > whole or len((behind or "").rstrip("0")) > scale


def _checked(kind: Kind) -> Take:
    """Text of a kind that may ask something of its text."""
    size = kind.size
    if kind.word in ("bits", "varbits"):
        exact = kind.word == "bits"

        def is_held(text: str) -> bool:
            long = len(text.encode("utf-8"))
            fits = size is None or (long == size if exact else long <= size)
            return fits and not text.strip("01")

    elif kind.word in ("text", "char") and size is not None:
        most, least = size, size if kind.word == "char" else 0

        def is_held(text: str) -> bool:
            return least <= len(text) <= most

    else:
        return lambda value: _take_text(as_text(value))

    def take(value: Value) -> Optional[Taken]:
        text = as_text(value)
        return _take_text(text) if text is not None and is_held(text) else None

    return take


def _bytes(kind: Kind) -> Take:
    size, exact = kind.size, kind.word == "fixed_bytes"

    def take(value: Value) -> Optional[Taken]:
        if not isinstance(value, bytes):
            return None
        fits = size is None or (len(value) == size if exact else len(value) <= size)
        return Taken(_sized(b"x", value), value) if fits else None

    return take


def time_of(kind: Kind, value: Value) -> Optional[int]:
    """What a day, a time or a moment is counted as."""
    if not isinstance(value, str):
        return None
    if kind.word == "date":
        return forms.read_date(value)
    if kind.word == "time":
        return forms.read_time(value)
    if kind.word == "duration":
        return forms.read_duration(value)
    if kind.word in ("timestamp", "timestamp_tz"):
        return forms.read_moment(value, kind.word == "timestamp_tz")
    return None


_TIMES: Dict[str, Tuple[bytes, Callable[[int], str]]] = {
    "date": (b"d", forms.write_date),
    "time": (b"t", forms.write_time),
    "duration": (b"l", forms.write_time),
    "timestamp": (b"n", lambda micros: forms.write_moment(micros, "")),
    "timestamp_tz": (b"z", lambda micros: forms.write_moment(micros, "+00:00")),
}


def _time(kind: Kind) -> Take:
    class_, write = _TIMES[kind.word]
    pack = _I32 if kind.word == "date" else _I64

    def take(value: Value) -> Optional[Taken]:
        count = time_of(kind, value)
        return None if count is None else Taken(pack(class_, count), write(count))

    return take


def _uuid(value: Value) -> Optional[Taken]:
    if isinstance(value, bytes):
        raw: Optional[bytes] = value if len(value) == 16 else None
    else:
        raw = forms.read_uuid(value) if isinstance(value, str) else None
    return None if raw is None else Taken(_sized(b"q", raw), forms.write_uuid(raw))


def tagged(value: Value) -> Optional[bytes]:
    """A value of any class with its class in front."""
    if isinstance(value, bytes):
        return b"b" + value
    if isinstance(value, str):
        return b"t" + value.encode("utf-8")
    if isinstance(value, int):
        return b"i%d" % value
    return b"r" + struct.pack(">d", value) if isinstance(value, float) else None


def _any(value: Value) -> Optional[Taken]:
    raw = tagged(value)
    if raw is None or isinstance(value, NotText):
        return None
    return Taken(_sized(b"x", raw), value)


def taker(kind: Kind) -> Take:
    """What takes values of this kind."""
    word = kind.word
    if kind.is_integer:
        return _integer(kind)
    if word in _TIMES:
        return _time(kind)
    plain: Dict[str, Take] = {
        "bool": _bool,
        "float64": _double,
        "float32": _single,
        "uuid": _uuid,
        "any": _any,
    }
    if word in plain:
        return plain[word]
    if word in ("bytes", "fixed_bytes"):
        return _bytes(kind)
    return _decimal(kind) if word == "decimal" else _checked(kind)


def nearest(kind: Kind, value: Value) -> Optional[Taken]:
    """The nearest value that can be held; ``None`` where nothing is near."""
    if kind.is_integer and isinstance(value, int):
        least, most = bounds(kind)
        return taker(kind)(min(max(value, least), most))
    if kind.word == "float32":
        return _nearest_single(as_float(value))
    if kind.word in ("text", "char") and kind.size is not None:
        text = as_text(value)
        padded = kind.size if kind.word == "char" else 0
        return None if text is None else _take_text(text[: kind.size].ljust(padded))
    if kind.word == "bytes" and kind.size is not None and isinstance(value, bytes):
        return taker(kind)(value[: kind.size])
    return None


def _nearest_single(number: Optional[float]) -> Optional[Taken]:
    if number is None:
        return None
    try:
        narrow = struct.unpack("<f", struct.pack("<f", number))[0]
    except OverflowError:
        narrow = float("inf") if number > 0 else float("-inf")
    return _single(narrow)


def is_declared(kind: Kind, value: Value, take: Take) -> bool:
    """Whether a value is of its column's declared kind, as the census asks."""
    if kind.word not in ("json", "json_parsed"):
        return take(value) is not None
    text = as_text(value)
    return text is not None and _is_json(text)


def _is_json(text: str) -> bool:
    try:
        # Numbers are not made: they may have any length.
        json.loads(text, parse_int=len, parse_float=len, parse_constant=_no_constant)
    except ValueError:
        return False
    except RecursionError:
        return True
    return True


def _no_constant(name: str) -> None:
    raise ValueError(name)


def class_of(value: Value) -> str:
    """The name of a value's class."""
    if isinstance(value, NotText):
        return "text that is not UTF-8"
    names = {int: "an integer", float: "a real number", str: "text", bytes: "bytes"}
    return names.get(type(value), "NULL")


def shown(value: Value) -> Optional[bytes]:
    """A value as text for people and rejects; ``None`` for NULL."""
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, NotText):
        return value.raw
    if isinstance(value, float):
        return real_text(value).encode("ascii")
    return str(value).encode("utf-8")


def travelling(kind: Kind, value: Any) -> Optional[bytes]:
    """A bound value as people write it: of a row that the target refused, and of a key."""
    if value is None:
        return None
    if kind.word == "any":
        return tagged(value)
    if kind.word == "bool":
        return b"true" if value else b"false"
    if kind.word in ("float32", "float64"):
        return _float_text(kind, value).encode("ascii")
    if kind.word == "timestamp_tz" and value.endswith("+00:00"):
        return str(value)[:-6].encode("ascii") + b"Z"
    return shown(value)


def _float_text(kind: Kind, value: Union[float, str]) -> str:
    """The shortest plain digits that stand for a number."""
    if isinstance(value, str):
        return "-0" if value == MINUS_ZERO else value
    if not _is_finite(value):
        return repr(value)
    short = _shortest_single(value) if kind.word == "float32" else repr(value)
    text = format(Decimal(short), "f")
    return text[:-2] if text.endswith(".0") else text


def _shortest_single(value: float) -> str:
    for digits in range(1, 9):
        text = "%.*g" % (digits, value)
        if struct.pack("<f", float(text)) == struct.pack("<f", value):
            return text
    return "%.9g" % value
