"""The content of something elsewhere: one state of it, whatever breaks off on the way."""

from __future__ import annotations

import base64
import hashlib
import os
import zlib
from typing import (
    TYPE_CHECKING,
    FrozenSet,
    Iterator,
    Mapping,
    Optional,
    Protocol,
    runtime_checkable,
)

from ..faults import Fault
from ..metadata import Attributes
from ..remote.failures import Failure
from ..remote.retry import ATTEMPTS, persist
from ..remote.seen import Seen
from ..remote.wire import Answer
from .ahead import LEAST_BYTES, RANGE_BYTES, ranges
from .facts import attributes_of, status_of

if TYPE_CHECKING:
    from ..job import Job


class Far(Protocol):
    """Something elsewhere that can be read."""

    def read(self, version: Optional[str], start: int) -> Answer:
        """Its bytes from ``start`` on, of this version where one is given; sent once."""

    def seen(self, answer: Answer) -> Seen:
        """Which state an answer from the beginning is of."""


@runtime_checkable
class Ranged(Protocol):
    """Something elsewhere of which several ranges may be read at once."""

    def range(self, version: str, start: int, end: int) -> Answer:
        """Its bytes from ``start`` to before ``end``, of this version; sent once."""


class Content:
    """What was opened: the bytes of one state, from beginning to end."""

    def __init__(self, job: "Job", far: Far, version: Optional[str], path: bytes) -> None:
        """Opens ``far``, of this version where one is given; ``SRC_CHANGED`` where it is gone."""
        self._job = job
        self._far = far
        self._path = path
        self._answer = self._open(version, 0)
        self._seen = self._told()
        self._size = self._broken_at = 0
        self._breaks = 0

    def _open(self, version: Optional[str], start: int) -> Answer:
        try:
            return persist(self._job, lambda: self._far.read(version, start))
        except Failure as failure:
            raise failure.fault("source", "read", "read the source", self._path) from failure

    def _told(self) -> Seen:
        try:
            return self._far.seen(self._answer)
        except Failure as failure:
            self._answer.close()
            raise failure.fault("source", "read", "read the source", self._path) from failure

    @property
    def status(self) -> os.stat_result:
        """As the status of a file."""
        seen = self._seen
        return status_of(seen.size or self._size, seen.version, seen.modified_ns, seen.metadata)

    def attributes(self, preserve: FrozenSet[str]) -> Attributes:
        """What it stands for beside content."""
        metadata = self._seen.metadata if "xattrs" in preserve else {}
        return attributes_of(self.status, metadata)

    @property
    def identity(self) -> str:
        """Which state this is."""
        return "%s:%s:%d" % (self._seen.version, self._seen.size, self._seen.modified_ns)

    def chunks(self, most: int) -> Iterator[bytes]:
        """The bytes. ``SRC_CHANGED`` where the rest is not of the same state any more."""
        check = _Check(self._seen.checksums)
        try:
            for data in self._all(most):
                check.update(data)
                self._size += len(data)
                yield data
        finally:
            self._answer.close()
        if self._seen.size not in (None, self._size):
            raise self._changed("its length is not the one told")
        if not check.holds():
            message = "what was read is not what the store says that it holds"
            raise Fault("VERIFY_MISMATCH", message, path=self._path)

    def _all(self, most: int) -> Iterator[bytes]:
        """The bytes as they come: from one answer, or a large object's first range of it."""
        far, size, version = self._far, self._seen.size or 0, self._seen.version
        several = isinstance(far, Ranged) and size >= LEAST_BYTES and version.startswith('"')
        stop = RANGE_BYTES if several else None
        while stop is None or self._size < stop:
            data = self._next(most if stop is None else min(most, stop - self._size))
            if not data:
                return
            yield data
        if stop is None or not isinstance(far, Ranged):
            return
        self._answer.close()
        read = far.range
        rest = ranges(self._job, lambda at, end: read(version, at, end), version, stop, size)
        try:
            for data in rest:
                for at in range(0, len(data), most):
                    yield data[at : at + most]
        except Failure as failure:
            raise failure.fault("source", "read", "read the source", self._path) from failure
        finally:
            rest.close()

    def _next(self, most: int) -> bytes:
        with self._job.timed("network_ms"):
            try:
                return self._answer.read(most)
            except Failure as failure:
                self._job.step()
                broken = failure
        if not self._seen.version or self._seen.size is None:
            # Nobody could tell whether the rest is of the same state.
            raise self._changed("it broke off, and its service tells no version", broken)
        self._breaks = self._breaks + 1 if self._broken_at == self._size else 1
        self._broken_at = self._size
        if self._breaks >= ATTEMPTS:
            raise broken.fault("source", "read", "read the source", self._path) from broken
        self._job.retries += 1
        self._answer = self._open(self._seen.version, self._size)
        return self._next_of_rest(most)

    def _next_of_rest(self, most: int) -> bytes:
        if self._answer.status != 206 and self._size:
            self._answer.close()
            raise self._changed("the service gives no ranges")
        told = self._answer.headers.get("content-range", "")
        if self._size and not told.startswith("bytes %d-" % self._size):
            self._answer.close()
            raise Fault("REMOTE_ANSWER", "another range came than was asked for", path=self._path)
        tag = self._answer.headers.get("etag", self._seen.version)
        if self._seen.version.startswith('"') and tag != self._seen.version:
            self._answer.close()
            raise self._changed("another version came than was asked for")
        return self._next(most)

    def _changed(self, why: str, failure: Optional[Failure] = None) -> Fault:
        cause = None if failure is None else OSError(failure.message)
        return Fault("SRC_CHANGED", why, path=self._path, cause=cause)

    def close(self) -> None:
        """Lets go of the connection."""
        self._answer.close()


class _Check:
    """A checksum that the store holds of the whole, if it is one that is fast here."""

    def __init__(self, told: Mapping[str, str]) -> None:
        self._crc = 0
        self._by_crc = told.get("crc32")
        self._name = next((one for one in ("sha256", "sha1", "md5") if one in told), None)
        self._told = told.get(self._name, "") if self._name is not None else ""
        self._hash = hashlib.new(self._name, usedforsecurity=False) if self._name else None

    def update(self, data: bytes) -> None:
        if self._by_crc is not None:
            self._crc = zlib.crc32(data, self._crc)
        elif self._hash is not None:
            self._hash.update(data)

    def holds(self) -> bool:
        if self._by_crc is not None:
            mine = self._crc.to_bytes(4, "big")
            told = self._by_crc
        elif self._hash is not None:
            mine, told = self._hash.digest(), self._told
        else:
            return True
        return base64.b64encode(mine).decode("ascii") == told
