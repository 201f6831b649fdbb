"""Objects being written: in one request where they fit a part, otherwise in parts."""

from __future__ import annotations

import contextlib
import zlib
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Callable, Dict, Iterator, Optional

from ..faults import Fault
from ..remote.bucket import (
    PART_BYTES,
    PART_BYTES_MAX,
    PART_BYTES_MIN,
    PARTS_MAX,
    Bucket,
    Listed,
    Part,
    Put,
)
from ..remote.failures import Failure
from .leftovers import about_to_begin

if TYPE_CHECKING:
    from ..job import Job

Record = Callable[[str, bool], None]
"""Hears of the name of an upload in parts, and of whether it ended."""
AT_ONCE = 4
"""Parts of one object on their way at once, each held in memory until its store took it."""
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

    ``size`` is its length where that is known. ``record`` hears of an upload in parts. Its parts go
    several at once, by threads that end with it.
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
        self._count = 0
        self._parts: Dict[int, Part] = {}
        self._threads: Optional[ThreadPoolExecutor] = None
        self._pending: "Dict[Future[Part], int]" = {}
        self._stands: Dict[int, Listed] = {}
        self._crc = 0
        self.size = 0

    def adopt(self, name: str) -> bool:
        """Goes on with the upload of this name, if it is there; to be called before any byte."""
        with self._writing():
            self._bucket.prepare(self._key)
            stands = self._bucket.parts(self._key, name)
        if stands is None:
            return False
        self._name, self._stands = name, stands
        self._record(name, False)
        return True

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
        return part_bytes(self._bucket.options.part_bytes, self._expected, self._count)

    def _send(self, length: int) -> None:
        if self._count == PARTS_MAX:
            raise Fault("DST_WRITE", "the object has more parts than its store takes")
        body = bytes(memoryview(self._held)[:length])
        if self._name is None:
            with self._writing():
                self._bucket.prepare(self._key)
                self._name = self._begun()
        listed = self._stands.get(self._count)
        part = None if listed is None else listed.part(body)
        if part is not None:
            self._parts[self._count] = part
            self._count += 1
            del self._held[:length]
            return
        self._take(AT_ONCE - 1)
        if self._threads is None:
            self._threads = ThreadPoolExecutor(AT_ONCE, "part")
        sent = self._threads.submit(self._sent, self._name, self._count, body)
        self._pending[sent] = self._count
        self._count += 1
        del self._held[:length]

    def _begun(self) -> str:
        """The name of a new upload, recorded like the wish for one: a kill may come in between."""
        about = about_to_begin()
        self._record(about, False)
        try:
            name = self._bucket.begin(self._key, self._put)
        except Failure as failure:
            if not failure.passes:
                self._record(about, True)
            raise
        self._record(name, False)
        self._record(about, True)
        return name

    def _sent(self, name: str, index: int, body: bytes) -> Part:
        with self._writing():
            return self._bucket.put_part(self._key, name, index, body)

    def _take(self, most: int) -> None:
        """Waits until no more than ``most`` parts are on their way; the first failure of one."""
        while len(self._pending) > most:
            done, _ = wait(self._pending, return_when=FIRST_COMPLETED)
            for sent in done:
                self._parts[self._pending.pop(sent)] = sent.result()

    def finish(self) -> str:
        """Shows the object; its version. ``DST_EXISTS`` or ``DST_CHANGED`` by what stands there."""
        if self._name is not None:
            self._send(len(self._held))
            self._take(0)
        with self._writing():
            if self._name is None:
                self._bucket.prepare(self._key)
                return self._bucket.put(self._key, bytes(self._held), self._put)
            parts = [self._parts[index] for index in range(self._count)]
            version = self._bucket.complete(
                self._key, self._name, parts, self._put, self._crc, self.size
            )
        self._end(self._name)
        return version

    def _end(self, name: str) -> None:
        self._stop()
        self._name = None
        self._record(name, True)

    def _stop(self) -> None:
        for sent in self._pending:
            sent.cancel()
        self._pending = {}
        if self._threads is not None:
            self._threads.shutdown(wait=True)
            self._threads = None

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
        # A part that arrives behind the end would be of no upload, or of one that stays.
        self._stop()
        if self._name is not None:
            with contextlib.suppress(Failure):
                self._bucket.abandon(self._key, self._name)
                self._end(self._name)
