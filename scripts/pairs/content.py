"""Content that tells at every word which seed it has and where it stands, and digests of files."""

import hashlib
import zlib
from array import array
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator

MIB = 1 << 20
# Bits of a word that number it: enough for 8 TiB. The others are the seed's.
NUMBER_BITS = 40


def words(seed: str, size: int) -> Iterator[bytes]:
    """`size` bytes in pieces of 1 MiB, the last word cut where it must be."""
    base = (zlib.crc32(seed.encode()) & 0xFFFFFF) << NUMBER_BITS
    for offset in range(0, size, MIB):
        first, rest = base + offset // 8, min(MIB, size - offset)
        yield array("Q", range(first, first + (rest + 7) // 8)).tobytes()[:rest]


def write(path: Path, seed: str, size: int) -> None:
    """Writes a file of such words."""
    with path.open("wb") as file:
        file.writelines(words(seed, size))


def read(path: Path) -> Iterator[bytes]:
    """The content of a file, in pieces."""
    with path.open("rb") as file:
        while piece := file.read(MIB):
            yield piece


def digests(pieces: Iterable[bytes], *names: str) -> Dict[str, Any]:
    """The digests of these names in hex, and the `size`."""
    hashes = {name: hashlib.new(name) for name in names}
    size = 0
    for piece in pieces:
        size += len(piece)
        for one in hashes.values():
            one.update(piece)
    return {"size": size, **{name: one.hexdigest() for name, one in hashes.items()}}
