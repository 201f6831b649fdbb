"""The work of ``copy``: walks, stages, has published, deletes what is extra."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Any, Dict, FrozenSet, Iterator, Mapping, Optional

from .compare import Comparer, Decision, Item, Listing
from .digest import LARGE_BYTES
from .faults import ENDS_JOB, Fault, source_fault
from .glob import Selection
from .job import Job, Outcome
from .lease import Lease, lock_of, patience_of
from .leftovers import remove_leftovers
from .links import First, Links, content_of
from .local import Directory, Entry, Source, identity, kind_of, make_directories, mark
from .manifest import ManifestWriter, refuse_manifest_inside
from .metadata import Attributes, apply_attributes, read_attributes
from .mirror import Mirror
from .names import is_kept, is_temporary, path_fields
from .origin import Origin, Tree
from .prune import Names, Pruner, Removing, expected_of
from .publish import Publisher, Staged, own_record
from .roots import hold_to
from .state import Content, Published, Root
from .transfer import Rules, link_text, stage_file, stage_link, stage_special

METHODS = {"directory": "batches"}
"""How kinds are copied here; whatever is not listed goes as one stream."""


class Copier:
    """One copy from ``params``, of ``origin`` to ``dst``."""

    def __init__(self, job: Job, params: Mapping[str, Any], origin: Origin, dst: bytes) -> None:
        self._job = job
        self._params = params
        self._origin = origin
        self._dst = dst
        self._follow = params["symlinks"] == "follow"
        self._on_exists: str = params["on_exists"]
        self._durable = params["durability"] == "power_loss"
        self._selection = Selection(params["include"], params["exclude"])
        self._preserve: FrozenSet[str] = frozenset(params["preserve"])
        self._rules = rules_of(params, self._preserve)
        self._names = names_of(params)
        listing = Listing(self._rules.algorithm) if params["manifest"] is not None else None
        self._comparer = Comparer(
            job, self._on_exists, params["compare"], self._names.pack, listing
        )
        self._links = Links(job, "hard_links" in self._preserve)
        self._publisher = Publisher(job, self._durable, self._on_exists)
        self._root: Optional[Directory] = None
        self._manifest: Optional[ManifestWriter] = None
        self._listed: Optional[bytes] = None
        self._deleted = 0
        self._digests: Dict[str, str] = {}

    def run(self) -> Outcome:
        """The whole copy."""
        status = self._origin.status
        kind = kind_of(status.st_mode)
        self._prepare(kind)
        try:
            if kind == "directory":
                self._tree()
            else:
                self._single(kind, status)
        except BaseException:
            self._publisher.abort()
            if self._manifest is not None:
                self._manifest.discard()
            raise
        finally:
            if self._root is not None:
                self._root.drop()
        return Outcome(data=self._data(kind), verify=self._verify())

    def _prepare(self, kind: str) -> None:
        job, params = self._job, self._params
        job.phase = "transfer"
        tree = kind == "directory"
        if not tree and params["lock"] in ("fail", "wait"):
            message = "a lease is held on a directory, and the source is none"
            hint = "leave lock out: one item is published in one step"
            raise Fault("INVALID_FIELD", message, field="lock", hint=hint)
        roots = [Root(self._dst if tree else os.path.dirname(self._dst) or b".", tree)]
        manifest: Optional[bytes] = params["manifest"]
        if manifest is not None:
            local = self._origin.local
            refuse_manifest_inside(manifest, (self._dst,) if local is None else (local, self._dst))
            roots.append(Root(os.path.dirname(manifest) or b".", False))
        job.session.note_roots(job, roots)
        for name in job.prior_attempts:
            remove_leftovers(job, name, roots)
        if manifest is not None:
            self._manifest = ManifestWriter(job, manifest)

    def _finish(self) -> None:
        self._job.phase = "sync"
        self._publisher.flush()
        if self._manifest is not None:
            manifest, self._manifest = self._manifest, None
            manifest.publish()
            self._listed = manifest.path

    def _data(self, kind: str) -> Dict[str, Any]:
        data: Dict[str, Any] = {
            "dst": path_fields(self._dst),
            "kind": kind,
            "method": METHODS.get(kind, "direct"),
            "durability": self._params["durability"],
        }
        if self._digests:
            data["digests"] = self._digests
        if self._params["delete"]:
            data["deleted"] = self._deleted
        lost = self._job.losses.data()
        if lost:
            data["lost"] = lost
        if self._listed is not None:
            data["manifest"] = path_fields(self._listed)
        return data

    def _verify(self) -> Dict[str, Any]:
        proves = self._rules.algorithm is not None and self._rules.verify != "none"
        return {
            "level": self._rules.verify if proves else "size",
            "algorithm": self._rules.algorithm,
            "items": self._job.items_ok,
            "bytes": self._job.bytes,
            "mismatches": 0,
        }

    # One item by itself.

    def _single(self, kind: str, status: os.stat_result) -> None:
        head, slash, name = self._dst.rpartition(b"/")
        self._root, touched = make_directories(head or slash or b".")
        for parent in touched:
            self._publisher.touch(parent)
            parent.drop()
        self._job.items_total = 1
        self._job.bytes_total = status.st_size if stat.S_ISREG(status.st_mode) else 0
        source = self._origin.single(self._follow)
        shown = source.path
        packed = self._names.unpack and self._names.stored(shown, False) != shown
        source = source._replace(packed=packed)
        self._item(Item(source, kind, status, name, alone=True), self._root)
        self._finish()

    # A tree.

    def _tree(self) -> None:
        with self._origin.tree() as tree:
            tree.hold()
            self._root, touched = make_directories(self._dst)
            for parent in touched:
                self._publisher.touch(parent)
                parent.drop()
            hold_to(self._job, "destination", self._root.fd)
            given = self._attributes(tree.fd, self._origin.status, self._dst)
            owns = bool(touched) or self._owns_directories()
            with self._leased(self._root, given if owns else None):
                self._walk(tree, self._root, bool(touched), given)
                if self._params["delete"]:
                    self._delete(tree, self._root)

    @contextlib.contextmanager
    def _leased(self, root: Directory, given: Optional[Attributes]) -> Iterator[None]:
        """Within it the lease is held, where one is asked for; ``given`` is set on ``root`` after.

        The record of the lease is a name in the root, so that its end is a change of the root.
        """
        if lock_of(self._params) == "none":
            yield
            return
        self._job.phase = "lock"
        lease = Lease.take(self._job, root.fd, patience_of(self._params))
        self._job.phase = "transfer"
        self._publisher.lease = lease
        try:
            yield
        finally:
            self._publisher.lease = None
            lease.release()
        if given is not None:
            with contextlib.suppress(OSError):
                apply_attributes(root.fd, self._preserve, given)
                if self._durable:
                    os.fsync(root.fd)

    def _walk(self, tree: Tree, root: Directory, made: bool, given: Optional[Attributes]) -> None:
        mirror = Mirror(self._job, self._publisher, self._preserve, self._owns_directories())
        mirror.begin(root.hold(), made, self._dst, given)
        try:
            for entry in tree.walk(self._selection, self._follow):
                self._visit(entry, mirror)
            mirror.leave()
        finally:
            mirror.close()
        self._finish()

    def _owns_directories(self) -> bool:
        return self._on_exists in ("replace", "update") or bool(self._job.prior_attempts)

    def _attributes(
        self, fd: Optional[int], status: os.stat_result, path: bytes
    ) -> Optional[Attributes]:
        """Those of a directory; ``None`` for one that keys only imply."""
        if fd is None or fd < 0:
            return None
        try:
            return read_attributes(fd, status, self._preserve)
        except OSError as error:
            self._job.item_failed(path, source_fault(error, "read the attributes"))
            return Attributes(status, {})

    def _visit(self, entry: Entry, mirror: Mirror) -> None:
        self._job.step()
        if entry.what == "enter":
            given = self._attributes(entry.fd, entry.st, entry.path)
            now = self._selection.takes_all and not is_temporary(entry.name)
            mirror.enter(entry.path, given, now)
        elif entry.what == "leave":
            mirror.leave()
        elif entry.fault is not None:
            self._job.item_failed(entry.path, entry.fault)
        else:
            directory = mirror.place()
            if directory is None:
                fault = Fault("DST_TYPE", "the directory above it could not be made")
                self._job.item_failed(entry.path, fault)
                return
            self._item(self._found(entry), directory)

    def _found(self, entry: Entry) -> Item:
        above, slash, name = entry.path.rpartition(b"/")
        is_file = entry.kind == "file"
        stored = self._names.stored(name, not is_file)
        packed = self._names.unpack and stored != name
        fd = None if entry.far is not None else entry.fd
        source = Source(fd, entry.name, entry.path, packed, entry.far)
        target = above + slash + stored
        return Item(source, entry.kind, entry.st, target, alone=entry.followed)

    # What is extra.

    def _delete(self, tree: Tree, root: Directory) -> None:
        job = self._job
        if self._is_incomplete():
            return
        job.phase = "delete"
        there = expected_of(job, tree, self._names)
        counted = Pruner(job, self._selection, self._names).run(there, root.fd)
        if self._is_incomplete():
            return
        counted.check(self._params["max_delete"], job.items_done, job.items_new)
        if counted.gone:
            removing = Removing(self._durable, self._publisher.commit, self._dress)
            pruner = Pruner(job, self._selection, self._names, removing=removing)
            self._deleted = pruner.run(there, root.fd).gone

    def _is_incomplete(self) -> bool:
        """Whether something failed, so that absence proves nothing. Says so."""
        failed = self._job.items_failed
        if failed:
            message = "nothing is deleted, since %d items or listings failed" % failed
            self._job.warn(Fault("DELETE_HALTED", message))
        return failed > 0

    def _dress(self, src_fd: int, dst_fd: int, path: bytes) -> None:
        """A removal changed the times of a directory."""
        if self._owns_directories():
            given = read_attributes(src_fd, os.fstat(src_fd), self._preserve)
            apply_attributes(dst_fd, self._preserve, given)

    # One item.

    def _item(self, item: Item, directory: Directory) -> None:
        job, path = self._job, item.source.path
        try:
            job.begin_item(path, item.size)
            if item.kind == "special" and "specials" not in self._preserve:
                raise Fault("SRC_SPECIAL", "a fifo, socket or device is not opened")
            if is_kept(os.path.basename(item.target)):
                raise Fault("NAME_REFUSED", "the name is kept for temporary files and leases")
            if item.kind == "symlink" and self._params["symlinks"] == "skip":
                job.item_skipped(path)
                return
            if item.kind == "symlink":
                item = item._replace(text=link_text(item.source))
            self._refuse_twin(item)
            staged = self._stage(item, directory)
        except Fault as fault:
            job.item_failed(path, fault)
            if fault.code in ENDS_JOB:
                raise
            return
        if staged is not None:
            staged.done = lambda: self._note_done(item, staged.content)
            self._publisher.add(staged)

    def _refuse_twin(self, item: Item) -> None:
        """Decoded, two items of the source may have one name at the destination."""
        source = item.source
        if not source.packed or source.dir_fd is None:
            return
        name = os.path.basename(item.target)
        try:
            os.stat(name, dir_fd=source.dir_fd, follow_symlinks=False)
        except OSError:
            return
        raise Fault("NAME_REFUSED", "without its ending it has the name of another item")

    def _stage(self, item: Item, directory: Directory) -> Optional[Staged]:
        name = os.path.basename(item.target)
        record = self._record(item, directory, name)
        if record is not None and record.source == item.identity:
            first = First(item, b"", record.mark, record.content)
            counts = self._links.stands(item, first)
            content = record.content
            self._job.item_ok(item.source.path, content.size if counts else 0, content.digests)
            self._note_done(item, content)
            return None
        rule = "replace" if record is not None else None
        decision = self._comparer.judge(directory.fd, name, item, rule)
        if decision.fault is not None:
            raise decision.fault
        if decision.action == "skip":
            staged = self._leave_alone(item, directory, name, decision)
            if staged is None:
                self._job.item_skipped(item.source.path, item.size)
                self._note_standing(item, decision)
            return staged
        self._job.items_new += decision.action == "new"
        staged = self._make(item, directory, name)
        staged.over(decision.there if decision.action == "replace" else None)
        return staged

    def _make(self, item: Item, directory: Directory, name: bytes) -> Staged:
        """Stages an item, or joins it to the first one of its names."""
        split = False
        while True:
            first = self._links.find(item)
            if first is None:
                break
            staged = self._join(first, item, directory, name)
            if staged is not None:
                return staged
            self._links.forget(item)
            split = True
        stage = {"symlink": stage_link, "special": stage_special}.get(item.kind, stage_file)
        staged = stage(self._job, self._rules, item.source, directory, name)
        if split:
            staged.lost.append("hard_links")
        self._links.stands(item, First(item, staged.temp, mark(staged.status()), staged.content))
        return staged

    def _leave_alone(
        self,
        item: Item,
        directory: Directory,
        name: bytes,
        decision: Decision,
    ) -> Optional[Staged]:
        """What is skipped by rule may be the first of its names all the same.

        With ``update``, one that is not joined to the names before it is not up to date.
        """
        there = decision.there
        if there is None or item.alone or item.status.st_nlink < 2:
            return None
        if self._on_exists != "update":
            if self._comparer.agrees(directory.fd, name, item, there):
                self._links.stands(item, First(item, b"", mark(there), None))
            return None
        first = self._links.find(item)
        if first is None:
            self._links.stands(item, First(item, b"", mark(there), decision.content))
            return None
        if first.mark == mark(there):
            return None
        staged = self._join(first, item, directory, name)
        if staged is None:
            self._links.forget(item)
            return None
        staged.over(there)
        return staged

    def _join(
        self, first: First, item: Item, directory: Directory, name: bytes
    ) -> Optional[Staged]:
        if self._root is None:
            return None
        staged = self._links.join(first, item, self._root, directory, name)
        if staged is None:
            return None
        try:
            content = first.content or content_of(
                self._job, item, self._rules.algorithm, self._is_ranged(item)
            )
        except BaseException:
            staged.discard()
            raise
        staged.counts, staged.source = False, identity(item.status)
        staged.size, staged.digests = content.size, content.digests
        staged.ranges, staged.stored = content.ranges, content.stored
        return staged

    def _is_ranged(self, item: Item) -> bool:
        return self._rules.ranged and item.size >= LARGE_BYTES

    def _record(self, item: Item, directory: Directory, name: bytes) -> Optional[Published]:
        return own_record(self._job, item.source.path, directory, name)

    def _note_standing(self, item: Item, decision: Decision) -> None:
        """Lists what stands as it should, as it stands."""
        there, content = decision.there, decision.content
        if self._manifest is not None and there is not None and content is not None:
            self._manifest.add(item._replace(status=there), content)

    def _note_done(self, item: Item, content: Content) -> None:
        if self._manifest is not None:
            self._manifest.add(item, content)
        if self._job.items_total == 1:
            self._digests = content.digests


def rules_of(params: Mapping[str, Any], preserve: FrozenSet[str]) -> Rules:
    """How the items of a copy are carried over."""
    algorithm = None if params["checksum"] == "none" else params["checksum"]
    return Rules(
        algorithm,
        params["verify"],
        preserve,
        params["chunk_bytes"],
        ranged=params["manifest"] is not None,
        pack=params["compress"],
    )


def names_of(params: Mapping[str, Any]) -> Names:
    """How the names of a copy come from those of its source."""
    return Names(
        params["symlinks"] == "follow", params["compress"] is not None, params["decompress"]
    )
