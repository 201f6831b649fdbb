"""What stands at the destination, and what is made of it: the same for ``plan`` and ``copy``."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING, Callable, NamedTuple, Optional

from .coding import Caps, GzipUnpacker
from .faults import Fault, destination_fault
from .local import Source, kind_of, open_source_file, read_chunks

if TYPE_CHECKING:
    from .job import Job

_CHUNK_BYTES = 1 << 20


class Item(NamedTuple):
    """Something to carry over: what it is, and under which ``target`` below the destination.

    ``text`` is where a link leads. ``alone`` says that its other names are not of this copy.
    """

    source: Source
    kind: str
    status: os.stat_result
    target: bytes
    text: Optional[bytes] = None
    alone: bool = False

    @property
    def size(self) -> int:
        """Bytes of its content at the source."""
        return self.status.st_size if self.kind == "file" else 0


class Decision(NamedTuple):
    """What ``on_exists`` makes of an item: ``new``, ``replace``, ``skip`` or ``conflict``."""

    action: str
    fault: Optional[Fault] = None
    there: Optional[os.stat_result] = None


class Comparer:
    """Judges items; ``packs`` says that what is stored is the packed form of its source."""

    def __init__(self, job: "Job", on_exists: str, compare: str, packs: bool) -> None:
        self._job = job
        self._on_exists = on_exists
        self._by_digest = compare == "digest"
        self._packs = packs

    def judge(
        self, dir_fd: int, name: bytes, item: Item, on_exists: Optional[str] = None
    ) -> Decision:
        """Looks at the destination name."""
        rule = on_exists or self._on_exists
        try:
            there = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        except FileNotFoundError:
            return Decision("new")
        except OSError as error:
            return Decision("conflict", destination_fault(error, "look at the destination"))
        if stat.S_ISDIR(there.st_mode):
            return Decision("conflict", Fault("DST_TYPE", "a directory is in the way"), there)
        if rule == "fail":
            return Decision("conflict", Fault("DST_EXISTS", "the destination exists"), there)
        if rule == "skip" or (rule == "update" and self.agrees(dir_fd, name, item, there)):
            return Decision("skip", None, there)
        return Decision("replace", None, there)

    def agrees(self, dir_fd: int, name: bytes, item: Item, there: os.stat_result) -> bool:
        """Whether what stands there is up to date."""
        if kind_of(there.st_mode) != item.kind:
            return False
        if item.kind == "symlink":
            try:
                return os.readlink(name, dir_fd=dir_fd) == item.text
            except OSError:
                return False
        if item.kind == "special":
            return _special(there) == _special(item.status)
        coded = self._packs or item.source.packed
        if not coded and there.st_size != item.status.st_size:
            return False
        if self._by_digest:
            return self._same_content(dir_fd, name, item)
        return there.st_mtime_ns == item.status.st_mtime_ns

    def _same_content(self, dir_fd: int, name: bytes, item: Item) -> bool:
        theirs = Source(dir_fd, name, item.source.path, packed=self._packs)
        try:
            there = _digest(theirs, lambda count: self._job.step())
        except Fault:
            # What cannot be read, or is damaged, is not up to date.
            return False
        return there == _digest(item.source, self._job.read)


def _special(status: os.stat_result) -> "tuple[int, int]":
    device = stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)
    return stat.S_IFMT(status.st_mode), status.st_rdev if device else 0


def _digest(source: Source, read: Callable[[int], None]) -> bytes:
    """Of the plain bytes."""
    fd = open_source_file(source.name, source.dir_fd, source.path)
    try:
        value = hashlib.sha256()
        unpacker = GzipUnpacker(Caps()) if source.packed else None
        for data in read_chunks(fd, _CHUNK_BYTES, source.path):
            read(len(data))
            for plain in [data] if unpacker is None else unpacker.feed(data):
                value.update(plain)
        if unpacker is not None:
            unpacker.finish()
        return value.digest()
    finally:
        os.close(fd)
