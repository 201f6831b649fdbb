"""The rest of a large object, read by several threads in ranges and given on in order."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Callable, Deque, Generator

from ..remote.failures import Failure
from ..remote.retry import persist
from ..remote.wire import Answer

if TYPE_CHECKING:
    from ..job import Job

RANGE_BYTES = 8 << 20
"""What one request asks for, and is held in memory until it is given on."""
AT_ONCE = 4
LEAST_BYTES = 4 * RANGE_BYTES
"""Objects from here on are read so."""

Read = Callable[[int, int], Answer]
"""Asks, once, for the bytes from one offset to before another, of the version that was opened."""


def ranges(
    job: "Job", read: Read, version: str, start: int, size: int
) -> Generator[bytes, None, None]:
    """The ranges from ``start`` on, in order, of the one ``version``; the failure of the first."""

    def once(at: int, end: int) -> bytes:
        answer = read(at, end)
        told = "bytes %d-%d/%d" % (at, end - 1, size)
        if answer.status != 206 or answer.headers.get("content-range") != told:
            answer.close()
            raise Failure("garbled", "another range came than was asked for")
        if answer.headers.get("etag", version) != version:
            answer.close()
            raise Failure("condition", "another version came than was asked for")
        data = answer.rest(end - at)
        if len(data) != end - at:
            raise Failure("transient", "the answer broke off")
        return data

    def whole(at: int) -> bytes:
        end = min(at + RANGE_BYTES, size)
        return persist(job, lambda: once(at, end))

    threads = ThreadPoolExecutor(AT_ONCE, "range")
    pending: Deque["Future[bytes]"] = deque()
    starts = iter(range(start, size, RANGE_BYTES))
    try:
        for at in starts:
            pending.append(threads.submit(whole, at))
            if len(pending) == AT_ONCE:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for one in pending:
            one.cancel()
        threads.shutdown(wait=True)
