"""Globs over an item's path, on bytes and case-sensitive."""

from __future__ import annotations

import re
from typing import Any, List, Pattern, Sequence, Tuple

from .faults import Fault


class Selection:
    """Which items of a tree are taken."""

    def __init__(self, include: Sequence[str], exclude: Sequence[str]) -> None:
        self._include = _compile(include, "include")
        self._exclude = _compile(exclude, "exclude")

    @property
    def takes_all(self) -> bool:
        """Whether every directory counts, also one in which nothing is taken."""
        return not self._include

    def included(self, path: bytes, name: bytes, covered: bool) -> bool:
        """Whether ``path`` is included; ``covered`` says that a directory above it is."""
        if covered or not self._include:
            return True
        return any(glob.matches(path, name) for glob in self._include)

    def excluded(self, path: bytes, name: bytes) -> bool:
        """Whether ``path``, and everything below it, is left out."""
        return any(glob.matches(path, name) for glob in self._exclude)

    def takes(self, path: bytes) -> bool:
        """Whether an item is taken, judged from its path alone."""
        parts = path.split(b"/")
        covered = False
        for depth in range(1, len(parts) + 1):
            above, name = b"/".join(parts[:depth]), parts[depth - 1]
            if self.excluded(above, name):
                return False
            covered = self.included(above, name, covered)
        return covered


def _compile(patterns: Sequence[str], field: str) -> List["_Glob"]:
    return [_Glob(pattern, "%s.%d" % (field, at)) for at, pattern in enumerate(patterns)]


class _Glob:
    def __init__(self, pattern: str, field: str) -> None:
        trimmed = pattern.rstrip("/")
        anchored = trimmed[1:] if trimmed.startswith("/") else trimmed
        try:
            self._regex = compile_glob(anchored.encode("utf-8"))
        except (ValueError, re.error) as error:
            raise Fault("INVALID_FIELD", "a bad glob: %s" % error, field=field) from None
        self._by_name = "/" not in trimmed

    def matches(self, path: bytes, name: bytes) -> bool:
        return self._regex.match(name if self._by_name else path) is not None


def checked(values: Any, field: str) -> List[str]:
    """A list of globs, as a field of a command."""
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise Fault("INVALID_FIELD", "expected a list of globs", field=field)
    _compile(values, field)
    return values


def compile_glob(pattern: bytes) -> Pattern[bytes]:
    """``pattern`` as a regular expression for whole paths; raises ``ValueError``."""
    if not pattern:
        raise ValueError("it is empty")
    out: List[bytes] = []
    at, braces = 0, 0
    while at < len(pattern):
        char = pattern[at : at + 1]
        if char == b"*":
            text, at = _star(pattern, at)
        elif char == b"[":
            text, at = _class(pattern, at)
        elif char == b"\\":
            text, at = _escape(pattern, at)
        else:
            text, braces = _single(char, braces)
            at += 1
        out.append(text)
    if braces:
        raise ValueError("an opening brace is not closed")
    return re.compile(b"(?s:" + b"".join(out) + rb")\Z")


def _single(char: bytes, braces: int) -> Tuple[bytes, int]:
    if char == b"?":
        return b"[^/]", braces
    if char == b"{":
        return b"(?:", braces + 1
    if char == b"}":
        if not braces:
            raise ValueError("a closing brace has no opening one")
        return b")", braces - 1
    if char == b"," and braces:
        return b"|", braces
    return re.escape(char), braces


def _star(pattern: bytes, at: int) -> Tuple[bytes, int]:
    end = at
    while pattern[end : end + 1] == b"*":
        end += 1
    starts = at == 0 or pattern[at - 1 : at] in (b"/", b"{", b",")
    if end - at == 2 and starts:
        if pattern[end : end + 1] == b"/":
            return b"(?:.*/)?", end + 1
        if end == len(pattern):
            return b".+" if at else b".*", end
    return b"[^/]*", end


def _escape(pattern: bytes, at: int) -> Tuple[bytes, int]:
    if at + 1 == len(pattern):
        raise ValueError("a backslash ends it")
    return re.escape(pattern[at + 1 : at + 2]), at + 2


def _class(pattern: bytes, at: int) -> Tuple[bytes, int]:
    start = at + 1
    negated = pattern[start : start + 1] in (b"!", b"^")
    start += negated
    end = pattern.find(b"]", start + 1)
    if end < 0:
        raise ValueError("a bracket is not closed")
    members = pattern[start:end]
    body = re.sub(rb"([\\\[\]^&~|])", rb"\\\1", members)
    # A class never matches the separator, whatever it lists.
    return b"(?!/)[" + (b"^" if negated else b"") + body + b"]", end + 1
