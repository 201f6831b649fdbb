"""One file from source to a temporary file beside its destination, digested on the way."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, FrozenSet, NamedTuple, Optional

from .digest import Digests
from .faults import Fault, destination_fault, source_fault
from .local import Directory, identity, open_source_file, read_chunks
from .publish import Staged, create_file, create_link

if TYPE_CHECKING:
    from .job import Job

ATTEMPTS = 3


class Rules(NamedTuple):
    """How files are carried over."""

    algorithm: Optional[str]
    verify: str
    preserve: FrozenSet[str]
    chunk_bytes: int


class Source(NamedTuple):
    """A file or link to carry over: entry ``name`` of the directory ``dir_fd``."""

    dir_fd: Optional[int]
    name: bytes
    path: bytes


def stage_file(
    job: "Job", rules: Rules, source: Source, directory: Directory, name: bytes
) -> Staged:
    """Copies content and metadata; the source is read again while it changes underneath."""
    staged = create_file(job, directory, name, source.path)
    try:
        for attempt in range(ATTEMPTS):
            if attempt:
                _start_over(job, staged)
            status = _fill(job, rules, source, staged)
            if status is not None:
                _finish_file(job, rules, status, staged)
                return staged
        raise Fault("SRC_CHANGED", "the source changed while it was read", path=source.path)
    except BaseException:
        staged.discard()
        raise


def stage_link(
    job: "Job", rules: Rules, source: Source, directory: Directory, name: bytes
) -> Staged:
    """Copies a link as it is."""
    try:
        status = os.stat(source.name, dir_fd=source.dir_fd, follow_symlinks=False)
        text = os.readlink(source.name, dir_fd=source.dir_fd)
    except OSError as error:
        raise source_fault(error, "read the link", source.path) from error
    staged = create_link(job, directory, name, source.path, text)
    staged.source = identity(status)
    try:
        if "owner" in rules.preserve:
            os.chown(
                staged.temp,
                status.st_uid,
                status.st_gid,
                dir_fd=directory.fd,
                follow_symlinks=False,
            )
        if "times" in rules.preserve:
            times = (status.st_atime_ns, status.st_mtime_ns)
            os.utime(staged.temp, ns=times, dir_fd=directory.fd, follow_symlinks=False)
    except OSError as error:
        staged.discard()
        raise destination_fault(error, "set the link's metadata", source.path) from error
    return staged


def _start_over(job: "Job", staged: Staged) -> None:
    job.retries += 1
    job.warn(Fault("SRC_CHANGED", "changed while it was read; it is read again", path=staged.path))
    fd = _open_fd(staged)
    try:
        os.lseek(fd, 0, os.SEEK_SET)
        os.ftruncate(fd, 0)
    except OSError as error:
        raise destination_fault(error, "start over", staged.path) from error


def _fill(job: "Job", rules: Rules, source: Source, staged: Staged) -> Optional[os.stat_result]:
    """Writes the content; the source's status, or ``None`` where it changed meanwhile."""
    with job.timed("source_read_ms"):
        fd = open_source_file(source.name, source.dir_fd, source.path)
    try:
        before = os.fstat(fd)
        digests = Digests([rules.algorithm] if rules.algorithm else [])
        size = _pour(job, rules, fd, staged, digests)
        after = os.fstat(fd)
    finally:
        os.close(fd)
    if identity(before) != identity(after) or size != after.st_size:
        return None
    with contextlib.suppress(OSError):
        now = os.stat(source.name, dir_fd=source.dir_fd, follow_symlinks=False)
        if identity(now) == identity(after):
            staged.size, staged.source = size, identity(after)
            staged.digests = digests.hex()
            return after
    return None


def _pour(job: "Job", rules: Rules, fd: int, staged: Staged, digests: Digests) -> int:
    size = 0
    chunks = read_chunks(fd, rules.chunk_bytes, staged.path)
    while True:
        with job.timed("source_read_ms"):
            data = next(chunks, None)
        if data is None:
            return size
        job.read(len(data))
        with job.timed("hash_ms"):
            digests.update(data)
        with job.timed("destination_write_ms"):
            _write(staged, data)
        size += len(data)


def _write(staged: Staged, data: bytes) -> None:
    view = memoryview(data)
    fd = _open_fd(staged)
    try:
        while view:
            view = view[os.write(fd, view) :]
    except OSError as error:
        raise destination_fault(error, "write the destination", staged.path) from error


def _open_fd(staged: Staged) -> int:
    if staged.fd is None:
        raise ValueError("a link has no content")
    return staged.fd


def _finish_file(job: "Job", rules: Rules, status: os.stat_result, staged: Staged) -> None:
    fd = _open_fd(staged)
    try:
        apply_metadata(fd, rules.preserve, status)
    except OSError as error:
        raise destination_fault(error, "set the metadata", staged.path) from error
    if rules.verify == "readback":
        with job.timed("sync_ms"):
            _read_back(job, rules, staged)


def apply_metadata(fd: int, preserve: FrozenSet[str], status: os.stat_result) -> None:
    """Owner first, since a change of owner clears bits of the mode; times last."""
    if "owner" in preserve:
        os.fchown(fd, status.st_uid, status.st_gid)
    os.fchmod(fd, mode_of(preserve, status.st_mode, os.fstat(fd).st_mode))
    if "times" in preserve:
        os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))


def mode_of(preserve: FrozenSet[str], source: int, fresh: int) -> int:
    """The permission bits of the copy."""
    if "setuid" in preserve:
        return stat.S_IMODE(source)
    if "mode" in preserve:
        return stat.S_IMODE(source) & 0o777
    if stat.S_ISDIR(fresh):
        return stat.S_IMODE(fresh)
    return 0o666 & ~_umask()


def _umask() -> int:
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return 0o077


def _read_back(job: "Job", rules: Rules, staged: Staged) -> None:
    """Reads the temporary file again from the device and compares it with what was written."""
    fd = _open_fd(staged)
    if rules.algorithm is None:
        raise ValueError("a read back needs a digest")
    try:
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    except OSError as error:
        raise destination_fault(error, "sync the destination", staged.path) from error
    if _digest_of(job, rules, staged, rules.algorithm) != staged.digests[rules.algorithm]:
        message = "what was read back is not what was written"
        raise Fault("VERIFY_MISMATCH", message, path=staged.path)


def _digest_of(job: "Job", rules: Rules, staged: Staged, algorithm: str) -> str:
    fd = _open_fd(staged)
    os.lseek(fd, 0, os.SEEK_SET)
    digests = Digests([algorithm])
    for data in read_chunks(fd, rules.chunk_bytes, staged.path):
        job.step()
        digests.update(data)
    return digests.hex()[algorithm]
