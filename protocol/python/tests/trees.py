"""Seeded random trees, and what a tree holds, to compare two of them."""

import os
import random
import stat
from pathlib import Path
from typing import Dict, Tuple

from . import scratch

_LETTERS = [b"a", b"b", b"-", b" ", b".", b"\n", b"\xff", "é".encode(), b"'", b"\\", b"%"]


def make(root: Path, seed: int) -> None:
    """A tree of files, directories, links and fifos with awkward names."""
    chance = random.Random(seed)
    root.mkdir()
    _fill(os.fsencode(root), chance, depth=0)


def _fill(directory: bytes, chance: random.Random, depth: int) -> None:
    for _ in range(chance.randint(1, 6)):
        name = b"".join(chance.choices(_LETTERS, k=chance.randint(1, 8)))
        path = os.path.join(directory, name)
        if name in (b".", b"..") or os.path.lexists(path):
            continue
        kind = chance.choice("fffffddls" if depth < 3 else "fffl")
        if kind == "f":
            size = chance.choice([0, 1, 100, 4096, 70_000, 300_000])
            with open(path, "wb") as file:
                file.write(scratch.pattern(size))
            os.chmod(path, chance.choice([0o644, 0o600, 0o755, 0o4755, 0o440]))
        elif kind == "d":
            os.mkdir(path)
            _fill(path, chance, depth + 1)
            os.chmod(path, chance.choice([0o755, 0o700]))
        elif kind == "l":
            os.symlink(chance.choice([b"a", b"nowhere", b"../a", b"\xff", b"."]), path)
        else:
            os.mkfifo(path)
        when = 10**9 * chance.randint(10**9, 17 * 10**8) + chance.randint(0, 10**9 - 1)
        if kind != "l":
            os.utime(path, ns=(when, when))
    os.utime(directory, ns=(10**18 + depth, 10**18 + depth))


def facts(root: Path) -> Dict[bytes, Tuple[object, ...]]:
    """Kind, mode, time and content of every entry."""
    base = os.fsencode(root)
    found: Dict[bytes, Tuple[object, ...]] = {}
    for above, dirs, files in os.walk(base):
        for name in [*dirs, *files]:
            path = os.path.join(above, name)
            found[path[len(base) + 1 :]] = _facts(path)
    return found


def _facts(path: bytes) -> Tuple[object, ...]:
    status = os.lstat(path)
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFLNK:
        return (kind, os.readlink(path))
    mode = stat.S_IMODE(status.st_mode)
    if kind == stat.S_IFREG:
        with open(path, "rb") as file:
            return (kind, mode, status.st_mtime_ns, file.read())
    return (kind, mode, status.st_mtime_ns)
