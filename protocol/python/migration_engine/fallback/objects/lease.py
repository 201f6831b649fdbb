"""The record of the lease on a prefix: an object that is written by condition alone."""

from __future__ import annotations

import contextlib
import secrets
import threading
from typing import TYPE_CHECKING, Iterator, Optional

from ..location import Location, Options
from ..names import LEASE_NAME
from ..remote.bucket import Bucket, Put
from ..remote.failures import Failure
from .keys import joined

if TYPE_CHECKING:
    from ..job import Job
    from ..lease import Record

_RECORD_BYTES_MAX = 64 << 10


class ObjectCell:
    """The record, changed only by who knows its last state.

    Its connections are its own, since it is renewed while others are in use.
    """

    def __init__(self, job: "Job", location: Location) -> None:
        self._bucket = Bucket(job, location._replace(options=_bare(location)), quiet=True)
        self._key = joined(self._bucket.root, LEASE_NAME.decode("ascii"))
        self._lock = threading.Lock()
        self._version: Optional[str] = None
        self._data: Optional[bytes] = None

    def read(self) -> Optional[bytes]:
        """The record; ``None`` where there is none."""
        with self._lock, _failing("read the lease"):
            return self._read()

    def _read(self) -> Optional[bytes]:
        try:
            service = self._bucket.service
            answer = service.insist(lambda: self._bucket.read(self._key, None, 0))
        except Failure as failure:
            if failure.class_ != "not_found":
                raise
            self._version = self._data = None
            return None
        self._version = answer.headers.get("etag", "")
        self._data = answer.rest(_RECORD_BYTES_MAX)
        return self._data

    def swap(self, expected: Optional[bytes], new: Optional[bytes]) -> bool:
        """Puts ``new`` in the place of ``expected``, in one step; ``None`` stands for no record."""
        with self._lock, _failing("write the lease"):
            if self._data != expected and self._read() != expected:
                return False
            if new is None:
                return self._version is None or self._bucket.remove(self._key, self._version)
            return self._put(new)

    def _put(self, new: bytes) -> bool:
        put = Put(self._version, {"mig-write": secrets.token_hex(8)})
        self._bucket.prepare(self._key)
        try:
            self._version = self._bucket.put(self._key, new, put)
        except Failure as failure:
            if failure.class_ not in ("condition", "conflict", "not_found"):
                raise
            self._data = self._version = None
            return False
        self._data = new
        return True

    def renew(self, expected: bytes, new: bytes) -> bool:
        """As :meth:`swap`, for the holder."""
        return self.swap(expected, new)

    @contextlib.contextmanager
    def hold(self, record: "Record") -> Iterator[bool]:
        """Whether the record is that hold, as far as the last renewal told.

        Nobody breaks it before it stood for its whole time to live; its holder stops before that.
        """
        yield self._data is not None

    def close(self) -> None:
        """Ends the connections."""
        self._bucket.close()


def _bare(location: Location) -> Options:
    """The options that reach the store, without those for what is written there."""
    return location.options._replace(
        storage_class=None, content_encoding=None, metadata={}, tags={}, content_type=None
    )


@contextlib.contextmanager
def _failing(doing: str) -> Iterator[None]:
    try:
        yield
    except Failure as failure:
        raise failure.fault("destination", "write", doing, LEASE_NAME) from failure
