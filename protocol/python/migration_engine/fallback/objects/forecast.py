"""What a copy into a bucket would do: the same decisions, and nothing touched."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Dict, Mapping

from ..compare import Item
from ..copier import METHODS, names_of
from ..faults import Fault
from ..forecast import Tally, deletion_of
from ..glob import Selection
from ..local import Entry, Source, kind_of
from ..location import Location
from ..metadata import Entry as HeldEntry
from ..names import is_kept
from ..origin import Origin, Tree
from .overlap import refuse_far_overlap
from .prune import ObjectPruner
from .sink import Sink

if TYPE_CHECKING:
    from ..job import Job


class ObjectPlan:
    """The plan of a copy of ``origin`` to the bucket of ``dst``."""

    def __init__(
        self, job: "Job", params: Mapping[str, Any], origin: Origin, dst: Location
    ) -> None:
        self._job = job
        self._params = params
        self._origin = origin
        self._dst = dst
        self._selection = Selection(params["include"], params["exclude"])
        self._preserve = frozenset(params["preserve"]) - {"xattrs", "acls"}
        self._names = names_of(params)
        self._sink = Sink(job, {**params, "manifest": None}, dst)
        self._tally = Tally()

    def make(self) -> Dict[str, Any]:
        """What ``plan`` answers."""
        kind = kind_of(self._origin.status.st_mode)
        extra: Dict[str, Any] = {}
        try:
            refuse_far_overlap(self._origin, self._sink.store, self._dst.shown)
            if kind == "directory":
                extra = self._tree()
            else:
                key = self._sink.root_key()
                source = self._origin.single(self._params["symlinks"] == "follow")
                packed = (
                    self._names.unpack and self._names.stored(source.path, False) != source.path
                )
                source = source._replace(packed=packed)
                self._item(Item(source, kind, self._origin.status, source.path, alone=True), key)
        finally:
            self._sink.close()
        data = self._tally.data("copy")
        data.update(self._tally.actions)
        data.update(extra)
        data["losses"] = self._tally.lost()
        data["method"] = METHODS.get(kind, "direct")
        data["why"] = "each file is read once, digested on the way and shown by its store whole"
        return data

    def _tree(self) -> Dict[str, Any]:
        with self._origin.tree() as tree:
            for entry in tree.walk(self._selection, self._params["symlinks"] == "follow"):
                self._job.step()
                if entry.what == "enter":
                    self._tally.directories += 1
                elif entry.what == "item":
                    self._found(entry)
            return self._deletion(tree) if self._params["delete"] else {}

    def _found(self, entry: Entry) -> None:
        above, slash, name = entry.path.rpartition(b"/")
        stored = self._names.stored(name, entry.kind != "file")
        packed = self._names.unpack and stored != name
        fd = None if entry.far is not None else entry.fd
        source = Source(fd, entry.name, entry.path, packed, entry.far)
        item = Item(source, entry.kind, entry.st, above + slash + stored, alone=entry.followed)
        try:
            self._item(item, self._sink.key(item.target))
        except Fault as fault:
            if fault.code != "NAME_REFUSED":
                raise
            self._tally.item(entry.path, entry.kind, entry.st, "refuse")
            self._tally.actions["conflict"] += 1

    def _item(self, item: Item, key: str) -> None:
        tally, path = self._tally, item.source.path
        if item.kind == "special" or is_kept(os.path.basename(item.target)):
            tally.refused(path, item.status)
            return
        if item.kind == "symlink":
            skips = self._params["symlinks"] == "skip"
            tally.item(path, item.kind, item.status, "skip" if skips else "conflict")
            return
        judged = self._sink.judge(item, key, self._sink.look(key))
        if judged.action in ("new", "replace"):
            tally.losses(item.kind, item.status, self._preserve)
            if item.source.dir_fd is not None:
                held = HeldEntry(item.source.dir_fd, item.source.name)
                tally.hanging(held, item.status, self._preserve)
        tally.item(path, item.kind, item.status, judged.action)

    def _deletion(self, tree: Tree) -> Dict[str, Any]:
        pruner = ObjectPruner(self._job, self._sink, self._selection, self._names)
        pruner.expect(tree)
        counted = pruner.run(None)
        return deletion_of(self._job, self._tally, counted, self._params["max_delete"])
