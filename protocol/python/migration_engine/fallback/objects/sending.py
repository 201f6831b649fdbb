"""One item from its source to an object, digested on the way."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Callable, List, NamedTuple, Optional

from ..coding import GzipPacker, GzipUnpacker
from ..compare import Item
from ..digest import LARGE_BYTES, ContentDigests
from ..faults import Fault
from ..metadata import Attributes
from ..state import Content
from ..transfer import ATTEMPTS, Rules
from .opened import Opened, open_item
from .uploads import Upload

if TYPE_CHECKING:
    from ..job import Job

Begin = Callable[[Attributes, Optional[int]], "tuple[Upload, List[str]]"]
"""Begins the object of a source with these attributes, of so many bytes where that is known.

Told with it is what the object cannot hold.
"""
Note = Callable[[str, Content], None]
"""Hears of the source's state and the content just before the object is shown."""


class Sent(NamedTuple):
    """An object that was made: its version, and what it could not hold of its source."""

    version: str
    content: Content
    status: os.stat_result
    lost: List[str]


def send_file(job: "Job", rules: Rules, item: Item, begin: Begin, note: Note) -> Sent:
    """Makes an object of a file; the source is read again while it changes underneath."""
    for attempt in range(ATTEMPTS):
        if attempt:
            job.retries += 1
            message = "changed while it was read; it is read again"
            job.warn(Fault("SRC_CHANGED", message, path=item.source.path))
        sent = _Sending(job, rules, item).run(begin, note)
        if sent is not None:
            return sent
    raise Fault("SRC_CHANGED", "the source changed while it was read", path=item.source.path)


class _Sending:
    def __init__(self, job: "Job", rules: Rules, item: Item) -> None:
        self._job = job
        self._rules = rules
        self._source = item.source
        coded = item.source.packed or rules.pack is not None
        self._coded = coded
        ranged = rules.ranged and not coded and item.size >= LARGE_BYTES
        self._digests = ContentDigests(rules.algorithm, ranged)
        self._plain = 0

    def run(self, begin: Begin, note: Note) -> Optional[Sent]:
        """The object; ``None`` where the source changed meanwhile."""
        with self._job.timed("source_read_ms"):
            try:
                opened = open_item(self._source)
            except Fault as fault:
                if fault.code != "SRC_CHANGED":
                    raise
                return None
        try:
            return self._made(opened, begin, note)
        finally:
            opened.close()

    def _made(self, opened: Opened, begin: Begin, note: Note) -> Optional[Sent]:
        status = opened.status
        given = opened.attributes(self._rules.preserve)
        upload, lost = begin(given, None if self._coded else status.st_size)
        try:
            size = self._pour(opened, upload)
            if not opened.unchanged(size):
                upload.abort()
                return None
            stored = upload.size if self._coded else None
            content = Content(self._plain, self._digests.finish(), self._digests.ranges, stored)
            note(opened.identity, content)
            version = upload.finish()
        except Fault as fault:
            upload.abort()
            # A source that is being written may well look damaged.
            damaged = fault.code == "SRC_CORRUPT" and not opened.unchanged(status.st_size)
            if fault.code == "SRC_CHANGED" or damaged:
                return None
            raise
        except BaseException:
            upload.abort()
            raise
        return Sent(version, content, status, lost)

    def _pour(self, opened: Opened, upload: Upload) -> int:
        """Sends the content; the bytes of the source."""
        rules, size = self._rules, 0
        unpacker = GzipUnpacker(rules.caps) if self._source.packed else None
        packer = GzipPacker(rules.pack) if rules.pack is not None else None
        chunks = opened.chunks(rules.chunk_bytes)
        while True:
            with self._job.timed("source_read_ms"):
                data = next(chunks, b"")
            if not data:
                break
            size += len(data)
            self._job.read(len(data))
            for plain in [data] if unpacker is None else unpacker.feed(data):
                self._carry(plain, packer, upload)
        if unpacker is not None:
            unpacker.finish()
        if packer is not None:
            upload.write(packer.finish())
        return size

    def _carry(self, plain: bytes, packer: Optional[GzipPacker], upload: Upload) -> None:
        self._plain += len(plain)
        with self._job.timed("hash_ms"):
            self._digests.update(plain)
        if packer is not None:
            with self._job.timed("compress_ms"):
                plain = packer.take(plain)
        upload.write(plain)
