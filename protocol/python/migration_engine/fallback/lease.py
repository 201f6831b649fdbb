"""A lease on a destination directory: one job commits there at a time.

The record is the one that the binary keeps, so that both respect each other's. Its holder renews it
and stops committing long before anybody may break it. Who breaks it saw the same record stand
unchanged for its whole time to live, on a clock of its own, or knows the process to be dead; nobody
compares times of day. Who changes hands holds the lock of the file alone, who commits or renews
holds it with others: so a holder that was stopped and goes on commits nothing more.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import random
import secrets
import threading
import time
from typing import TYPE_CHECKING, Any, Dict, Iterator, Mapping, Optional, Protocol, Tuple

from .faults import Fault, destination_fault
from .local import inode, remove_own
from .metadata import usual_mode
from .names import LEASE_NAME

if TYPE_CHECKING:
    from .job import Job

LEASE_BYTES = 512
LOCK_TIMEOUT_MS = 600_000
_TTL_S = 60.0
_RENEW_S = 15.0
_STOP_S = 40.0
"""Two thirds of the time to live, so that clocks may differ by half in their rate."""
_WAIT_LEAST_S, _WAIT_MOST_S = 0.1, 15.0
_CONTENDED_ATTEMPTS, _CONTENDED_S = 200, 0.005
_SHARED_ATTEMPTS, _SHARED_S = 1000, 0.002
_HOST_BYTES_MAX = 64
_HINT = (
    'wait for the other command, or send lock:"wait", which also outlasts a holder that died on '
    "another machine"
)

Record = Dict[str, Any]


def lock_of(params: Mapping[str, Any]) -> str:
    """The lock that a copy asks for: none, unless it deletes."""
    if params["lock"] is not None:
        return str(params["lock"])
    return "fail" if params["delete"] else "none"


def patience_of(params: Mapping[str, Any]) -> Optional[int]:
    """Milliseconds that a copy waits for its lease; ``None`` where it does not wait."""
    timeout: Optional[int] = params["lock_timeout"]
    patience = LOCK_TIMEOUT_MS if timeout is None else timeout
    return patience if lock_of(params) == "wait" else None


# Records, and the processes in them.


def encode(record: Record) -> bytes:
    """A record as it is stored: one sector, old or new after a loss of power."""
    text = json.dumps(record, separators=(",", ":")).encode("ascii")
    return text.ljust(LEASE_BYTES - 1) + b"\n"


def decode(data: Optional[bytes]) -> Optional[Record]:
    """The record of these bytes; ``None`` where they are none."""
    try:
        record = json.loads(data or b"")
        _holder(record), _hold(record)
        return {**record, "ttl_ms": int(record["ttl_ms"])}
    except (ValueError, KeyError, TypeError):
        return None


def _hold(record: Mapping[str, Any]) -> Tuple[str, str, int]:
    """Tells one hold from any other, renewed or not."""
    return record["job"], record["nonce"], int(record["epoch"])


def _holder(record: Mapping[str, Any]) -> Tuple[str, str, int, int]:
    return (
        str(record["boot_id"]),
        str(record["namespaces"]),
        int(record["pid"]),
        int(record["started"]),
    )


def _myself() -> Record:
    host = "".join(c for c in os.uname().nodename if c.isascii() and c.isprintable())
    host = host.translate({ord(c): None for c in '"\\ '})[:_HOST_BYTES_MAX]
    pid = os.getpid()
    return {
        "host": host,
        "boot_id": _read("/proc/sys/kernel/random/boot_id").strip(),
        "namespaces": _namespaces(),
        "pid": pid,
        "started": _started(pid) or 0,
    }


def is_dead(record: Mapping[str, Any]) -> bool:
    """Whether the holder is proven dead: its process ran in this boot, and is gone."""
    boot, namespaces, pid, started = _holder(record)
    mine = _myself()
    if not boot or not namespaces or pid <= 0:
        return False
    if (boot, namespaces) != (mine["boot_id"], mine["namespaces"]):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    now = _started(pid)
    return now is not None and now != started


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _namespaces() -> str:
    """Of process numbers and of the clock since boot; empty where they are not told."""
    names = []
    for name in ("pid", "time"):
        try:
            names.append(os.readlink("/proc/self/ns/" + name))
        except OSError:
            if name == "pid":
                return ""
            names.append("")
    return " ".join(names)


def _started(pid: int) -> Optional[int]:
    """When a process was started, in ticks since boot."""
    words = _read("/proc/%d/stat" % pid).rpartition(")")[2].split()
    return int(words[19]) if len(words) > 19 else None


def _now() -> float:
    """Time since boot, the sleep of the machine included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


# The file that holds the record.


class Cell:
    """The record of a directory, changed only by who knows its last state."""

    def __init__(self, dir_fd: int) -> None:
        self._dir_fd = dir_fd
        # Keeps this process's own reads from meeting half a renewal.
        self._writing = threading.Lock()

    def read(self) -> Optional[bytes]:
        """The record; ``None`` where there is none."""
        with self._open(create=False) as fd:
            return None if fd is None else self._bytes(fd)

    def swap(self, expected: Optional[bytes], new: Optional[bytes]) -> bool:
        """Puts ``new`` in the place of ``expected``, in one step; ``None`` stands for no record.

        False when something else stands there, or somebody changes it or commits under it now.
        """
        with self._open(create=expected is None and new is not None) as fd:
            if fd is None:
                return expected is None
            if not _flock(fd, fcntl.LOCK_EX):
                return False
            if not self._is_named(fd) or self._bytes(fd) != expected:
                return False
            if new is not None:
                self._write(fd, new)
                return True
            with _failing("remove the lease"):
                remove_own(self._dir_fd, LEASE_NAME)
            return True

    def renew(self, expected: bytes, new: bytes) -> bool:
        """As :meth:`swap`, for the holder: commits of its own do not stand in the way."""
        with self._shared() as fd:
            if fd is None or self._bytes(fd) != expected:
                return False
            self._write(fd, new)
            return True

    @contextlib.contextmanager
    def hold(self, record: Record) -> Iterator[bool]:
        """Whether the record is that hold; nobody else swaps it within the body."""
        with self._shared() as fd:
            there = decode(None if fd is None else self._bytes(fd))
            yield there is not None and _hold(there) == _hold(record)

    @contextlib.contextmanager
    def _open(self, create: bool) -> Iterator[Optional[int]]:
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        flags |= os.O_CREAT if create else 0
        try:
            fd: Optional[int] = os.open(LEASE_NAME, flags, usual_mode(0o666), dir_fd=self._dir_fd)
        except FileNotFoundError:
            fd = None
        except OSError as error:
            raise destination_fault(error, "open the lease", LEASE_NAME) from error
        try:
            yield fd
        finally:
            if fd is not None:
                os.close(fd)

    @contextlib.contextmanager
    def _shared(self) -> Iterator[Optional[int]]:
        """The file, locked with others; ``None`` where somebody who changes it does not end."""
        for _ in range(_SHARED_ATTEMPTS):
            with self._open(create=False) as fd:
                if fd is None:
                    break
                if _flock(fd, fcntl.LOCK_SH):
                    if self._is_named(fd):
                        yield fd
                        return
                    continue
            time.sleep(_SHARED_S)
        yield None

    def _is_named(self, fd: int) -> bool:
        """Whether the file still has the name: its holder removes it, and another takes it."""
        try:
            named = os.stat(LEASE_NAME, dir_fd=self._dir_fd, follow_symlinks=False)
        except OSError:
            return False
        return inode(os.fstat(fd)) == inode(named)

    def _bytes(self, fd: int) -> Optional[bytes]:
        with self._writing, _failing("read the lease"):
            return os.pread(fd, LEASE_BYTES, 0) or None

    def _write(self, fd: int, data: bytes) -> None:
        with self._writing, _failing("write the lease"):
            if os.pwrite(fd, data, 0) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class AnyCell(Protocol):
    """The record of a lease, wherever it is kept; see :class:`Cell`."""

    def read(self) -> Optional[bytes]:
        """The record; ``None`` where there is none."""

    def swap(self, expected: Optional[bytes], new: Optional[bytes]) -> bool:
        """Puts ``new`` in the place of ``expected``, in one step."""

    def renew(self, expected: bytes, new: bytes) -> bool:
        """As :meth:`swap`, for the holder."""

    def hold(self, record: Record) -> "contextlib.AbstractContextManager[bool]":
        """Whether the record is that hold; nobody else swaps it within the body."""


def _flock(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise destination_fault(error, "lock the lease", LEASE_NAME) from error
    return True


@contextlib.contextmanager
def _failing(doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise destination_fault(error, doing, LEASE_NAME) from error


# Taking, keeping and giving back.


class Lease:
    """A lease that is held; to be given back by :meth:`release`."""

    def __init__(self, cell: AnyCell, record: Record, start: float) -> None:
        self._cell = cell
        self._record = record
        self._renewed = start
        self._lost = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    @classmethod
    def take(cls, job: "Job", dir_fd: int, patience_ms: Optional[int]) -> "Lease":
        """Takes the lease; ``LOCKED`` where another holds it longer than is waited for."""
        return cls.take_from(job, Cell(dir_fd), patience_ms)

    @classmethod
    def take_from(cls, job: "Job", cell: "AnyCell", patience_ms: Optional[int]) -> "Lease":
        """As :meth:`take`, of the record in ``cell``."""
        return _Wish(job, cell, patience_ms).take()

    @contextlib.contextmanager
    def commit(self) -> Iterator[None]:
        """Raises ``LEASE_LOST`` when it was lost; in the body it cannot change hands."""
        if self._lost:
            raise _lost("it is another's now")
        if _now() - self._renewed > _STOP_S:
            raise _lost("it was not renewed in time")
        with self._cell.hold(self._record) as held:
            if not held:
                self._lost = True
                raise _lost("it is another's now")
            yield

    def release(self) -> None:
        """Gives it back, unless it is another's by now: as far as that goes."""
        self._ended.set()
        self._thread.join()
        own = encode(self._record)
        with contextlib.suppress(Fault):
            for _ in range(_CONTENDED_ATTEMPTS):
                if self._cell.read() != own or self._cell.swap(own, None):
                    return
                time.sleep(_CONTENDED_S)

    def _renew(self) -> None:
        while not self._ended.wait(_RENEW_S) and not self._lost:
            start = _now()
            new = dict(self._record, renewed_seq=self._record["renewed_seq"] + 1)
            try:
                renewed = self._cell.renew(encode(self._record), encode(new))
            except Fault:
                # Tried again: until the time to stop has come it is still held.
                continue
            if renewed:
                self._record, self._renewed = new, start
            else:
                self._lost = True


class _Wish:
    def __init__(self, job: "Job", cell: AnyCell, patience_ms: Optional[int]) -> None:
        self._job = job
        self._cell = cell
        self._end = time.monotonic() + (patience_ms or 0) / 1000
        self._seen: Optional[Tuple[bytes, float]] = None

    def take(self) -> Lease:
        wait, contended = _WAIT_LEAST_S, 0
        while True:
            start, there = _now(), self._cell.read()
            if there is None:
                self._seen = None
            elif self._seen is None or self._seen[0] != there:
                self._seen = (there, time.monotonic())
            held = decode(there)
            if self._is_free(held):
                record = self._new(1 if held is None else int(held["epoch"]) + 1)
                if self._cell.swap(there, encode(record)):
                    return Lease(self._cell, record, start)
                contended += 1
                if contended < _CONTENDED_ATTEMPTS:
                    self._job.sleep(_CONTENDED_S)
                    continue
            left = self._end - time.monotonic()
            if left <= 0:
                raise _locked(held)
            # Between the least wait and three times the last one: decorrelated jitter.
            wait = min(random.uniform(_WAIT_LEAST_S, wait * 3), _WAIT_MOST_S)
            self._job.sleep(min(wait, left))

    def _is_free(self, held: Optional[Record]) -> bool:
        """Whether nobody holds it, or whoever did may be taken for dead."""
        if self._seen is None:
            return True
        ttl = _TTL_S if held is None else max(_TTL_S, held["ttl_ms"] / 1000)
        stood = time.monotonic() - self._seen[1]
        return stood >= ttl or (held is not None and is_dead(held))

    def _new(self, epoch: int) -> Record:
        return {
            "job": self._job.name,
            "nonce": secrets.token_hex(16),
            "epoch": epoch,
            **_myself(),
            "renewed_seq": 0,
            "ttl_ms": int(_TTL_S * 1000),
        }


def _locked(held: Optional[Record]) -> Fault:
    if held is None:
        message = "the lease on the destination is being changed by others"
    else:
        message = "the destination is leased by job %s (process %s on %s, epoch %s)" % (
            held["job"],
            held["pid"],
            held.get("host", "?"),
            held["epoch"],
        )
    return Fault("LOCKED", message, hint=_HINT)


def _lost(why: str) -> Fault:
    return Fault("LEASE_LOST", "the lease on the destination was lost: %s" % why)
