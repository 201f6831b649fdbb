"""A tree to a tar archive: whole members only, whatever happens to their sources meanwhile."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Dict, List, Mapping, NamedTuple, Optional, Tuple

from .archive import end, header, padding
from .coding import Caps, GzipUnpacker
from .faults import ENDS_JOB, Fault, source_fault
from .glob import Selection
from .local import (
    Source,
    Walk,
    identity,
    inode,
    kind_of,
    open_source_directory,
    open_source_file,
    read_chunks,
)
from .metadata import Entry, Held, read_attributes
from .publish import Staged
from .transfer import ATTEMPTS, Output, link_text

if TYPE_CHECKING:
    from .job import Job

_CHUNK_BYTES = 1 << 20
_ASKED = frozenset(("mode", "setuid", "xattrs", "acls"))
"""The group's bits of a mode depend on the access list; what is not kept is told."""


class _First(NamedTuple):
    """The first name of a file, with the mode that is kept."""

    path: bytes
    mode: int


class _Content(NamedTuple):
    """A file that is written, with the mode that is kept and the kinds of metadata that are not."""

    size: int
    mode: int
    lost: List[str]


class Bundler:
    """Writes ``staged``; ``level`` is that of gzip, ``None`` for a plain archive."""

    def __init__(self, job: "Job", staged: Staged, level: Optional[int], verify: bool) -> None:
        self._job = job
        self._staged = staged
        self._packed = level is not None
        self._output = Output(job, staged, level)
        self._value = hashlib.sha256() if verify else None
        self._firsts: Dict[Tuple[int, int], _First] = {}
        self.original = 0

    @property
    def stored(self) -> int:
        """Bytes of the archive."""
        return self._output.stored

    def run(self, src: bytes, name: bytes, params: Mapping[str, object]) -> None:
        """Takes the whole source in; of one that is no directory, it is the only member."""
        status = os.stat(src)
        if kind_of(status.st_mode) == "directory":
            self._tree(src, params)
        else:
            self._one(Source(None, os.path.realpath(src), name), name, "file", status)
        self._put(end(self._output.plain))
        self._output.finish()
        if self._value is not None:
            self._decode()

    def _tree(self, src: bytes, params: Mapping[str, object]) -> None:
        include, exclude = params["include"], params["exclude"]
        selection = Selection(include, exclude)  # type: ignore[arg-type]
        fd = open_source_directory(src)
        try:
            if selection.takes_all:
                self._directory(fd, b".", os.fstat(fd))
            for entry in Walk(fd, selection):
                self._job.step()
                if entry.fault is not None:
                    self._job.item_failed(entry.path, entry.fault)
                elif entry.what == "enter" and selection.takes_all:
                    self._directory(entry.fd, entry.path, entry.st)
                elif entry.what == "item":
                    source = Source(entry.fd, entry.name, entry.path)
                    self._one(source, entry.path, entry.kind, entry.st)
        finally:
            os.close(fd)

    def _directory(self, fd: int, path: bytes, status: os.stat_result) -> None:
        try:
            mode, lost = self._mode(fd, status)
        except Fault as fault:
            if fault.code in ENDS_JOB:
                raise
            self._job.item_failed(path, fault)
            # What its list gives the group is not known: nothing.
            mode, lost = status.st_mode & ~0o070, []
        self._put(header(path, "directory", status, mode))
        self._job.losses.add(self._job, lost, path)

    def _mode(self, held: Held, status: os.stat_result) -> Tuple[int, List[str]]:
        """The mode that is kept, and what is not.

        With an access list, the group's bits are its mask.
        """
        try:
            given = read_attributes(held, status, _ASKED)
        except OSError as error:
            raise source_fault(error, "read the attributes") from error
        lost = ["xattrs"] if given.cut or given.has("xattrs") else []
        if not given.has("acls"):
            return status.st_mode, lost
        return given.plain_mode, [*lost, "acls"]

    def _one(self, source: Source, path: bytes, kind: str, status: os.stat_result) -> None:
        job = self._job
        mark, value = self._output.mark(), self._value and self._value.copy()
        try:
            job.begin_item(path, status.st_size if kind == "file" else 0)
            if kind in ("symlink", "special"):
                text = link_text(source) if kind == "symlink" else b""
                if source.dir_fd is None:
                    raise Fault("INTERNAL", "an entry without a directory", path=path)
                mode, lost = self._mode(Entry(source.dir_fd, source.name), status)
                self._put(header(path, kind, status, mode, text))
                job.losses.add(job, lost, path)
                job.item_ok(path)
            else:
                self._file(source, path, status)
        except Fault as fault:
            if fault.code in ENDS_JOB or fault.code.startswith("DST_"):
                raise
            self._output.rewind(mark)
            self._value = value
            job.item_failed(path, fault)

    def _file(self, source: Source, path: bytes, status: os.stat_result) -> None:
        first = self._firsts.get(inode(status)) if status.st_nlink > 1 else None
        if first is not None:
            self._put(header(path, "again", status, first.mode, first.path))
            self._job.item_ok(path)
            return
        for attempt in range(ATTEMPTS):
            mark, value = self._output.mark(), self._value and self._value.copy()
            content = self._content(source, path)
            if content is not None:
                if status.st_nlink > 1:
                    self._firsts[inode(status)] = _First(path, content.mode)
                self.original += content.size
                self._job.losses.add(self._job, content.lost, path)
                self._job.item_ok(path, content.size)
                return
            self._output.rewind(mark)
            self._value = value
            if attempt < ATTEMPTS - 1:
                self._job.retries += 1
                message = "changed while it was read; it is read again"
                self._job.warn(Fault("SRC_CHANGED", message, path=path))
        raise Fault("SRC_CHANGED", "the source changed while it was read")

    def _content(self, source: Source, path: bytes) -> Optional["_Content"]:
        """Header and content; what was written, or ``None`` where they changed meanwhile."""
        fd = open_source_file(source.name, source.dir_fd, path)
        try:
            before = os.fstat(fd)
            mode, lost = self._mode(fd, before)
            self._put(header(path, "file", before, mode))
            size = 0
            for data in read_chunks(fd, _CHUNK_BYTES, path):
                self._job.read(len(data))
                size += len(data)
                if size > before.st_size:
                    return None
                self._put(data)
            if size != before.st_size or identity(os.fstat(fd)) != identity(before):
                return None
            self._put(padding(size))
            return _Content(size, mode, lost)
        except OSError as error:
            raise source_fault(error, "read the source") from error
        finally:
            os.close(fd)

    def _put(self, data: bytes) -> None:
        if self._value is not None:
            self._value.update(data)
        self._output.write(data)

    def _decode(self) -> None:
        """Reads the archive again, decoded, and compares it with what was written."""
        fd, path = self._staged.file(), self._staged.path
        os.lseek(fd, 0, os.SEEK_SET)
        value = hashlib.sha256()
        unpacker = GzipUnpacker(Caps.none()) if self._packed else None
        try:
            for data in read_chunks(fd, _CHUNK_BYTES, path):
                self._job.step()
                for plain in [data] if unpacker is None else unpacker.feed(data):
                    value.update(plain)
            if unpacker is not None:
                unpacker.finish()
        except Fault as fault:
            if fault.code != "SRC_CORRUPT":
                raise
            value.update(b"damaged")
        if self._value is None or value.digest() != self._value.digest():
            raise Fault("VERIFY_MISMATCH", "what was decoded is not what was read", path=path)
