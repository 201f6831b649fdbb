"""A location elsewhere as a source."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, FrozenSet, Iterable, Iterator, Optional

from ..glob import Selection
from ..local import Entry, Source
from ..location import Location
from ..metadata import Attributes
from ..roots import hold_to_identity
from .keys import NAME_BYTES_MAX
from .stores import Store, open_store
from .tree import FarWalk, far_source, status_of_seen

if TYPE_CHECKING:
    from ..job import Job
    from ..origin import Tree


class FarOrigin:
    """An object, what is below a prefix, or what is behind a URL."""

    local: Optional[bytes] = None

    def __init__(self, job: "Job", location: Location, looks: bool) -> None:
        self._job = job
        self._looks = looks
        self.shown = location.shown
        self.scheme = location.scheme
        self.name = _name(location)
        self.store: Store = open_store(job, location, "source")
        try:
            self.kind, self._seen = self.store.root()
        except BaseException:
            self.store.close()
            raise
        self.status = status_of_seen(self._seen)

    def single(self, follow: bool) -> Source:
        """The one item that it is."""
        if self._seen is None:
            raise ValueError("a directory is no item")
        return far_source(self._job, self.store, self._seen, self.name or self.shown)

    @contextlib.contextmanager
    def tree(self) -> "Iterator[Tree]":
        """What is below it."""
        yield FarTree(self._job, self.store, self._looks)

    def close(self) -> None:
        """Ends the connections."""
        self.store.close()


class FarTree:
    """Everything below the root of a store."""

    fd: Optional[int] = None

    def __init__(self, job: "Job", store: Store, looks: bool) -> None:
        self._job = job
        self._store = store
        self._looks = looks

    def hold(self) -> None:
        """``RESUME_REFUSED`` where the key began with another one."""
        hold_to_identity(self._job, "source", self._store.identity)

    def walk(self, selection: Selection, follow: bool) -> Iterable[Entry]:
        """Everything below it that ``selection`` takes; there are no links."""
        return FarWalk(self._job, self._store, selection, self._looks)

    def attributes(self, preserve: FrozenSet[str]) -> Optional[Attributes]:
        """It has none: keys only imply it."""
        return None


def _name(location: Location) -> bytes:
    """The name to go by: a bucket or a host is none."""
    if b"/" not in location.path.partition(b"?")[0].rstrip(b"/"):
        return b""
    return location.name if len(location.name) <= NAME_BYTES_MAX else b""
