"""What the values of a column are, and how SQLite declares them.

Any word may be a type in SQLite; only its affinity has a meaning. Types of the engine's own bear
names that are read back as their kind, and whose affinity leaves their values alone.
"""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Optional, Tuple

_SPACES = re.compile(r"[ \t\n\r\f]+")
_SIZE = re.compile(r"\s*([-+]?[0-9]+)\s*")
_I64_MAX = (1 << 63) - 1


class Kind(NamedTuple):
    """A kind: its word, and its sizes, ``None`` for one that is not said.

    ``int`` and ``uint`` have bits, ``decimal`` digits and scale, others a length or nothing.
    """

    word: str
    size: Optional[int] = None
    scale: Optional[int] = None

    @property
    def shown(self) -> str:
        """A name for people, in the manner of SQL."""
        if self.word in ("int", "uint"):
            return "%s%d" % (self.word, self.size or 0)
        if self.word == "decimal" and self.size is not None:
            return "decimal(%d,%d)" % (self.size, self.scale or 0)
        return self.word if self.size is None else "%s(%d)" % (self.word, self.size)

    @property
    def orders_alike(self) -> bool:
        """Whether every engine puts its values into the same order."""
        return self.is_integer or self.word in ("date", "timestamp", "timestamp_tz")

    @property
    def is_integer(self) -> bool:
        """Whether its values are whole numbers, ordered as such."""
        return self.word in ("int", "uint", "year")


TEXT, ANY = Kind("text"), Kind("any")
_FIXED: Dict[str, Kind] = {
    "": ANY,
    "ANY_BLOB": ANY,
    "BOOLEAN": Kind("bool"),
    "BOOL": Kind("bool"),
    "INT1": Kind("int", 8),
    "INT2": Kind("int", 16),
    "INT3": Kind("int", 24),
    "INT4": Kind("int", 32),
    "UINT1": Kind("uint", 8),
    "UINT2": Kind("uint", 16),
    "UINT3": Kind("uint", 24),
    "UINT4": Kind("uint", 32),
    "UINT8": Kind("uint", 64),
    "FLOAT4": Kind("float32"),
    "DATE": Kind("date"),
    "TIME": Kind("time"),
    "TIMETZ": Kind("time_tz"),
    "DURATION": Kind("duration"),
    "DATETIME": Kind("timestamp"),
    "TIMESTAMP": Kind("timestamp"),
    "TIMESTAMPTZ": Kind("timestamp_tz"),
    "TIMESTAMP WITH TIME ZONE": Kind("timestamp_tz"),
    "INTERVAL_TEXT": Kind("interval"),
    "UUID": Kind("uuid"),
    "JSON": Kind("json"),
    "JSON_TEXT": Kind("json"),
    "JSONB_TEXT": Kind("json_parsed"),
    "YEAR": Kind("year"),
}
# Words with a size: the kind with it, and the one without.
_SIZED: Dict[str, Tuple[str, Kind]] = {
    "BPCHAR": ("char", TEXT),
    "VARBINARY": ("bytes", Kind("bytes")),
    "BINARY": ("bytes", Kind("bytes")),
    "FIXED_BLOB": ("fixed_bytes", Kind("bytes")),
    "BIT_TEXT": ("bits", Kind("varbits")),
    "VARBIT_TEXT": ("varbits", Kind("varbits")),
}
_AFFINITIES = (
    (("INT",), Kind("int", 64)),
    (("CHAR", "CLOB", "TEXT"), TEXT),
    (("BLOB",), Kind("bytes")),
    (("REAL", "FLOA", "DOUB"), Kind("float64")),
)
_DECLARED: Dict[str, str] = {
    "bool": "BOOLEAN",
    "float32": "FLOAT4",
    "float64": "REAL",
    "decimal": "DECIMAL_TEXT",
    "text": "TEXT",
    "char": "BPCHAR",
    "bytes": "BLOB",
    "fixed_bytes": "FIXED_BLOB",
    "bits": "BIT_TEXT",
    "varbits": "VARBIT_TEXT",
    "date": "DATE",
    "time": "TIME",
    "time_tz": "TIMETZ",
    "duration": "DURATION",
    "timestamp": "TIMESTAMP",
    "timestamp_tz": "TIMESTAMPTZ",
    "interval": "INTERVAL_TEXT",
    "uuid": "UUID",
    "json": "JSON_TEXT",
    "json_parsed": "JSONB_TEXT",
    "year": "YEAR",
    "any": "",
}
_FLOAT_NOTE = "NaN and -0.0, which no REAL column keeps, are the texts NaN and -zero"
_DECIMAL_NOTE = "kept as text, which is exact; sorts as text"


def kind_of(declared: str) -> Kind:
    """The kind of a column of this declared type."""
    word, sizes = _taken_apart(declared)
    size = sizes[0] if sizes and sizes[0] > 0 else None
    if word in _FIXED:
        return _FIXED[word]
    if word in ("DECIMAL", "NUMERIC", "NUMBER", "DECIMAL_TEXT"):
        return _decimal(sizes)
    if word in _SIZED:
        sized, plain = _SIZED[word]
        return plain if size is None else Kind(sized, size)
    return _by_affinity(word, size)


def _decimal(sizes: List[int]) -> Kind:
    if not sizes:
        return Kind("decimal")
    digits, scale = sizes[0], sizes[1] if len(sizes) > 1 else 0
    known = 0 <= digits < 1 << 32 and -(1 << 31) <= scale < 1 << 31
    return Kind("decimal", digits, scale) if known else Kind("decimal")


def _by_affinity(word: str, size: Optional[int]) -> Kind:
    """What the library itself makes of a word."""
    for parts, kind in _AFFINITIES:
        if any(part in word for part in parts):
            return Kind(kind.word, size) if kind.word in ("text", "bytes") else kind
    return ANY if word == "ANY" else Kind("decimal")


def _taken_apart(declared: str) -> Tuple[str, List[int]]:
    """The word in upper case, its spaces made single, and the numbers behind it."""
    front, _, rest = declared.partition("(")
    word = " ".join(part for part in _SPACES.split(front) if part)
    sizes: List[int] = []
    for text in rest.split(")")[0].split(","):
        found = _SIZE.fullmatch(text)
        if not found or not -_I64_MAX - 1 <= int(found.group(1)) <= _I64_MAX:
            break
        sizes.append(int(found.group(1)))
    return "".join(c.upper() if c.isascii() else c for c in word), sizes


def declared_as(kind: Kind) -> str:
    """The type that :func:`kind_of` reads as this kind."""
    size = kind.size
    if kind.word == "int":
        return "INTEGER" if size == 64 else "INT%d" % ((size or 0) // 8)
    if kind.word == "uint":
        return "UINT%d" % ((size or 0) // 8)
    if kind.word == "decimal" and size is not None:
        return "DECIMAL_TEXT(%d,%d)" % (size, kind.scale or 0)
    if kind.word == "text" and size is not None:
        return "VARCHAR(%d)" % size
    word = _DECLARED[kind.word]
    return word if size is None else "%s(%d)" % (word, size)


def note_of(kind: Kind) -> str:
    """What a person should know of how a kind is kept; empty for nothing."""
    if kind.word in ("float32", "float64"):
        return _FLOAT_NOTE
    return _DECIMAL_NOTE if kind.word == "decimal" else ""
