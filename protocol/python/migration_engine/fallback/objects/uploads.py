"""Objects being written: in one request where they fit a part, otherwise in parts."""

from __future__ import annotations

import contextlib
import zlib
from typing import TYPE_CHECKING, Callable, Iterator, List, Optional

from ..faults import Fault
from ..remote.bucket import PART_BYTES, PART_BYTES_MAX, PART_BYTES_MIN, PARTS_MAX, Bucket, Part, Put
from ..remote.failures import Failure

if TYPE_CHECKING:
    from ..job import Job

Record = Callable[[str, bool], None]
"""Hears of the name of an upload in parts, and of whether it ended."""
_ROUND_BYTES = 1 << 20
_GROWS_AFTER = 1000
"""Parts of a length that nobody knows before grow, so that 10,000 of them are enough."""


def part_bytes(asked: Optional[int], size: Optional[int], index: int) -> int:
    """The length of part ``index`` of an object of ``size`` bytes."""
    usual = min(max(asked or PART_BYTES, PART_BYTES_MIN), PART_BYTES_MAX)
    if size is None:
        return min(usual << (index // _GROWS_AFTER), PART_BYTES_MAX)
    least = max(usual, -(-size // PARTS_MAX))
    return -(-least // _ROUND_BYTES) * _ROUND_BYTES


class Upload:
    """An object being written; shown once :meth:`finish` ends well, and nothing before.

    ``size`` is its length where that is known. ``record`` hears of an upload in parts.
    """

    def __init__(
        self,
        job: "Job",
        bucket: Bucket,
        key: str,
        put: Put,
        size: Optional[int],
        record: Record,
    ) -> None:
        self._job = job
        self._bucket = bucket
        self._key = key
        self._put = put
        self._expected = size
        self._record = record
        self._held = bytearray()
        self._name: Optional[str] = None
        self._parts: List[Part] = []
        self._crc = 0
        self.size = 0

    def write(self, data: bytes) -> None:
        """Takes the next bytes."""
        self._held += data
        self.size += len(data)
        with self._job.timed("hash_ms"):
            self._crc = zlib.crc32(data, self._crc)
        while len(self._held) > self._next_bytes():
            # The last part is kept until the end, since it may be the only one.
            self._send(self._next_bytes())

    def _next_bytes(self) -> int:
        return part_bytes(self._bucket.options.part_bytes, self._expected, len(self._parts))

    def _send(self, length: int) -> None:
        if len(self._parts) == PARTS_MAX:
            raise Fault("DST_WRITE", "the object has more parts than its store takes")
        body = bytes(memoryview(self._held)[:length])
        with self._writing():
            if self._name is None:
                self._bucket.prepare(self._key)
                self._name = self._bucket.begin(self._key, self._put)
                self._record(self._name, False)
            part = self._bucket.put_part(self._key, self._name, len(self._parts), body)
        self._parts.append(part)
        del self._held[:length]

    def finish(self) -> str:
        """Shows the object; its version. ``DST_EXISTS`` or ``DST_CHANGED`` by what stands there."""
        if self._name is not None:
            self._send(len(self._held))
        with self._writing():
            if self._name is None:
                self._bucket.prepare(self._key)
                return self._bucket.put(self._key, bytes(self._held), self._put)
            version = self._bucket.complete(
                self._key, self._name, self._parts, self._put, self._crc, self.size
            )
        self._end(self._name)
        return version

    def _end(self, name: str) -> None:
        self._name = None
        self._record(name, True)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with self._job.timed("destination_write_ms"):
                yield
        except Failure as failure:
            over = self._put.over
            if failure.class_ == "condition" and over is None:
                raise Fault("DST_EXISTS", "the destination appeared meanwhile") from failure
            if failure.class_ == "condition" or (failure.class_ == "not_found" and over):
                message = "what stands at the destination changed since it was looked at"
                raise Fault("DST_CHANGED", message) from failure
            raise failure.fault("destination", "write", "write the destination") from failure

    def abort(self) -> None:
        """Gives it up, as far as the store can be reached."""
        if self._name is not None:
            with contextlib.suppress(Failure):
                self._bucket.abandon(self._key, self._name)
                self._end(self._name)
