"""Files with holes: what is data in them, told by the filesystem."""

from __future__ import annotations

import errno
import os
from typing import Iterator, NamedTuple, Optional

from .faults import source_fault
from .local import read_chunks


class Piece(NamedTuple):
    """The next bytes of a file; ``data`` is ``None`` for a hole of ``length`` zeros."""

    data: Optional[bytes]
    length: int


def pieces(fd: int, chunk_bytes: int, path: bytes, holes: bool) -> Iterator[Piece]:
    """The content of ``fd`` from its beginning; with ``holes``, these are told and not read."""
    if not holes or not _is_sparse(fd):
        for data in read_chunks(fd, chunk_bytes, path):
            yield Piece(data, len(data))
        return
    at = 0
    while True:
        try:
            begin = _next_data(fd, at)
            stop = os.fstat(fd).st_size if begin is None else os.lseek(fd, begin, os.SEEK_HOLE)
        except OSError as error:
            raise source_fault(error, "look for holes", path) from error
        if begin is None:
            yield from _hole(at, stop, chunk_bytes)
            return
        yield from _hole(at, begin, chunk_bytes)
        yield from _data(fd, begin, stop, chunk_bytes, path)
        at = stop


def _is_sparse(fd: int) -> bool:
    status = os.fstat(fd)
    if status.st_blocks * 512 >= status.st_size:
        return False
    try:
        os.lseek(fd, 0, os.SEEK_DATA)
    except OSError as error:
        return error.errno == errno.ENXIO
    finally:
        os.lseek(fd, 0, os.SEEK_SET)
    return True


def _next_data(fd: int, at: int) -> Optional[int]:
    try:
        return os.lseek(fd, at, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise


def _hole(begin: int, end: int, chunk_bytes: int) -> Iterator[Piece]:
    """In steps of a chunk, so that a job can stop within a large one."""
    while begin < end:
        length = min(chunk_bytes, end - begin)
        yield Piece(None, length)
        begin += length


def _data(fd: int, begin: int, end: int, chunk_bytes: int, path: bytes) -> Iterator[Piece]:
    while begin < end:
        try:
            data = os.pread(fd, min(chunk_bytes, end - begin), begin)
        except OSError as error:
            raise source_fault(error, "read the source", path) from error
        if not data:
            # Cut short meanwhile; the comparison of sizes tells.
            return
        yield Piece(data, len(data))
        begin += len(data)
