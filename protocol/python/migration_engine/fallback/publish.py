"""From temporary file to final name: whole or not at all, and never over another writer's."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
from functools import cache
from typing import TYPE_CHECKING, Callable, Dict, List, NamedTuple, Optional, Sequence

from .faults import Fault, destination_fault
from .lease import Lease
from .local import Directory, mark
from .names import temporary
from .state import Content, Published

if TYPE_CHECKING:
    from .job import Job

BATCH_ITEMS = 64
BATCH_BYTES = 64 << 20
_RENAME_NOREPLACE = 1
_NOT_OFFERED = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)


class Staged:
    """A temporary item that waits for its name.

    ``fd`` is the open file, or ``None`` for what has no content to write. ``source`` identifies
    what it was read from; ``lost`` is what the destination could not hold.
    """

    def __init__(
        self, directory: Directory, temp: bytes, name: bytes, path: bytes, fd: Optional[int]
    ) -> None:
        self.directory = directory.hold()
        self.temp = temp
        self.name = name
        self.path = path
        self.fd = fd
        self.replace = False
        self.seen: Optional[str] = None
        self.size = 0
        self.is_item = True
        self.counts = True
        self.stored: Optional[int] = None
        self.source = ""
        self.digests: Dict[str, str] = {}
        self.ranges: List[str] = []
        self.lost: List[str] = []
        self.done: Callable[[], None] = _nothing
        self._settled = False

    def over(self, there: Optional[os.stat_result]) -> None:
        """Replaces what stands there, as long as that is what was seen; ``None``: a free name."""
        self.replace = there is not None
        self.seen = mark(there) if there is not None else None

    def file(self) -> int:
        """The open file."""
        if self.fd is None:
            raise ValueError("only a file has content")
        return self.fd

    def status(self) -> os.stat_result:
        """What is there under the temporary name."""
        if self.fd is not None:
            return os.fstat(self.fd)
        return os.stat(self.temp, dir_fd=self.directory.fd, follow_symlinks=False)

    @property
    def counted(self) -> int:
        """Bytes that count for this item: none where they counted under another name."""
        return self.size if self.counts else 0

    @property
    def content(self) -> Content:
        """What is known of its content."""
        return Content(self.size, self.digests, self.ranges, self.stored)

    def discard(self) -> None:
        """Removes the temporary file, unless it has its name already."""
        if self._settled:
            return
        with contextlib.suppress(OSError):
            os.unlink(self.temp, dir_fd=self.directory.fd)
        self.close()

    def close(self) -> None:
        """Lets go of the handles."""
        self._settled = True
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None
        self.directory.drop()


def _nothing() -> None:
    """What is done after the publication of something that nobody waits for."""


def create_file(job: "Job", directory: Directory, name: bytes, path: bytes) -> Staged:
    """A new temporary file, private to this user."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    while True:
        temp = temporary(job.name[:8], job.session.temporary_number())
        try:
            fd = os.open(temp, flags, 0o600, dir_fd=directory.fd)
        except FileExistsError:
            continue
        except OSError as error:
            raise destination_fault(error, "create a temporary file", path) from error
        return Staged(directory, temp, name, path, fd)


def create_link(job: "Job", directory: Directory, name: bytes, path: bytes, text: bytes) -> Staged:
    """A new symbolic link under a temporary name."""

    def make(temp: bytes) -> None:
        os.symlink(text, temp, dir_fd=directory.fd)

    return _create(job, directory, name, path, "create a link", make)


def create_special(
    job: "Job", directory: Directory, name: bytes, path: bytes, status: os.stat_result
) -> Staged:
    """A new fifo, socket or device like the one of ``status``, under a temporary name."""
    kind = stat.S_IFMT(status.st_mode)
    device = status.st_rdev if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0

    def make(temp: bytes) -> None:
        os.mknod(temp, kind | 0o600, device, dir_fd=directory.fd)

    return _create(job, directory, name, path, "create a special file", make)


def create_name(
    job: "Job", directory: Directory, name: bytes, path: bytes, fd: int, other: bytes
) -> Staged:
    """One more name for the file ``other`` of the directory ``fd``, a temporary one."""

    def make(temp: bytes) -> None:
        os.link(other, temp, src_dir_fd=fd, dst_dir_fd=directory.fd, follow_symlinks=False)

    return _create(job, directory, name, path, "create a hard link", make)


def _create(
    job: "Job",
    directory: Directory,
    name: bytes,
    path: bytes,
    doing: str,
    make: Callable[[bytes], None],
) -> Staged:
    while True:
        temp = temporary(job.name[:8], job.session.temporary_number())
        try:
            make(temp)
        except FileExistsError:
            continue
        except OSError as error:
            raise destination_fault(error, doing, path) from error
        return Staged(directory, temp, name, path, None)


class FinishedDirectory(NamedTuple):
    """A directory all of whose entries are staged, and what it gets once they are published."""

    directory: Directory
    finish: Callable[[], None]


class Publisher:
    """Gives staged items their names, in batches with one common sync, while ``lease`` holds."""

    def __init__(self, job: "Job", durable: bool, on_exists: str) -> None:
        self.lease: Optional[Lease] = None
        self._job = job
        self._durable = durable
        self._on_exists = on_exists
        self._staged: List[Staged] = []
        self._bytes = 0
        self._finished: List[FinishedDirectory] = []
        self._touched: Dict[int, Directory] = {}
        self._checkpoints = Checkpoints(job, durable)

    def add(self, staged: Staged) -> None:
        """Takes over ``staged``; publishes the batch once it is full."""
        self._staged.append(staged)
        self._bytes += staged.size
        if len(self._staged) >= BATCH_ITEMS or self._bytes >= BATCH_BYTES:
            self.flush()

    def finish_directory(self, directory: Directory, finish: Callable[[], None]) -> None:
        """Calls ``finish`` once everything staged so far has its name."""
        self._finished.append(FinishedDirectory(directory.hold(), finish))
        if len(self._finished) >= BATCH_ITEMS:
            self.flush()

    def touch(self, directory: Directory) -> None:
        """``directory`` got a new entry, to be synced with the next batch."""
        if directory.fd not in self._touched:
            self._touched[directory.fd] = directory.hold()

    def flush(self) -> None:
        """Publishes all that is staged."""
        staged, self._staged, self._bytes = self._staged, [], 0
        try:
            self._sync_files(staged)
            self._note(staged)
            with self.commit():
                published = [item for item in staged if self._publish(item)]
            self._finish_directories()
            self._sync_directories()
        except BaseException:
            for item in staged:
                item.discard()
            raise
        for item in published:
            item.done()
            self._job.losses.add(self._job, item.lost, item.path)
            if item.is_item:
                self._job.item_ok(item.path, item.counted, item.digests)
        if published:
            self._checkpoints.send()

    def commit(self) -> "contextlib.AbstractContextManager[None]":
        """Within it names may be given: where a lease is held, it stays."""
        return contextlib.nullcontext() if self.lease is None else self.lease.commit()

    def abort(self) -> None:
        """Removes all that is staged and not published."""
        for item in self._staged:
            item.discard()
        self._staged = []
        for finished in self._finished:
            finished.directory.drop()
        self._finished = []
        for directory in self._touched.values():
            directory.drop()
        self._touched = {}

    def _sync_files(self, staged: List[Staged]) -> None:
        if not self._durable:
            return
        with self._job.timed("sync_ms"):
            for item in list(staged):
                try:
                    if item.fd is not None:
                        os.fsync(item.fd)
                except OSError as error:
                    staged.remove(item)
                    item.discard()
                    fault = destination_fault(error, "sync the destination")
                    self._job.item_failed(item.path, fault)

    def _note(self, staged: Sequence[Staged]) -> None:
        key = self._job.key
        if key is None or not staged:
            return
        items = [
            Published(item.path, mark(item.status()), item.source, item.content) for item in staged
        ]
        self._job.session.state.note_published(key, items, self._durable)

    def _publish(self, item: Staged) -> bool:
        with self._job.timed("destination_write_ms"):
            try:
                publish(item)
            except FileExistsError:
                return self._lost_the_race(item)
            except Fault as fault:
                item.discard()
                self._job.item_failed(item.path, fault)
                return False
            except OSError as error:
                item.discard()
                self._job.item_failed(
                    item.path, destination_fault(error, "publish the destination")
                )
                return False
        self.touch(item.directory)
        item.close()
        return True

    def _lost_the_race(self, item: Staged) -> bool:
        if self._on_exists in ("replace", "update"):
            item.replace = True
            return self._publish(item)
        item.discard()
        if self._on_exists == "skip":
            self._job.item_skipped(item.path, item.size)
        else:
            fault = Fault("DST_EXISTS", "the destination appeared meanwhile")
            self._job.item_failed(item.path, fault)
        return False

    def _finish_directories(self) -> None:
        finished, self._finished = self._finished, []
        for directory, finish in finished:
            finish()
            self.touch(directory)
            directory.drop()

    def _sync_directories(self) -> None:
        touched, self._touched = self._touched, {}
        with self._job.timed("sync_ms"):
            for directory in touched.values():
                try:
                    if self._durable:
                        os.fsync(directory.fd)
                except OSError as error:
                    raise destination_fault(error, "sync a directory") from error
                finally:
                    directory.drop()


class Checkpoints:
    """Says how far a keyed job is on record."""

    def __init__(self, job: "Job", durable: bool) -> None:
        self._job = job
        self._durable = durable
        self._sent = 0

    def send(self) -> None:
        """Everything done so far is on record."""
        job = self._job
        if job.key is None:
            return
        self._sent += 1
        job.resume_token = "ck:%s:%d" % (job.name, self._sent)
        line = {
            "id": job.id,
            "n": self._sent,
            "durable": self._durable,
            "items_done": job.items_ok,
            "bytes_done": job.bytes,
            "token": job.resume_token,
        }
        job.session.emit("checkpoint", line)


def own_record(job: "Job", path: bytes, directory: Directory, name: bytes) -> Optional[Published]:
    """What an earlier attempt of this key published under ``name``, if it still stands there."""
    if job.key is None or not job.prior_attempts:
        return None
    record = job.session.state.published(job.key, path)
    if record is None:
        return None
    try:
        there = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
    except OSError:
        return None
    return record if mark(there) == record.mark else None


def publish(item: Staged) -> None:
    """Renames ``item`` to its name; ``FileExistsError`` where that exists and must stay.

    What is replaced is looked at just before: ``DST_CHANGED`` where it is not what was seen.
    """
    fd = item.directory.fd
    if item.replace:
        _check_seen(fd, item)
        os.replace(item.temp, item.name, src_dir_fd=fd, dst_dir_fd=fd)
        if item.fd is None:
            # Where both were names of one file, a rename leaves both.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(item.temp, dir_fd=fd)
    elif not _rename_noreplace(fd, item.temp, item.name):
        _link_noreplace(fd, item.temp, item.name)


def _check_seen(fd: int, item: Staged) -> None:
    if item.seen is None:
        return
    with contextlib.suppress(FileNotFoundError):
        if mark(os.stat(item.name, dir_fd=fd, follow_symlinks=False)) != item.seen:
            message = "what stands at the destination changed since it was looked at"
            raise Fault("DST_CHANGED", message)


def _rename_noreplace(fd: int, temp: bytes, name: bytes) -> bool:
    """Whether the kernel and the filesystem offer it; raises on a failure that is no lack of it."""
    call = _renameat2()
    if call is None:
        return False
    if call(fd, temp, fd, name, _RENAME_NOREPLACE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NOT_OFFERED:
        return False
    raise OSError(number, os.strerror(number))


@cache
def _renameat2() -> Optional[Callable[[int, bytes, int, bytes, int], int]]:
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    call.restype = ctypes.c_int
    renameat2: Callable[[int, bytes, int, bytes, int], int] = call
    return renameat2


def _link_noreplace(fd: int, temp: bytes, name: bytes) -> None:
    try:
        os.link(temp, name, src_dir_fd=fd, dst_dir_fd=fd, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EOPNOTSUPP):
            message = "the filesystem has neither a rename that keeps nor hard links"
            raise Fault("NO_ATOMIC_NOREPLACE", message, cause=error) from error
        raise
    os.unlink(temp, dir_fd=fd)
