"""Test data: seeded, and different at every position, so that a moved or repeated block shows."""

import os
import random
from pathlib import Path
from typing import Dict, Iterator, List

MIB = 1 << 20
# Around one chunk of reading, and around one part of a large file.
BOUNDARIES = (0, 1, MIB - 1, MIB, MIB + 1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1)
# Names that programs split, decode or trip over.
HOSTILE_NAMES: List[bytes] = [
    b"line\nbreak", b"not-utf8-\xff\xfe", b" leading and trailing ", b"-rf", b"back\\slash",
    b"quote'\"`$(x)", b"*?[a]{b}", b"tab\there", b"\xe2\x80\xaebidi", b"n" * 255, b".hidden",
    "e\u0301-nfd".encode(), "\u00e9-nfc".encode(), b"CASE", b"case", b".mig-almost.part",
]
# Long ago and to the nanosecond, so that a time that was not carried over shows.
OLD_NS = 1_000_000_000_123_456_789


def pieces(seed: str, size: int) -> Iterator[bytes]:
    """`size` random bytes in pieces of at most 8 MiB, each from its own seed and offset."""
    for offset in range(0, size, 8 * MIB):
        yield random.Random(f"{seed}@{offset}").randbytes(min(8 * MIB, size - offset))


def write_random(path: Path, seed: str, size: int) -> None:
    """Writes a file that cannot be compressed."""
    with path.open("wb") as file:
        for piece in pieces(seed, size):
            file.write(piece)


def write_text(path: Path, seed: str, size: int) -> None:
    """Writes a file of numbered lines, which compresses well and repeats nothing."""
    with path.open("wb") as file:
        line = 0
        while file.tell() < size:
            lines = b"".join(b"%s line %012d\n" % (seed.encode(), line + n) for n in range(1000))
            file.write(lines[: size - file.tell()])
            line += 1000


def age(path: Path, number: int) -> None:
    """Gives a file, link or directory an old time of its own."""
    time = OLD_NS + number * 1_000_000_007
    os.utime(path, ns=(time, time), follow_symlinks=False)


def write_tree(root: Path, seed: str, small: int, sizes: Dict[str, int]) -> None:
    """A tree of `small` files, files of the sizes given, odd names, links, and odd modes."""
    rng = random.Random(seed)
    folders = [root, root / "a", root / "a/b", root / "a/b/c", root / "only-empty", root / "z"]
    for folder in folders:
        folder.mkdir(parents=True)
    for n in range(small):
        write_random(rng.choice(folders[:4]) / f"f{n:05}", f"{seed}/{n}", rng.randrange(3000))
    for name, size in sizes.items():
        write_random(root / "z" / name, f"{seed}/{name}", size)
    odd = os.fsencode(root / "odd")
    os.mkdir(odd)
    for odd_name in HOSTILE_NAMES:
        with open(odd + b"/" + odd_name, "wb") as file:
            file.write(b"content of " + odd_name)
    (root / "a/link-up").symlink_to("../z")
    (root / "a/link-dangling").symlink_to("nowhere")
    (root / "link-out").symlink_to("/etc/hostname")
    dress(root, rng)


def dress(root: Path, rng: random.Random) -> None:
    """Modes and times, from the leaves up, so that nothing changes a directory afterwards."""
    everything = sorted(Path(root).rglob("*"), key=lambda path: len(path.parts), reverse=True)
    for number, path in enumerate([*everything, root]):
        if not path.is_symlink():
            modes = (0o700, 0o755, 0o750) if path.is_dir() else (0o600, 0o644, 0o755, 0o640, 0o400)
            path.chmod(rng.choice(modes))
        age(path, number)
