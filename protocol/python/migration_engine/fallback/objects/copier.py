"""The work of ``copy`` into a bucket: walks, sends, deletes what is extra."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import Any, Dict, FrozenSet, Iterator, List, Mapping, Optional

from ..compare import Item
from ..copier import METHODS, names_of, rules_of
from ..faults import ENDS_JOB, Fault
from ..glob import Selection
from ..job import Job, Outcome
from ..lease import Lease, lock_of, patience_of
from ..local import Entry, Source, inode, kind_of
from ..location import Location
from ..manifest import ManifestWriter, refuse_manifest_inside
from ..metadata import Attributes
from ..names import is_kept, path_fields
from ..origin import Origin, Tree
from ..publish import BATCH_ITEMS, Checkpoints
from ..remote.bucket import Put
from ..remote.seen import Seen
from ..roots import hold_to_identity
from ..state import Begun, Content, Published, Root
from .earlier import Earlier, settled
from .facts import OWN, named_of, status_of, told_of
from .lease import ObjectCell
from .overlap import refuse_far_overlap
from .prune import ObjectPruner
from .sending import Sent, send_file
from .sink import Judged, Sink
from .uploads import Record, Upload

MARKS_MAX = 8
"""Writes of an item that its record names, the latest first: any of them may come late."""


def is_of(record: Published, there: Optional[Seen]) -> bool:
    """Whether what stands there is what was recorded, by this attempt or an earlier one."""
    mark = None if there is None else there.metadata.get("mig-write")
    return mark is not None and mark in record.mark.split()


def is_latest(record: Published, there: Seen, item: Item) -> bool:
    """Whether what stands there is what was recorded last, of the item as it is now."""
    latest = record.mark.split()[:1] == [there.metadata.get("mig-write")]
    return latest and record.source == item.identity


class ObjectCopier:
    """One copy from ``params``, of ``origin`` to the bucket of ``dst``."""

    def __init__(self, job: Job, params: Mapping[str, Any], origin: Origin, dst: Location) -> None:
        self._job = job
        self._params = params
        self._origin = origin
        self._dst = dst
        self._durable = params["durability"] == "power_loss"
        self._selection = Selection(params["include"], params["exclude"])
        self._preserve: FrozenSet[str] = frozenset(params["preserve"])
        self._rules = rules_of(params, self._preserve)
        self._names = names_of(params)
        self._sink = Sink(job, params, dst)
        self._checkpoints = Checkpoints(job, self._durable)
        self._lease: Optional[Lease] = None
        self._manifest: Optional[ManifestWriter] = None
        self._listed: Optional[bytes] = None
        self._inodes: Dict[Any, int] = {}
        self._deleted = 0
        self._unsaid = 0
        self._digests: Dict[str, str] = {}
        self._earlier = Earlier(job)

    def run(self) -> Outcome:
        """The whole copy."""
        kind = kind_of(self._origin.status.st_mode)
        try:
            refuse_far_overlap(self._origin, self._sink.store, self._dst.shown)
            self._prepare(kind)
            if kind == "directory":
                self._tree()
            else:
                self._single(kind)
            self._finish()
        except BaseException:
            if self._manifest is not None:
                self._manifest.discard()
            raise
        finally:
            self._sink.close()
        return Outcome(data=self._data(kind), verify=self._verify())

    def _prepare(self, kind: str) -> None:
        job, params = self._job, self._params
        job.phase = "transfer"
        if kind != "directory" and params["lock"] in ("fail", "wait"):
            message = "a lease is held on a directory, and the source is none"
            hint = "leave lock out: one item is published in one step"
            raise Fault("INVALID_FIELD", message, field="lock", hint=hint)
        manifest: Optional[bytes] = params["manifest"]
        roots = []
        if manifest is not None:
            local = self._origin.local
            refuse_manifest_inside(manifest, () if local is None else (local,))
            roots.append(Root(os.path.dirname(manifest) or b".", False))
        job.session.note_roots(job, roots)
        if manifest is not None:
            self._manifest = ManifestWriter(job, manifest)

    def _finish(self) -> None:
        self._earlier.end()
        if self._unsaid:
            self._checkpoints.send()
        if self._manifest is not None:
            manifest, self._manifest = self._manifest, None
            manifest.publish()
            self._listed = manifest.path

    def _data(self, kind: str) -> Dict[str, Any]:
        data: Dict[str, Any] = {
            "dst": path_fields(self._dst.shown),
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

    # What is copied.

    def _single(self, kind: str) -> None:
        origin = self._origin
        self._job.items_total = 1
        self._job.bytes_total = origin.status.st_size if kind == "file" else 0
        key = self._sink.root_key()
        source = origin.single(self._params["symlinks"] == "follow")
        packed = self._names.unpack and self._names.stored(source.path, False) != source.path
        source = source._replace(packed=packed)
        self._item(Item(source, kind, origin.status, source.path, alone=True), key)

    def _tree(self) -> None:
        with self._origin.tree() as tree:
            tree.hold()
            hold_to_identity(self._job, "destination", self._sink.store.identity)
            with self._leased():
                follow = self._params["symlinks"] == "follow"
                for entry in tree.walk(self._selection, follow):
                    self._job.step()
                    if entry.fault is not None:
                        self._job.item_failed(entry.path, entry.fault)
                    elif entry.what == "item":
                        self._item(self._found(entry), None)
                if self._params["delete"]:
                    self._delete(tree)

    @contextlib.contextmanager
    def _leased(self) -> Iterator[None]:
        """Within it the lease is held, where one is asked for."""
        if lock_of(self._params) == "none":
            yield
            return
        self._job.phase = "lock"
        cell = ObjectCell(self._job, self._dst)
        try:
            self._lease = Lease.take_from(self._job, cell, patience_of(self._params))
            self._job.phase = "transfer"
            try:
                yield
            finally:
                self._lease.release()
        finally:
            cell.close()

    def _commit(self) -> "contextlib.AbstractContextManager[None]":
        return contextlib.nullcontext() if self._lease is None else self._lease.commit()

    def _found(self, entry: Entry) -> Item:
        above, slash, name = entry.path.rpartition(b"/")
        stored = self._names.stored(name, entry.kind != "file")
        packed = self._names.unpack and stored != name
        fd = None if entry.far is not None else entry.fd
        source = Source(fd, entry.name, entry.path, packed, entry.far)
        target = above + slash + stored
        return Item(source, entry.kind, entry.st, target, alone=entry.followed)

    def _delete(self, tree: Tree) -> None:
        job = self._job
        if self._is_incomplete():
            return
        job.phase = "delete"
        pruner = ObjectPruner(job, self._sink, self._selection, self._names)
        pruner.expect(tree)
        counted = pruner.run(None)
        if self._is_incomplete():
            return
        counted.check(self._params["max_delete"], job.items_done, job.items_new)
        if counted.gone:
            self._deleted = pruner.run(self._commit).gone

    def _is_incomplete(self) -> bool:
        """Whether something failed, so that absence proves nothing. Says so."""
        failed = self._job.items_failed
        if failed:
            message = "nothing is deleted, since %d items or listings failed" % failed
            self._job.warn(Fault("DELETE_HALTED", message))
        return failed > 0

    # One item; its key is that of its target, unless one is given.

    def _item(self, item: Item, key: Optional[str]) -> None:
        job, path = self._job, item.source.path
        try:
            job.begin_item(path, item.size)
            self._check_kind(item)
            if item.kind == "symlink":
                job.item_skipped(path)
                return
            self._refuse_twin(item)
            self._stage(item, self._sink.key(item.target) if key is None else key)
        except Fault as fault:
            job.item_failed(path, fault)
            if fault.code in ENDS_JOB:
                raise

    def _check_kind(self, item: Item) -> None:
        """Raises for what no object can be; links that are skipped pass."""
        if item.kind == "special" and "specials" not in self._preserve:
            raise Fault("SRC_SPECIAL", "a fifo, socket or device is not opened")
        if item.kind == "special":
            raise Fault("UNSUPPORTED", "the destination knows no special files")
        if is_kept(os.path.basename(item.target)):
            raise Fault("NAME_REFUSED", "the name is kept for temporary files and leases")
        if item.kind == "symlink" and self._params["symlinks"] != "skip":
            hint = "choose symlinks: follow or skip"
            raise Fault("UNSUPPORTED", "the destination knows no links", hint=hint)

    def _refuse_twin(self, item: Item) -> None:
        """Decoded, two items of the source may have one name at the destination."""
        source = item.source
        if not source.packed or source.dir_fd is None:
            return
        with contextlib.suppress(OSError):
            os.stat(os.path.basename(item.target), dir_fd=source.dir_fd, follow_symlinks=False)
            raise Fault("NAME_REFUSED", "without its ending it has the name of another item")

    def _stage(self, item: Item, key: str) -> None:
        job = self._job
        there = self._sink.look(key)
        record = self._record(item, there)
        if there is not None and record is not None and is_latest(record, there, item):
            job.item_ok(item.source.path, record.content.size, record.content.digests)
            self._note_done(item, record.content)
            return
        judged = self._sink.judge(item, key, there, "replace" if record is not None else None)
        if judged.fault is not None:
            raise judged.fault
        if judged.action == "skip":
            job.item_skipped(item.source.path, item.size)
            self._note_standing(item, judged)
            return
        job.items_new += judged.action == "new"
        self._send(item, key, judged)

    def _record(self, item: Item, there: Optional[Seen]) -> Optional[Published]:
        """What an earlier attempt of this key made here, if it still stands there."""
        record = None if there is None else self._promised(item)
        return record if record is not None and is_of(record, there) else None

    def _promised(self, item: Item) -> Optional[Published]:
        """What an earlier attempt of this key was about to make of an item."""
        job = self._job
        if job.key is None or not job.prior_attempts:
            return None
        return job.session.state.published(job.key, item.source.path)

    def _send(self, item: Item, key: str, judged: Judged) -> None:
        job, path = self._job, item.source.path
        nonces = [""]
        promised = self._promised(item)
        over = None if judged.there is None else judged.there.version

        def begin(given: Attributes, size: Optional[int]) -> "tuple[Upload, List[str]]":
            told, lost = self._told(given)
            upload, nonces[0] = self._begun(self._sink.whole(key), Put(over, told), size)
            return upload, lost

        def note(source: str, content: Content) -> None:
            if job.key is not None:
                earlier = promised.mark.split()[: MARKS_MAX - 1] if promised is not None else []
                record = Published(path, " ".join([nonces[0], *earlier]), source, content)
                job.session.state.note_published(job.key, [record], self._durable)

        try:
            with self._commit():
                sent = send_file(job, self._rules, item, begin, note)
        except Fault as fault:
            if promised is not None and fault.code in ("DST_EXISTS", "DST_CHANGED"):
                there = self._sink.look(key)
                if is_of(promised, there):
                    # A store goes on with the requests of the dead: it came only now.
                    self._send(item, key, Judged("replace", None, there))
                    return
            if fault.code == "DST_EXISTS" and self._params["on_exists"] == "skip":
                job.item_skipped(path, item.size)
                return
            if fault.code == "DST_EXISTS" and self._params["on_exists"] != "fail":
                raise Fault("DST_CHANGED", fault.message) from fault
            raise
        self._read_back(item, key, sent)
        self._done(item, sent)

    def _told(self, given: Attributes) -> "tuple[Dict[str, str], List[str]]":
        """The metadata of an object, and what of its source is lost."""
        told = told_of(given.status, self._preserve)
        options = self._dst.options.metadata
        reserved = {*OWN, *(name.lower() for name in options)}
        kept, left = named_of(given.named, {**told, **options}, reserved)
        lost = ["xattrs"] if (left or given.cut) and "xattrs" in self._preserve else []
        if "acls" in self._preserve and given.has("acls"):
            lost.append("acls")
        return {**told, **kept}, lost

    def _begun(self, key: str, put: Put, size: Optional[int]) -> "tuple[Upload, str]":
        """The upload of an object, and what marks it: gone on with where an attempt began it."""
        job, bucket = self._job, self._sink.bucket
        facts = ""
        if job.key is not None and size is not None:
            facts = settled(bucket.fields(key, put), put.over, size, bucket.options.part_bytes)

        def upload(mark: str) -> Upload:
            marked = Put(put.over, {**put.metadata, "mig-write": mark})
            return Upload(job, bucket, key, marked, size, self._recorded(key, mark, facts))

        earlier = self._earlier.take(key, facts) if facts else None
        if earlier is not None:
            name, begun = earlier
            adopted = upload(begun.mark)
            stands = adopted.adopt(begun.name)
            job.session.state.drop_upload(name, begun)
            if stands:
                return adopted, begun.mark
        mark = secrets.token_hex(8)
        return upload(mark), mark

    def _recorded(self, key: str, mark: str, facts: str) -> Record:
        state, job = self._job.session.state, self._job

        def record(name: str, ended: bool) -> None:
            begun = Begun(job.raw.get("dst"), key, name, mark, facts)
            with contextlib.suppress(Fault):
                (state.drop_upload if ended else state.note_upload)(job.name, begun)

        return record

    def _read_back(self, item: Item, key: str, sent: Sent) -> None:
        algorithm = self._rules.algorithm
        if self._rules.verify != "readback" or algorithm is None:
            return
        seen = Seen(None, sent.version, 0, {}, {})
        packed = self._rules.pack is not None
        mine = self._sink.read_back(key, seen, item.source.path, algorithm, packed)
        if mine != sent.content.digests[algorithm]:
            self._sink.remove(key, sent.version)
            raise Fault("VERIFY_MISMATCH", "what was read back is not what was written")

    def _done(self, item: Item, sent: Sent) -> None:
        job, path = self._job, item.source.path
        lost = list(sent.lost)
        if "hard_links" in self._preserve and not item.alone and item.status.st_nlink > 1:
            key = inode(item.status)
            self._inodes[key] = self._inodes.get(key, 0) + 1
            if self._inodes[key] > 1:
                lost.append("hard_links")
        job.losses.add(job, lost, path)
        job.item_ok(path, sent.content.size, sent.content.digests)
        # Of what is elsewhere, only the answer that gave the bytes told everything.
        self._note_done(item._replace(status=sent.status), sent.content)
        self._unsaid += 1
        if self._unsaid >= BATCH_ITEMS:
            self._unsaid = 0
            self._checkpoints.send()

    def _note_standing(self, item: Item, judged: Judged) -> None:
        """Lists what stands as it should, as it stands."""
        there, content = judged.there, judged.content
        if self._manifest is not None and there is not None and content is not None:
            status = status_of(there.size or 0, there.version, there.modified_ns, there.metadata)
            self._manifest.add(item._replace(status=status), content)

    def _note_done(self, item: Item, content: Content) -> None:
        if self._manifest is not None:
            self._manifest.add(item, content)
        if self._job.items_total == 1:
            self._digests = content.digests
