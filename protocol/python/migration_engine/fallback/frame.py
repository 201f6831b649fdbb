"""One line of bytes to one JSON object. Bad input is a :class:`Fault`, never another exception."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Dict, List, Optional, Tuple

from .faults import Fault

LINE_IN_MAX_BYTES = 1 << 20
LINE_OUT_MAX_BYTES = 32 << 10
DEPTH_MAX = 64
INTEGER_MAX = (1 << 53) - 1

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Strings are consumed whole, so that brackets inside them do not count.
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\Z)|[\[{]|[\]}]', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


class LineSplitter:
    """Cuts a byte stream into lines, holding at most one; ``None`` stands for a line too long."""

    def __init__(self) -> None:
        self._partial = bytearray()
        self._skipping = False
        self._started = False

    def push(self, data: bytes) -> List[Optional[bytes]]:
        """Feeds ``data``; the lines that it completes, in order."""
        lines: List[Optional[bytes]] = []
        *heads, rest = data.split(b"\n")
        for head in heads:
            self._hold(head)
            lines.append(self._finish())
        self._hold(rest)
        return lines

    def end(self) -> List[Optional[bytes]]:
        """Ends the stream: a last line without a newline still counts."""
        return [self._finish()] if self._skipping or self._partial else []

    def _hold(self, data: bytes) -> None:
        if self._skipping:
            return
        if len(self._partial) + len(data) > LINE_IN_MAX_BYTES:
            self._partial.clear()
            self._skipping = True
        else:
            self._partial += data

    def _finish(self) -> Optional[bytes]:
        line: Optional[bytes] = bytes(self._partial)
        if self._skipping:
            line = None
        elif not self._started and line and line.startswith(_BYTE_ORDER_MARK):
            line = line[3:]
        self._started = True
        self._skipping = False
        self._partial.clear()
        return line[:-1] if line is not None and line.endswith(b"\r") else line


def parse(line: bytes) -> Optional[Dict[str, Any]]:
    """Parses one line into an object; ``None`` for a blank line.

    Raises ``PARSE`` for anything but one JSON object and ``DUPLICATE_FIELD`` for a repeated key at
    any depth. The message never repeats the line's text: it may hold what must not be printed.
    """
    if not line.strip(b" \t\n\x0c\r"):
        return None
    _check_depth(line)
    try:
        value = json.loads(
            line.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_integer,
        )
    except UnicodeDecodeError as error:
        raise _syntax("invalid UTF-8", error.start + 1) from None
    except json.JSONDecodeError as error:
        raise _syntax(error.msg.lower(), error.colno) from None
    if not isinstance(value, dict):
        raise Fault("PARSE", "a line must be one JSON object")
    if _has_surrogate(value):
        raise Fault("PARSE", "not valid JSON: lone surrogate")
    return value


def encode(value: Dict[str, Any]) -> bytes:
    """Writes ``value`` as one line, newline included."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8") + b"\n"


def _syntax(cause: str, column: int) -> Fault:
    return Fault("PARSE", "not valid JSON: %s" % cause, detail={"column": column})


def _check_depth(line: bytes) -> None:
    depth = 0
    for found in _STRUCTURE.finditer(line):
        mark = found.group()[:1]
        if mark in b"[{":
            depth += 1
            if depth > DEPTH_MAX:
                message = "nested deeper than %d" % DEPTH_MAX
                raise Fault("PARSE", message, detail={"column": found.end()})
        elif mark in b"]}":
            depth = max(0, depth - 1)


def _unique(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise Fault("DUPLICATE_FIELD", "a field is given twice")
    return out


def _refuse_constant(_: str) -> Any:
    raise Fault("PARSE", "not valid JSON: expected value")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise Fault("PARSE", "not valid JSON: number out of range")
    return value


def _integer(text: str) -> Any:
    # Digits beyond what any field can hold are read as a float: int() of a long text is slow.
    return int(text) if len(text) <= 20 else _finite(text)


def _has_surrogate(value: Any) -> bool:
    if isinstance(value, str):
        return _SURROGATE.search(value) is not None
    if isinstance(value, dict):
        return any(_has_surrogate(name) or _has_surrogate(item) for name, item in value.items())
    if isinstance(value, list):
        return any(_has_surrogate(item) for item in value)
    return False
