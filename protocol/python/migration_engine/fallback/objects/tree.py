"""Items elsewhere, in the form in which a walk of this machine tells its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator, List, NamedTuple, Optional

from ..faults import ENDS_JOB, Fault
from ..glob import Selection
from ..local import Entry, Source
from ..names import join
from ..remote.seen import Seen
from .facts import directory_status, status_of
from .stores import Elsewhere, Listed, Store, seen_of

if TYPE_CHECKING:
    import os

    from ..job import Job


class _Level(NamedTuple):
    path: bytes
    covered: bool
    excluded: bool


class FarWalk:
    """The entries below the root of a store; directories are what paths go through.

    With ``looks``, each item taken is looked at, since listings tell no metadata.
    """

    def __init__(self, job: "Job", store: Store, selection: Selection, looks: bool) -> None:
        self._job = job
        self._store = store
        self._selection = selection
        self._looks = looks
        self._stack: List[_Level] = []

    def __iter__(self) -> Iterator[Entry]:
        self._stack = [_Level(b"", False, False)]
        for listed in self._store.listed():
            self._job.step()
            yield from self._item(listed)
        while len(self._stack) > 1:
            yield from self._leave()

    def _item(self, listed: Listed) -> Iterator[Entry]:
        above, _, name = listed.path.rpartition(b"/")
        if listed.fault is not None:
            if self._selection.takes(listed.path):
                yield Entry("failed", listed.path, name, "", None, -1, listed.fault)
            return
        yield from self._go(listed.path if listed.marker else above)
        if listed.marker:
            return
        level = self._stack[-1]
        if level.excluded or self._selection.excluded(listed.path, name):
            return
        if self._selection.included(listed.path, name, level.covered):
            try:
                entry = self._entry(listed, name)
            except Fault as fault:
                if fault.code in ENDS_JOB:
                    raise
                entry = Entry("failed", listed.path, name, "", None, -1, fault)
            yield entry

    def _entry(self, listed: Listed, name: bytes) -> Entry:
        seen: Optional[Seen] = None
        if self._looks:
            seen = self._store.look(listed.key)
        if seen is None:
            seen = seen_of(listed.found._replace(archived=False))
        return Entry(
            "item",
            listed.path,
            name,
            "file",
            status_of(seen.size or 0, seen.version, seen.modified_ns, seen.metadata),
            -1,
            far=Elsewhere(self._job, self._store.far(listed.key), seen, listed.path),
        )

    def _go(self, above: bytes) -> Iterator[Entry]:
        """Leaves and enters directories until the current one is ``above``."""
        while not _is_below(above, self._stack[-1].path):
            yield from self._leave()
        while self._stack[-1].path != above:
            level = self._stack[-1]
            start = len(level.path) + 1 if level.path else 0
            name = above[start:].partition(b"/")[0]
            path = join(level.path, name)
            excluded = level.excluded or self._selection.excluded(path, name)
            covered = self._selection.included(path, name, level.covered)
            self._stack.append(_Level(path, covered, excluded))
            if not excluded:
                yield Entry("enter", path, name, "directory", directory_status(), -1)

    def _leave(self) -> Iterator[Entry]:
        level = self._stack.pop()
        if not level.excluded:
            yield Entry("leave", level.path, b"", "directory", None, -1)


def _is_below(path: bytes, above: bytes) -> bool:
    return not above or path == above or path.startswith(above + b"/")


def far_source(job: "Job", store: Store, seen: Seen, path: bytes) -> Source:
    """The root of a store, which is one item."""
    return Source(None, b"", path, far=Elsewhere(job, store.far(""), seen, path))


def status_of_seen(seen: Optional[Seen]) -> "os.stat_result":
    """As the status of a file, or of a directory where there is none."""
    if seen is None:
        return directory_status()
    return status_of(seen.size or 0, seen.version, seen.modified_ns, seen.metadata)
