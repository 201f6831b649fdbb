"""One item from source to a temporary one beside its destination, digested on the way."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Callable, FrozenSet, Iterator, NamedTuple, Optional

from .coding import CAPS_DEFAULT, Caps, GzipPacker, GzipUnpacker
from .digest import LARGE_BYTES, ContentDigests, Digests
from .faults import Fault, destination_fault, source_fault
from .local import Directory, Source, identity, open_source_file, read_chunks
from .metadata import Attributes, Entry, apply_attributes, read_attributes
from .publish import Staged, create_file, create_link, create_special
from .sparse import Piece, pieces

if TYPE_CHECKING:
    from .job import Job
    from .objects.stores import Elsewhere

ATTEMPTS = 3


class Rules(NamedTuple):
    """How items are carried over.

    ``ranged`` asks for digests of ranges too, ``pack`` for gzip of this level. What is decoded
    stays within ``caps``.
    """

    algorithm: Optional[str]
    verify: str
    preserve: FrozenSet[str]
    chunk_bytes: int
    ranged: bool = False
    pack: Optional[int] = None
    caps: Caps = CAPS_DEFAULT


def stage_file(
    job: "Job", rules: Rules, source: Source, directory: Directory, name: bytes
) -> Staged:
    """Copies content and metadata; the source is read again while it changes underneath."""
    staged = create_file(job, directory, name, source.path)
    try:
        for attempt in range(ATTEMPTS):
            if attempt:
                start_over(job, staged)
            given = _fill(job, rules, source, staged)
            if given is not None:
                _finish_file(job, rules, given, staged)
                return staged
        raise Fault("SRC_CHANGED", "the source changed while it was read", path=source.path)
    except BaseException:
        staged.discard()
        raise


def stage_link(
    job: "Job", rules: Rules, source: Source, directory: Directory, name: bytes
) -> Staged:
    """Copies a link as it is."""
    given = _attributes(rules, source)
    staged = create_link(job, directory, name, source.path, link_text(source))
    return _dress(rules, given, staged)


def stage_special(
    job: "Job", rules: Rules, source: Source, directory: Directory, name: bytes
) -> Staged:
    """Makes a fifo, socket or device like the source, which is not opened."""
    given = _attributes(rules, source)
    staged = create_special(job, directory, name, source.path, given.status)
    return _dress(rules, given, staged)


def link_text(source: Source) -> bytes:
    """Where a link leads, as it is written."""
    try:
        return os.readlink(source.name, dir_fd=source.dir_fd)
    except OSError as error:
        raise source_fault(error, "read the link", source.path) from error


def _attributes(rules: Rules, source: Source) -> Attributes:
    """Those of what is not opened."""
    try:
        status = os.stat(source.name, dir_fd=source.dir_fd, follow_symlinks=False)
        if source.dir_fd is None:
            return Attributes(status, {})
        return read_attributes(Entry(source.dir_fd, source.name), status, rules.preserve)
    except OSError as error:
        raise source_fault(error, "read the source", source.path) from error


def _dress(rules: Rules, given: Attributes, staged: Staged) -> Staged:
    staged.source = identity(given.status)
    try:
        staged.lost = apply_attributes(
            Entry(staged.directory.fd, staged.temp), rules.preserve, given
        )
    except OSError as error:
        staged.discard()
        raise destination_fault(error, "set the metadata", staged.path) from error
    return staged


def start_over(job: "Job", staged: Staged) -> None:
    """Empties the temporary file, since its source changed."""
    job.retries += 1
    job.warn(Fault("SRC_CHANGED", "changed while it was read; it is read again", path=staged.path))
    fd = staged.file()
    try:
        os.lseek(fd, 0, os.SEEK_SET)
        os.ftruncate(fd, 0)
    except OSError as error:
        raise destination_fault(error, "start over", staged.path) from error


def _fill(job: "Job", rules: Rules, source: Source, staged: Staged) -> Optional[Attributes]:
    """Writes the content; the source's attributes, or ``None`` where it changed meanwhile."""
    if source.far is not None:
        return _fill_from_far(job, rules, source, source.far, staged)
    with job.timed("source_read_ms"):
        fd = open_source_file(source.name, source.dir_fd, source.path)
    try:
        before = os.fstat(fd)
        given = _attributes_of(fd, before, rules, source)
        coded = source.packed or rules.pack is not None
        ranged = rules.ranged and not coded and before.st_size >= LARGE_BYTES
        digests = ContentDigests(rules.algorithm, ranged)
        try:
            holes = "holes" in rules.preserve and not coded
            found = pieces(fd, rules.chunk_bytes, source.path, holes)
            size = _pour(job, rules, source, found, staged, digests)
        except Fault as fault:
            # A source that is being written may well look damaged.
            if fault.code != "SRC_CORRUPT" or identity(before) == identity(os.fstat(fd)):
                raise
            return None
        after = os.fstat(fd)
    finally:
        os.close(fd)
    if identity(before) != identity(after) or size != after.st_size:
        return None
    with contextlib.suppress(OSError):
        now = os.stat(source.name, dir_fd=source.dir_fd, follow_symlinks=False)
        if identity(now) == identity(after):
            staged.source = identity(after)
            staged.digests, staged.ranges = digests.finish(), digests.ranges
            return given._replace(status=after)
    return None


def _fill_from_far(
    job: "Job", rules: Rules, source: Source, far: "Elsewhere", staged: Staged
) -> Optional[Attributes]:
    """As :func:`_fill`, of what is not on this machine."""
    try:
        content = far.open()
        try:
            coded = source.packed or rules.pack is not None
            ranged = rules.ranged and not coded and content.status.st_size >= LARGE_BYTES
            digests = ContentDigests(rules.algorithm, ranged)
            found = (Piece(data, len(data)) for data in content.chunks(rules.chunk_bytes))
            _pour(job, rules, source, found, staged, digests)
        finally:
            content.close()
    except Fault as fault:
        if fault.code != "SRC_CHANGED":
            raise
        return None
    staged.source = content.identity
    staged.digests, staged.ranges = digests.finish(), digests.ranges
    return content.attributes(rules.preserve)


def _attributes_of(fd: int, status: os.stat_result, rules: Rules, source: Source) -> Attributes:
    try:
        return read_attributes(fd, status, rules.preserve)
    except OSError as error:
        raise source_fault(error, "read the attributes", source.path) from error


def _pour(
    job: "Job",
    rules: Rules,
    source: Source,
    found: Iterator[Piece],
    staged: Staged,
    digests: ContentDigests,
) -> int:
    """Writes what was ``found``; the bytes of the source."""
    size = 0
    unpacker = GzipUnpacker(rules.caps) if source.packed else None
    output = Output(job, staged, rules.pack)
    try:
        for piece in paid(job, found):
            size += piece.length
            if unpacker is None:
                _carry(job, piece, digests, output)
                continue
            for data in unpacker.feed(piece.data or b""):
                _carry(job, Piece(data, len(data)), digests, output)
        if unpacker is not None:
            unpacker.finish()
    except Fault as fault:
        raise fault.at(source.path) from fault
    output.finish()
    if unpacker is not None:
        staged.stored = output.stored
    return size


def paid(job: "Job", found: Iterator[Piece]) -> Iterator[Piece]:
    """The pieces of a source, paid for as they are read."""
    while True:
        with job.timed("source_read_ms"):
            piece = next(found, None)
        if piece is None:
            return
        if piece.data is None:
            job.skim(piece.length)
        else:
            job.read(piece.length)
        yield piece


def _carry(job: "Job", piece: Piece, digests: ContentDigests, output: "Output") -> None:
    with job.timed("hash_ms"):
        if piece.data is None:
            digests.zeros(piece.length)
        else:
            digests.update(piece.data)
    if piece.data is None:
        output.hole(piece.length)
    else:
        output.write(piece.data)


class Mark(NamedTuple):
    """A state of an :class:`Output`."""

    packer: Optional[GzipPacker]
    plain: int
    stored: int


class Output:
    """Writes a temporary file, packed where a level is given; counts what went through."""

    def __init__(self, job: "Job", staged: Staged, level: Optional[int]) -> None:
        self._job = job
        self._staged = staged
        self._packer = GzipPacker(level) if level is not None else None
        self._ends_in_hole = False
        self.plain = self.stored = 0

    def write(self, data: bytes) -> None:
        """Takes the next bytes."""
        self.plain += len(data)
        if self._packer is not None:
            with self._job.timed("compress_ms"):
                data = self._packer.take(data)
        self._put(data)

    def hole(self, length: int) -> None:
        """Leaves a hole; only in what is not packed."""
        self.plain += length
        self.stored += length
        self._ends_in_hole = True
        self._do("write the destination", lambda fd: os.lseek(fd, length, os.SEEK_CUR))

    def mark(self) -> "Mark":
        """Where this is now, to come back to."""
        packer = None if self._packer is None else self._packer.copy()
        return Mark(packer, self.plain, self.stored)

    def rewind(self, mark: "Mark") -> None:
        """Takes back what was written since ``mark``, which is used up."""
        self._packer, self.plain, self.stored = mark
        self._do("start over", lambda fd: os.ftruncate(fd, self.stored))
        self._do("start over", lambda fd: os.lseek(fd, self.stored, os.SEEK_SET))

    def finish(self) -> None:
        """Writes what is left and notes the sizes."""
        if self._packer is not None:
            with self._job.timed("compress_ms"):
                data = self._packer.finish()
            self._put(data)
        if self._ends_in_hole:
            self._do("write the destination", lambda fd: os.ftruncate(fd, self.stored))
        self._staged.size = self.plain
        self._staged.stored = None if self._packer is None else self.stored

    def _put(self, data: bytes) -> None:
        self.stored += len(data)
        if data:
            self._ends_in_hole = False
            self._do("write the destination", lambda fd: _write_all(fd, data))

    def _do(self, doing: str, call: Callable[[int], object]) -> None:
        with self._job.timed("destination_write_ms"):
            try:
                call(self._staged.file())
            except OSError as error:
                raise destination_fault(error, doing, self._staged.path) from error


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _finish_file(job: "Job", rules: Rules, given: Attributes, staged: Staged) -> None:
    try:
        staged.lost = apply_attributes(staged.file(), rules.preserve, given)
    except OSError as error:
        raise destination_fault(error, "set the metadata", staged.path) from error
    if rules.verify == "readback":
        with job.timed("sync_ms"):
            _drop_cached(staged)
            _read_back(job, rules, staged)
    elif rules.verify == "decode":
        _read_back(job, rules, staged)


def _drop_cached(staged: Staged) -> None:
    """So that it is read again from the device."""
    try:
        os.fsync(staged.file())
        os.posix_fadvise(staged.file(), 0, 0, os.POSIX_FADV_DONTNEED)
    except OSError as error:
        raise destination_fault(error, "sync the destination", staged.path) from error


def _read_back(job: "Job", rules: Rules, staged: Staged) -> None:
    """Reads the temporary file again and compares its plain bytes with what was read."""
    if rules.algorithm is None:
        raise ValueError("a read back needs a digest")
    if _digest_of(job, rules, staged, rules.algorithm) != staged.digests[rules.algorithm]:
        message = "what was read back is not what was written"
        raise Fault("VERIFY_MISMATCH", message, path=staged.path)


def _digest_of(job: "Job", rules: Rules, staged: Staged, algorithm: str) -> Optional[str]:
    fd = staged.file()
    os.lseek(fd, 0, os.SEEK_SET)
    digests = Digests([algorithm])
    unpacker = None if rules.pack is None else GzipUnpacker(Caps.none())
    try:
        for data in read_chunks(fd, rules.chunk_bytes, staged.path):
            job.step()
            for plain in [data] if unpacker is None else unpacker.feed(data):
                digests.update(plain)
        if unpacker is not None:
            unpacker.finish()
    except Fault as fault:
        if fault.code != "SRC_CORRUPT":
            raise
        return None
    return digests.hex()[algorithm]
