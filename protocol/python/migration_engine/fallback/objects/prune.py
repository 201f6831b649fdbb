"""``delete`` in a bucket: removes what the source does not have, or says what that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, ContextManager, Optional, Set

from ..faults import ENDS_JOB, Fault
from ..glob import Selection
from ..names import is_kept, join, path_fields
from ..origin import Tree
from ..prune import Names, Tally
from .sink import Sink
from .stores import Listed

if TYPE_CHECKING:
    from ..job import Job

Commit = Callable[[], ContextManager[None]]


class ObjectPruner:
    """Lists the destination, and within a commit removes what it finds too much."""

    def __init__(self, job: "Job", sink: Sink, selection: Selection, names: Names) -> None:
        self._job = job
        self._sink = sink
        self._selection = selection
        self._names = names
        self._expected: Set[bytes] = set()
        self._tally = Tally()

    def expect(self, tree: Tree) -> None:
        """Takes the names of the source: all, since what is not taken is never judged."""
        for entry in tree.walk(Selection((), ()), self._names.follow):
            self._job.step()
            if entry.what == "item":
                above, _, name = entry.path.rpartition(b"/")
                stored = self._names.stored(name, entry.kind != "file")
                self._expected.add(join(above, stored))
            elif entry.what == "failed" and entry.fault is not None:
                # Taken or not: what cannot be read may stand for anything.
                self._job.item_failed(entry.path, entry.fault)

    def run(self, commit: Optional[Commit]) -> Tally:
        """What goes, or within ``commit`` went."""
        self._tally = Tally()
        try:
            for listed in self._sink.store.listed():
                self._job.step()
                if listed.fault is None and not listed.marker and not self._is_kept(listed.path):
                    self._judge(listed, commit)
        except Fault as fault:
            self._failed(b"", fault)
        return self._tally

    @staticmethod
    def _is_kept(path: bytes) -> bool:
        return is_kept(path.rpartition(b"/")[2])

    def _judge(self, listed: Listed, commit: Optional[Commit]) -> None:
        above, _, name = listed.path.rpartition(b"/")
        shown = join(above, self._names.judged(name))
        if not self._selection.takes(shown):
            return
        self._tally.items += 1
        if listed.path in self._expected:
            return
        if commit is not None:
            try:
                with commit():
                    if not self._sink.remove(listed.key, listed.found.version):
                        return
            except Fault as fault:
                self._failed(listed.path, fault)
                return
            self._job.deleted(listed.path)
        self._tally.gone_items += 1
        self._tally.sample.add(dict(path_fields(listed.path)))

    def _failed(self, path: bytes, fault: Fault) -> None:
        if fault.code in ENDS_JOB:
            raise fault
        self._job.item_failed(path, fault)
