"""What stands at the destination, and what is made of it: the same for ``plan`` and ``copy``."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Callable, List, NamedTuple, Optional

from .coding import Caps, GzipUnpacker
from .digest import Digests
from .faults import Fault, destination_fault
from .local import Source, content_of, identity, kind_of
from .state import Content

if TYPE_CHECKING:
    from .job import Job

_CHUNK_BYTES = 1 << 20
PROOF = "sha256"
"""By which two contents are the same."""


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

    @property
    def identity(self) -> str:
        """Which state of it was seen."""
        far = self.source.far
        return identity(self.status) if far is None else far.identity


class Decision(NamedTuple):
    """What ``on_exists`` makes of an item: ``new``, ``replace``, ``skip`` or ``conflict``.

    ``content`` is what stands there as it should, where that is to be listed.
    """

    action: str
    fault: Optional[Fault] = None
    there: Optional[os.stat_result] = None
    content: Optional[Content] = None


class Listing(NamedTuple):
    """Says that what stands there as it should is listed, with this digest."""

    algorithm: Optional[str]


class Comparer:
    """Judges items; ``packs`` says that what is stored is the packed form of its source."""

    def __init__(
        self,
        job: "Job",
        on_exists: str,
        compare: str,
        packs: bool,
        listing: Optional[Listing] = None,
    ) -> None:
        self._job = job
        self._listing = listing
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
        if rule == "skip":
            return Decision("skip", None, there)
        if rule != "update" or not self._may_agree(dir_fd, name, item, there):
            return Decision("replace", None, there)
        return self._update(dir_fd, name, item, there)

    def _update(self, dir_fd: int, name: bytes, item: Item, there: os.stat_result) -> Decision:
        """What is left to read decides; what cannot be read there is written anew."""
        compares = self._by_digest and item.kind == "file"
        if self._listing is None:
            same = not compares or self._same_content(dir_fd, name, item) is not None
            return Decision("skip" if same else "replace", None, there)
        if compares:
            content = self._same_content(dir_fd, name, item)
        else:
            content = self._content(dir_fd, name, item, there)
        if content is None:
            return Decision("replace", None, there)
        if item.kind == "file" and (self._packs or item.source.packed):
            content = content._replace(stored=there.st_size)
        return Decision("skip", None, there, content)

    def agrees(self, dir_fd: int, name: bytes, item: Item, there: os.stat_result) -> bool:
        """Whether what stands there is up to date."""
        if not self._may_agree(dir_fd, name, item, there):
            return False
        compares = self._by_digest and item.kind == "file"
        return not compares or self._same_content(dir_fd, name, item) is not None

    def _may_agree(self, dir_fd: int, name: bytes, item: Item, there: os.stat_result) -> bool:
        """Whether it is up to date, as far as that is told without reading contents."""
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
        return self._by_digest or there.st_mtime_ns == item.status.st_mtime_ns

    def _same_content(self, dir_fd: int, name: bytes, item: Item) -> Optional[Content]:
        """What stands there, if it is the content of ``item``."""
        algorithm = None if self._listing is None else self._listing.algorithm
        there = self._read(dir_fd, name, item, [PROOF, *filter(None, [algorithm])])
        if there is None:
            return None
        mine = read_content(self._job, item.source, [PROOF], self._job.read)
        if there.digests[PROOF] != mine.digests[PROOF]:
            return None
        return there._replace(digests={k: v for k, v in there.digests.items() if k == algorithm})

    def _content(
        self, dir_fd: int, name: bytes, item: Item, there: os.stat_result
    ) -> Optional[Content]:
        """What stands there; ``None`` where it cannot be read, or changes meanwhile."""
        algorithm = None if self._listing is None else self._listing.algorithm
        if item.kind != "file" or (algorithm is None and not self._packs):
            return Content(there.st_size, {}, [])
        content = self._read(dir_fd, name, item, list(filter(None, [algorithm])))
        try:
            after = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        except OSError:
            return None
        return content if identity(after) == identity(there) else None

    def _read(
        self, dir_fd: int, name: bytes, item: Item, algorithms: List[str]
    ) -> Optional[Content]:
        """The plain bytes that stand there; what cannot be read, or is damaged, is ``None``."""
        theirs = Source(dir_fd, name, item.source.path, packed=self._packs)
        try:
            return read_content(self._job, theirs, algorithms, self._job.pay)
        except Fault:
            return None


def _special(status: os.stat_result) -> "tuple[int, int]":
    device = stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)
    return stat.S_IFMT(status.st_mode), status.st_rdev if device else 0


def read_content(
    job: "Job", source: Source, algorithms: List[str], read: Callable[[int], None]
) -> Content:
    """The plain bytes and their digests."""
    digests, size = Digests(algorithms), 0
    unpacker = GzipUnpacker(Caps()) if source.packed else None
    for data in content_of(source, _CHUNK_BYTES):
        read(len(data))
        for plain in [data] if unpacker is None else unpacker.feed(data):
            size += len(plain)
            with job.timed("hash_ms"):
                digests.update(plain)
    if unpacker is not None:
        unpacker.finish()
    return Content(size, digests.hex(), [])
