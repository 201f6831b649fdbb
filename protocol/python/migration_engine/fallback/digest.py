"""Digests by their names on the wire."""

from __future__ import annotations

import hashlib
from typing import Callable, Dict, Optional, Protocol, Sequence

from .crc import crc32c, crc64nvme


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


def algorithm_of(hex_length: int) -> Optional[str]:
    """The algorithm whose digests have this many hex digits in coreutils' form."""
    return _BY_HEX_LENGTH.get(hex_length)
