"""Digests by their names on the wire."""

from __future__ import annotations

import hashlib
from typing import Callable, Dict, List, Optional, Protocol, Sequence

from .crc import Crc, crc32c, crc64nvme


class Hasher(Protocol):
    """What :mod:`hashlib` objects and the CRCs share."""

    def update(self, data: bytes, /) -> None:
        """Feeds ``data``."""

    def hexdigest(self) -> str:
        """The value so far, in lower-case hex."""


_MAKERS: Dict[str, Callable[[], Hasher]] = {
    "crc64nvme": crc64nvme,
    "crc32c": crc32c,
    "sha256": lambda: hashlib.sha256(),
    "md5": lambda: hashlib.md5(usedforsecurity=False),
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
}
RANGE_BYTES = 8 << 20
"""Length of the ranges of a large file that have digests of their own in a manifest."""
LARGE_BYTES = 2 * RANGE_BYTES
_ZEROS = bytes(64 << 10)
_BY_HEX_LENGTH = {8: "crc32c", 16: "crc64nvme", 32: "md5", 40: "sha1", 64: "sha256"}


class Digests:
    """Several digests of the same bytes, in one pass."""

    def __init__(self, algorithms: Sequence[str]) -> None:
        self._hashers = {name: _MAKERS[name]() for name in algorithms}

    def update(self, data: bytes) -> None:
        """Feeds ``data`` to all of them."""
        for hasher in self._hashers.values():
            hasher.update(data)

    def hex(self) -> Dict[str, str]:
        """The values by algorithm."""
        return {name: hasher.hexdigest() for name, hasher in self._hashers.items()}


class ContentDigests:
    """The digest of a file's content, and with ``ranged`` CRCs of its ranges, in one pass."""

    def __init__(self, algorithm: Optional[str], ranged: bool) -> None:
        self._algorithm = algorithm
        self._whole = _MAKERS[algorithm]() if algorithm is not None else None
        self._ranged = ranged
        self._crc = crc32c if algorithm == "crc32c" else crc64nvme
        self._joins = algorithm == range_algorithm(algorithm)
        self._range: Optional[Crc] = None
        self._held = 0
        self.ranges: List[str] = []

    def update(self, data: bytes) -> None:
        """Feeds ``data``."""
        if self._whole is not None and not (self._ranged and self._joins):
            self._whole.update(data)
        if not self._ranged:
            return
        view = memoryview(data)
        while view:
            part = view[: RANGE_BYTES - self._held]
            view = view[len(part) :]
            self._range = self._range or self._crc()
            self._range.update(bytes(part))
            self._held += len(part)
            if self._held == RANGE_BYTES:
                self._end_range()

    def zeros(self, count: int) -> None:
        """Feeds ``count`` zero bytes."""
        while count:
            part = _ZEROS[:count]
            self.update(part)
            count -= len(part)

    def _end_range(self) -> None:
        if self._range is None:
            return
        if self._joins and isinstance(self._whole, Crc):
            # The value of a CRC is put together from those of its ranges.
            self._whole.append(self._range, self._held)
        self.ranges.append(self._range.hexdigest())
        self._range, self._held = None, 0

    def finish(self) -> Dict[str, str]:
        """The value by algorithm; empty where none was asked for."""
        self._end_range()
        if self._whole is None or self._algorithm is None:
            return {}
        return {self._algorithm: self._whole.hexdigest()}


def range_algorithm(algorithm: Optional[str]) -> str:
    """The algorithm for ranges beside this one of the whole: a CRC, which is put together."""
    return "crc32c" if algorithm == "crc32c" else "crc64nvme"


def algorithm_of(hex_length: int) -> Optional[str]:
    """The algorithm whose digests have this many hex digits in coreutils' form."""
    return _BY_HEX_LENGTH.get(hex_length)
