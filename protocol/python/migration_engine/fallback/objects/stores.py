"""Opens what is elsewhere: a bucket's objects, or one thing behind a URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator, NamedTuple, Optional, Protocol

from ..faults import Fault
from ..location import Location
from ..remote.bucket import Bucket, Object, Page, object_of
from ..remote.failures import Failure
from ..remote.seen import Seen
from ..remote.web import Page as WebPage
from ..remote.wire import Answer
from .keys import path_of as item_path_of
from .keys import shown_of
from .reading import Content, Far

if TYPE_CHECKING:
    from ..job import Job


class ObjectFar:
    """An object, to be read."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        self._bucket = bucket
        self._key = key

    def read(self, version: Optional[str], start: int) -> Answer:
        """Its bytes from ``start`` on; sent once."""
        return self._bucket.read(self._key, version, start)

    def range(self, version: str, start: int, end: int) -> Answer:
        """Those of its bytes from ``start`` to before ``end``; sent once."""
        return self._bucket.read(self._key, version, start, end)

    def seen(self, answer: Answer) -> Seen:
        """Which state an answer from the beginning is of."""
        return seen_of(object_of(self._key, answer))


def seen_of(found: Object) -> Seen:
    """The state of an object."""
    if found.archived:
        raise Failure("archived", "the object lies in an archive tier")
    metadata = found.metadata or {}
    return Seen(found.size, found.version, found.modified_ns, metadata, found.checksums)


class Elsewhere:
    """An item that is not on this machine, in the state that was seen of it."""

    def __init__(self, job: "Job", far: Far, seen: Seen, path: bytes) -> None:
        self._job = job
        self._far = far
        self._seen = seen
        self._path = path
        self._opened = False

    @property
    def identity(self) -> str:
        """Which state was seen."""
        return "%s:%s:%d" % (self._seen.version, self._seen.size, self._seen.modified_ns)

    def open(self) -> Content:
        """Its content in the state that was seen; opened again, in the state it is in."""
        version = None if self._opened or not self._seen.version else self._seen.version
        self._opened = True
        return Content(self._job, self._far, version, self._path)


class Listed(NamedTuple):
    """Something of a listing: a key below the root, and its path, or why it has none.

    A ``marker`` is what other tools leave where a directory is meant.
    """

    key: str
    path: bytes
    found: Object
    fault: Optional[Fault] = None
    marker: bool = False


class Store(Protocol):
    """Where items are read from."""

    scheme: str

    @property
    def identity(self) -> str:
        """What tells this root from every other."""

    def root(self) -> "tuple[str, Optional[Seen]]":
        """``file`` with its state, or ``directory``; raises ``SRC_NOT_FOUND``."""

    def listed(self) -> Iterator[Listed]:
        """Everything below the root, in the store's order."""

    def look(self, key: str) -> Optional[Seen]:
        """The state of what is under a key below the root."""

    def far(self, key: str) -> Far:
        """What is under a key below the root, to be read; the root itself for an empty one."""

    def close(self) -> None:
        """Ends the connections."""


class BucketStore:
    """A bucket, or what is below a prefix of it."""

    scheme = "s3"

    def __init__(self, job: "Job", location: Location, side: str) -> None:
        self.bucket = Bucket(job, location)
        self.escape = location.options.keys == "escape"
        self._job = job
        self._side = side
        self._location = location
        self._is_into = location.is_into

    @property
    def identity(self) -> str:
        """What tells this root from every other."""
        return "%s %s" % (self.bucket.identity, self.bucket.root)

    def whole_key(self, key: str) -> str:
        """A key below the root, as the store has it."""
        root = self.bucket.root
        return root + "/" + key if root and key else root or key

    def root(self) -> "tuple[str, Optional[Seen]]":
        """What the root is: an object, or else what is below it."""
        if self.bucket.root and not self._is_into:
            seen = self.look("")
            if seen is not None:
                return "file", seen
        if not self._page(None).objects:
            message, shown = "the source does not exist", self._location.shown
            raise Fault("SRC_NOT_FOUND", message, path=shown)
        return "directory", None

    @property
    def _prefix(self) -> str:
        return self.bucket.root + "/" if self.bucket.root else ""

    def _page(self, next_: Optional[str]) -> Page:
        try:
            return self.bucket.page(self._prefix, False, next_)
        except Failure as failure:
            raise failure.fault(self._side, "list", "list the bucket") from failure

    def listed(self) -> Iterator[Listed]:
        """Every key below the root; the root's own marker is none."""
        next_: Optional[str] = None
        while True:
            page = self._page(next_)
            for found in page.objects:
                key = found.key[len(self._prefix) :]
                if key:
                    yield self._one(key, found)
            next_ = page.next
            if next_ is None:
                return

    def _one(self, key: str, found: Object) -> Listed:
        marker = key.endswith("/") and not found.size
        try:
            path = item_path_of(key[:-1] if marker else key, self.escape)
            return Listed(key, path, found, marker=marker)
        except Fault as fault:
            return Listed(key, shown_of(key), found, fault)

    def look(self, key: str) -> Optional[Seen]:
        """The state of an object; ``None`` where there is none."""
        try:
            found = self.bucket.look(self.whole_key(key))
            if found is not None and self._side == "destination":
                # What is only replaced or removed may lie wherever it lies.
                found = found._replace(archived=False)
            return None if found is None else seen_of(found)
        except Failure as failure:
            raise failure.fault(self._side, "look", "look at the object") from failure

    def far(self, key: str) -> Far:
        """An object, to be read."""
        return ObjectFar(self.bucket, self.whole_key(key))

    def close(self) -> None:
        """Ends the connections."""
        self.bucket.close()


class WebStore:
    """One thing behind a URL of HTTP."""

    def __init__(self, job: "Job", location: Location) -> None:
        self.scheme = location.scheme
        self._page = WebPage(job, location)
        self._shown = location.shown

    @property
    def identity(self) -> str:
        """What tells this URL from every other."""
        return self._page.url

    def root(self) -> "tuple[str, Optional[Seen]]":
        """Always one file."""
        seen = self.look("")
        if seen is None:
            raise Fault("SRC_NOT_FOUND", "the source does not exist", path=self._shown)
        return "file", seen

    def listed(self) -> Iterator[Listed]:
        """HTTP knows no listings."""
        return iter(())

    def look(self, key: str) -> Optional[Seen]:
        """Its state; ``None`` where there is nothing."""
        try:
            return self._page.look()
        except Failure as failure:
            if failure.class_ == "not_found":
                return None
            raise failure.fault("source", "look", "look at the source", self._shown) from failure

    def far(self, key: str) -> Far:
        """It, to be read."""
        return self._page

    def close(self) -> None:
        """Ends the connections."""
        self._page.close()


def open_store(job: "Job", location: Location, side: str) -> Store:
    """The store of a location."""
    if location.scheme == "s3":
        return BucketStore(job, location, side)
    return WebStore(job, location)
