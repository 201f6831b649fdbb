"""``compress``: one file to a gzip file, published whole."""

from __future__ import annotations

import os
import zlib
from typing import Any, Dict, Mapping

from .. import fields as f
from ..faults import Fault, destination_fault
from ..fields import Field
from ..job import Job, Outcome
from ..local import (
    Directory,
    base_name,
    identity,
    kind_of,
    make_directories,
    open_source_file,
    read_chunks,
)
from ..names import path_fields
from ..publish import Publisher, Staged, create_file, judge
from ..state import Root
from ..transfer import ATTEMPTS, apply_metadata
from .copy import ON_EXISTS, refuse_overlap, source_status, target_of

_CHUNK_BYTES = 1 << 20
_GZIP_WINDOW = 31


def _format(value: Any, field: str) -> str:
    name: str = f.choice("gzip", "zstd", "lz4", "brotli")(value, field)
    if name != "gzip":
        raise Fault("UNSUPPORTED", "the format %s is not built" % name, field=field)
    return name


FIELDS: Dict[str, Field] = {
    "src": Field(f.local_path, required=True),
    "dst": Field(f.local_path, required=True),
    "format": Field(_format, default="gzip"),
    "level": Field(f.integer(1, 9), default=6),
    "on_exists": Field(f.choice(*ON_EXISTS), default="fail"),
    "limits": f.LIMITS,
}


def run(job: Job, params: Mapping[str, Any]) -> Outcome:
    """Compresses the file."""
    src: bytes = params["src"]
    dst = target_of(params)
    status = source_status({"src": src, "symlinks": "follow"})
    kind = kind_of(status.st_mode)
    if kind != "file":
        raise Fault("UNSUPPORTED", "only one regular file can be compressed", path=src)
    refuse_overlap(src, dst, status)
    job.phase, job.items_total, job.bytes_total = "compress", 1, status.st_size
    head, slash, name = dst.rpartition(b"/")
    above = head or slash or b"."
    job.session.note_roots(job, [Root(above, False)])
    directory, touched = make_directories(above)
    publisher = Publisher(job, True, params["on_exists"])
    for parent in touched:
        publisher.touch(parent)
        parent.drop()
    try:
        sizes = _Sizes()
        _one(job, params, directory, name, publisher, sizes, dst)
        publisher.flush()
    except BaseException:
        publisher.abort()
        raise
    finally:
        directory.drop()
    return Outcome(data=sizes.data(dst, bool(job.items_ok)))


class _Sizes:
    def __init__(self) -> None:
        self.original = self.stored = 0

    def data(self, dst: bytes, written: bool) -> Dict[str, Any]:
        """What the op answers."""
        data: Dict[str, Any] = {"dst": path_fields(dst), "format": "gzip"}
        if written:
            data["original_bytes"] = self.original
            data["stored_bytes"] = self.stored
            data["ratio"] = self.stored / self.original if self.original else 0.0
        return data


def _one(
    job: Job,
    params: Mapping[str, Any],
    directory: Directory,
    name: bytes,
    publisher: Publisher,
    sizes: _Sizes,
    dst: bytes,
) -> None:
    status = os.stat(params["src"])
    decision = judge(directory.fd, name, status, None, params["on_exists"])
    if decision.fault is not None:
        raise decision.fault.at(dst)
    if decision.action == "skip":
        job.item_skipped(base_name(params["src"]), status.st_size)
        return
    staged = create_file(job, directory, name, base_name(params["src"]))
    try:
        _fill(job, params, staged, sizes)
    except BaseException:
        staged.discard()
        raise
    staged.replace = decision.action == "replace"
    staged.size = sizes.original
    publisher.add(staged)


def _fill(job: Job, params: Mapping[str, Any], staged: Staged, sizes: _Sizes) -> None:
    src: bytes = params["src"]
    for attempt in range(ATTEMPTS):
        if attempt:
            job.retries += 1
            job.warn(Fault("SRC_CHANGED", "changed while it was read; it is read again", path=src))
        fd = open_source_file(os.path.realpath(src), None, src)
        try:
            before = os.fstat(fd)
            _squeeze(job, params["level"], fd, staged, sizes)
            after = os.fstat(fd)
        finally:
            os.close(fd)
        if identity(before) == identity(after) and sizes.original == after.st_size:
            if staged.fd is not None:
                apply_metadata(staged.fd, frozenset(("mode", "times")), after)
            return
    raise Fault("SRC_CHANGED", "the source changed while it was read", path=src)


def _squeeze(job: Job, level: int, fd: int, staged: Staged, sizes: _Sizes) -> None:
    if staged.fd is None:
        raise ValueError("a link has no content")
    os.lseek(staged.fd, 0, os.SEEK_SET)
    os.ftruncate(staged.fd, 0)
    sizes.original = sizes.stored = 0
    packer = zlib.compressobj(level, zlib.DEFLATED, _GZIP_WINDOW)
    for data in read_chunks(fd, _CHUNK_BYTES, staged.path):
        job.read(len(data))
        sizes.original += len(data)
        with job.timed("compress_ms"):
            packed = packer.compress(data)
        _write(staged, packed, sizes)
    _write(staged, packer.flush(), sizes)


def _write(staged: Staged, data: bytes, sizes: _Sizes) -> None:
    view = memoryview(data)
    sizes.stored += len(data)
    try:
        while view and staged.fd is not None:
            view = view[os.write(staged.fd, view) :]
    except OSError as error:
        raise destination_fault(error, "write the destination", staged.path) from error
