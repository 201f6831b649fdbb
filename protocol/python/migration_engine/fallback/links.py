"""Files with several names: which name was carried over first, so that others are joined to it."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Dict, Optional, Tuple

from .compare import Item
from .digest import ContentDigests
from .faults import Fault
from .local import Directory, inode, mark, open_beneath, open_source_file, read_chunks
from .metadata import is_refusal
from .publish import Staged, create_name
from .state import Content

if TYPE_CHECKING:
    from .job import Job

_CHUNK_BYTES = 1 << 20
_NOT_LINKED = (errno.ENOENT, errno.EMLINK, errno.EXDEV)


class First:
    """The first name of a file: where it stands below the destination, and what is known of it.

    ``temp`` is its name until it is published.
    """

    def __init__(self, item: Item, temp: bytes, mark_: str, content: Optional[Content]) -> None:
        self.target = item.target
        self.temp = temp
        self.mark = mark_
        self.content = content
        self.size = item.status.st_size
        self.mtime_ns = item.status.st_mtime_ns
        self.left = item.status.st_nlink - 1

    def fits(self, item: Item) -> bool:
        """Whether ``item`` is still what was carried over."""
        return (self.size, self.mtime_ns) == (item.status.st_size, item.status.st_mtime_ns)


class Links:
    """The files of one copy that have names to come; ``kept`` says whether they are joined."""

    def __init__(self, job: "Job", kept: bool) -> None:
        self._job = job
        self._kept = kept
        self._firsts: Dict[Tuple[int, int], First] = {}

    def _has_others(self, item: Item) -> bool:
        return self._kept and not item.alone and item.status.st_nlink > 1

    def find(self, item: Item) -> Optional[First]:
        """The first name of this file, if one was carried over."""
        if not self._has_others(item):
            return None
        first = self._firsts.get(inode(item.status))
        if first is not None:
            first.left -= 1
            if first.left <= 0:
                self.forget(item)
        return first

    def stands(self, item: Item, first: First) -> bool:
        """Makes this name the first one, unless there is one already; whether it is."""
        if not self._has_others(item):
            return True
        return self._firsts.setdefault(inode(item.status), first) is first

    def forget(self, item: Item) -> None:
        """The next name is a first one again."""
        self._firsts.pop(inode(item.status), None)

    def join(
        self, first: First, item: Item, root: Directory, directory: Directory, name: bytes
    ) -> Optional[Staged]:
        """One more name of ``first``, to be published; ``None`` where that cannot be."""
        if not first.fits(item):
            return None
        *above, last = first.target.split(b"/")
        try:
            fd = open_beneath(root.fd, above)
        except OSError:
            return None
        try:
            staged = self._link(first, item, fd, last, directory, name)
        finally:
            os.close(fd)
        if staged is not None and mark(staged.status()) != first.mark:
            # Something else stands under that name by now.
            staged.discard()
            return None
        return staged

    def _link(
        self,
        first: First,
        item: Item,
        fd: int,
        last: bytes,
        directory: Directory,
        name: bytes,
    ) -> Optional[Staged]:
        for other in (first.temp, last):
            if not other:
                continue
            try:
                return create_name(self._job, directory, name, item.source.path, fd, other)
            except Fault as fault:
                error = fault.cause
                if error is None or not (error.errno in _NOT_LINKED or is_refusal(error)):
                    raise
                if error.errno != errno.ENOENT:
                    return None
        return None


def content_of(job: "Job", item: Item, algorithm: Optional[str], ranged: bool) -> Content:
    """What is in a source whose first name was not carried over by this command."""
    if item.kind != "file":
        return Content(0, {}, [])
    fd = open_source_file(item.source.name, item.source.dir_fd, item.source.path)
    try:
        digests = ContentDigests(algorithm, ranged)
        if algorithm is not None:
            for data in read_chunks(fd, _CHUNK_BYTES, item.source.path):
                job.read(len(data))
                digests.update(data)
        return Content(item.status.st_size, digests.finish(), digests.ranges)
    finally:
        os.close(fd)
