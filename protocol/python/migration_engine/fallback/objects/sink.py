"""A bucket as a destination: what stands under a key, and what is made of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Mapping, NamedTuple, Optional

from ..compare import PROOF, Item, read_content
from ..digest import Digests
from ..faults import Fault
from ..local import Source
from ..location import Location
from ..remote.failures import Failure
from ..remote.seen import Seen
from ..state import Content
from .facts import time_ns
from .keys import joined, key_of
from .stores import BucketStore, Elsewhere

if TYPE_CHECKING:
    from ..job import Job


class Judged(NamedTuple):
    """What ``on_exists`` makes of an item: ``new``, ``replace``, ``skip`` or ``conflict``.

    ``there`` is what stands under its key, ``content`` that which is listed as it stands.
    """

    action: str
    fault: Optional[Fault] = None
    there: Optional[Seen] = None
    content: Optional[Content] = None


class Sink:
    """Where the items of one copy go in a bucket."""

    def __init__(self, job: "Job", params: Mapping[str, Any], location: Location) -> None:
        self._job = job
        self._on_exists: str = params["on_exists"]
        self._by_digest = params["compare"] == "digest"
        self._packs = params["compress"] is not None
        self._lists = params["manifest"] is not None
        checksum = params["checksum"]
        self._algorithm: Optional[str] = None if checksum == "none" else checksum
        self.store = BucketStore(job, location, "destination")
        self.bucket = self.store.bucket

    def key(self, path: bytes) -> str:
        """The key of an item's path, below the root; ``NAME_REFUSED`` where there is none."""
        key = key_of(path, self.store.escape)
        joined(self.bucket.root, key)
        return key

    def root_key(self) -> str:
        """The key of a single item: the root itself."""
        if not self.bucket.root:
            hint = "give a key, or a slash at the end"
            raise Fault("DST_TYPE", "a bucket is no item", hint=hint)
        joined("", self.bucket.root)
        return ""

    def whole(self, key: str) -> str:
        """A key below the root, as the store has it."""
        return self.store.whole_key(key)

    def look(self, key: str) -> Optional[Seen]:
        """What stands under a key.

        Where that may not be looked at, nothing is said to stand there: the store itself replaces
        nothing that an upload was not bound to.
        """
        try:
            return self.store.look(key)
        except Fault as fault:
            if fault.code != "DST_PERMISSION":
                raise
            return None

    def judge(
        self, item: Item, key: str, there: Optional[Seen], rule: Optional[str] = None
    ) -> Judged:
        """What becomes of an item where that stands under its key."""
        rule = rule or self._on_exists
        if there is None:
            return Judged("new")
        if rule == "fail":
            return Judged("conflict", Fault("DST_EXISTS", "the destination exists"), there)
        if rule == "skip":
            return Judged("skip", None, there)
        if rule != "update" or not self._may_agree(item, there):
            return Judged("replace", None, there)
        return self._update(item, key, there)

    def _may_agree(self, item: Item, there: Seen) -> bool:
        """Whether it is up to date, as far as that is told without reading contents."""
        if not (self._packs or item.source.packed) and there.size != item.status.st_size:
            return False
        if self._by_digest:
            return True
        told = time_ns(there.metadata.get("mtime", ""))
        return (there.modified_ns if told is None else told) == item.status.st_mtime_ns

    def _update(self, item: Item, key: str, there: Seen) -> Judged:
        wanted: List[str] = [self._algorithm] if self._lists and self._algorithm else []
        if not self._by_digest and not (self._lists and (wanted or self._packs)):
            content = Content(there.size or 0, {}, []) if self._lists else None
            return Judged("skip", None, there, content)
        algorithms = [PROOF, *wanted] if self._by_digest else wanted
        standing = self._standing(item, key, there, algorithms)
        if standing is None:
            return Judged("replace", None, there)
        if self._by_digest:
            mine = read_content(self._job, item.source, [PROOF], self._job.read)
            if mine.digests[PROOF] != standing.digests[PROOF]:
                return Judged("replace", None, there)
        digests = {name: standing.digests[name] for name in wanted}
        standing = standing._replace(digests=digests)
        if self._packs or item.source.packed:
            standing = standing._replace(stored=there.size)
        return Judged("skip", None, there, standing if self._lists else None)

    def _standing(
        self, item: Item, key: str, there: Seen, algorithms: List[str]
    ) -> Optional[Content]:
        """What stands there, read; ``None`` where that cannot be done."""
        far = Elsewhere(self._job, self.store.far(key), there, item.target)
        theirs = Source(None, b"", item.source.path, packed=self._packs, far=far)
        try:
            return read_content(self._job, theirs, algorithms, self._job.pay)
        except Fault:
            return None

    def read_back(self, key: str, there: Seen, path: bytes, algorithm: str, packed: bool) -> str:
        """The digest of the plain bytes that stand there now."""
        far = Elsewhere(self._job, self.store.far(key), there, path)
        source = Source(None, b"", path, packed=packed, far=far)
        if not packed:
            digests = Digests([algorithm])
            content = far.open()
            try:
                for data in content.chunks(1 << 20):
                    digests.update(data)
            finally:
                content.close()
            return digests.hex()[algorithm]
        return read_content(self._job, source, [algorithm], self._job.pay).digests[algorithm]

    def remove(self, key: str, version: str) -> bool:
        """Removes an object if it is still this one; whether it is gone by our hand."""
        try:
            return self.bucket.remove(self.whole(key), version)
        except Failure as failure:
            raise failure.fault("destination", "remove", "delete the object") from failure

    def close(self) -> None:
        """Ends the connections."""
        self.store.close()
