"""What a copy would do: the same decisions in the same order, and nothing touched."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING, Any, Container, Dict, List, Mapping, Optional, Tuple

from .compare import Comparer, Decision, Item
from .copier import METHODS, names_of
from .faults import Fault, source_fault
from .glob import Selection
from .links import First, Links
from .local import (
    DIRECTORY_FLAGS,
    Source,
    kind_of,
    mark,
    open_beneath,
)
from .metadata import Entry as HeldEntry
from .metadata import Held, read_attributes
from .names import is_kept
from .origin import Origin, Tree
from .prune import Pruner, expected_of
from .prune import Tally as Gone
from .transfer import link_text

if TYPE_CHECKING:
    from .job import Job

_HOLES_BYTES_MIN = 64 << 10
"""Files below are stored within the inode, or too small for their holes to matter."""


_LOSSES = ("special_files", "hard_links", "setuid_bits", "holes", "xattrs", "acls", "owner")


class Tally:
    """Counts items by what happens to them, and what they lose."""

    def __init__(self) -> None:
        self.items = self.bytes = self.directories = 0
        self.actions = {"new": 0, "replace": 0, "skip": 0, "conflict": 0}
        self._losses = dict.fromkeys(_LOSSES, 0)
        # The walk is sorted by whole paths, so feeding in its order is feeding a sorted list.
        self._digest = hashlib.sha256()

    def item(
        self,
        path: bytes,
        kind: str,
        status: os.stat_result,
        action: str,
        counted: Optional[int] = None,
    ) -> None:
        """Counts one item and what happens to it; ``counted`` bytes of it, if not all."""
        self.items += 1
        size = status.st_size if kind == "file" else 0
        if action not in ("skip", "conflict", "refuse"):
            self.bytes += size if counted is None else counted
        if action in self.actions:
            self.actions[action] += 1
        fact = b"%s %s %d %d\0" % (action.encode(), kind.encode(), size, status.st_mtime_ns)
        self._digest.update(fact + path + b"\0")

    def refused(self, path: bytes, status: os.stat_result) -> None:
        """Counts an item that is not copied at all."""
        self.item(path, "special", status, "refuse")
        self._losses["special_files"] += 1

    def losses(self, kind: str, status: os.stat_result, preserve: Container[str]) -> None:
        """Counts what the copy of an item will not carry over."""
        self._losses["hard_links"] += status.st_nlink > 1 and "hard_links" not in preserve
        if kind != "file":
            return
        sparse = status.st_blocks * 512 < status.st_size and "holes" not in preserve
        self._losses["holes"] += sparse and status.st_size >= _HOLES_BYTES_MIN
        bits = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
        self._losses["setuid_bits"] += bool(status.st_mode & bits) and "setuid" not in preserve

    def hanging(self, held: Held, status: os.stat_result, preserve: Container[str]) -> None:
        """Counts what is lost of directories too."""
        foreign = (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid())
        self._losses["owner"] += foreign and "owner" not in preserve
        left = [kind for kind in ("xattrs", "acls") if kind not in preserve]
        if not left:
            return
        try:
            given = read_attributes(held, status, frozenset((*left, "setuid")))
        except OSError as error:
            raise source_fault(error, "read the attributes") from error
        for kind in left:
            self._losses[kind] += given.has(kind)

    @property
    def refusals(self) -> int:
        """Items that are not copied at all."""
        return self._losses["special_files"]

    def data(self, op: str) -> Dict[str, Any]:
        """What every plan answers."""
        return {
            "op": op,
            "items": self.items,
            "bytes": self.bytes,
            "directories": self.directories,
            "digest": self._digest.hexdigest(),
        }

    def lost(self) -> List[Dict[str, Any]]:
        """The losses there are."""
        return [{"what": what, "items": n} for what, n in self._losses.items() if n]


class CopyPlan:
    """The plan of a copy of ``origin`` to ``dst``."""

    def __init__(self, job: "Job", params: Mapping[str, Any], origin: Origin, dst: bytes) -> None:
        self._job = job
        self._params = params
        self._origin = origin
        self._dst = dst
        self._status = origin.status
        self._selection = Selection(params["include"], params["exclude"])
        self._names = names_of(params)
        self._comparer = Comparer(
            job, params["on_exists"], params["compare"], params["compress"] is not None
        )
        self._links = Links(job, "hard_links" in params["preserve"])
        self._tally = Tally()
        self._coded = 0

    def make(self) -> Dict[str, Any]:
        """What ``plan`` answers."""
        tally, status = self._tally, self._status
        kind = kind_of(status.st_mode)
        extra: Dict[str, Any] = {}
        if kind == "directory":
            extra = self._tree()
        else:
            self._single(kind, status)
        data = tally.data("copy")
        data.update(tally.actions)
        data.update(extra)
        data["losses"] = tally.lost()
        data["method"] = METHODS.get(kind, "direct")
        data["why"] = "each file is read once, digested on the way and published by rename"
        if self._coded:
            coded = "; %d are compressed or decompressed, each by one thread"
            data["why"] += coded % self._coded
        return data

    def _single(self, kind: str, status: os.stat_result) -> None:
        head, slash, name = self._dst.rpartition(b"/")
        above = _open_existing(head or slash or b".")
        try:
            source = self._origin.single(self._params["symlinks"] == "follow")
            shown = source.path
            packed = self._names.unpack and self._names.stored(shown, False) != shown
            source = source._replace(path=name, packed=packed)
            self._item(Item(source, kind, status, name, alone=True), above, name)
        finally:
            if above is not None:
                os.close(above)

    def _tree(self) -> Dict[str, Any]:
        dst_fd = _open_existing(self._dst)
        try:
            if dst_fd is None and os.path.lexists(self._dst):
                message = "another kind of thing stands at the destination"
                raise Fault("DST_TYPE", message, path=self._dst)
            with self._origin.tree() as tree:
                if tree.fd is not None and (dst_fd is None or self._owns()):
                    status = os.fstat(tree.fd)
                    self._tally.hanging(tree.fd, status, self._params["preserve"])
                self._walk(tree, dst_fd)
                return self._deletion(tree, dst_fd) if self._params["delete"] else {}
        finally:
            if dst_fd is not None:
                os.close(dst_fd)

    def _owns(self) -> bool:
        """Whether directories that are there get the attributes of the source too."""
        return self._params["on_exists"] in ("update", "replace")

    def _walk(self, tree: Tree, dst_fd: Optional[int]) -> None:
        blocked: Optional[bytes] = None
        for entry in tree.walk(self._selection, self._params["symlinks"] == "follow"):
            self._job.step()
            if blocked is not None and entry.path.startswith(blocked):
                continue
            if entry.what == "enter" and _stands_in_the_way(dst_fd, entry.path):
                self._tally.item(entry.path, "directory", entry.st, "conflict")
                blocked = entry.path + b"/"
            elif entry.what == "enter":
                self._tally.directories += 1
                if entry.fd >= 0 and (self._owns() or not _exists(dst_fd, entry.path)):
                    self._tally.hanging(entry.fd, entry.st, self._params["preserve"])
            elif entry.what == "item":
                *parents, name = entry.path.split(b"/")
                stored = self._names.stored(name, entry.kind != "file")
                packed = self._names.unpack and stored != name
                fd = None if entry.far is not None else entry.fd
                source = Source(fd, entry.name, entry.path, packed, entry.far)
                above = _open_below(dst_fd, parents)
                try:
                    item = Item(source, entry.kind, entry.st, entry.path, alone=entry.followed)
                    self._item(item, above, stored)
                finally:
                    if above is not None:
                        os.close(above)

    def _item(self, item: Item, above: Optional[int], name: bytes) -> None:
        tally, path, params = self._tally, item.target, self._params
        is_special = item.kind == "special" and "specials" not in params["preserve"]
        if is_special or is_kept(name):
            tally.refused(path, item.status)
            return
        if item.kind == "symlink" and params["symlinks"] == "skip":
            tally.item(path, item.kind, item.status, "skip")
            return
        decision = Decision("new")
        if above is not None:
            if item.kind == "symlink":
                item = item._replace(text=link_text(item.source))
            decision = self._comparer.judge(above, name, item)
        action, counted = self._named(item, above, name, decision)
        if action in ("new", "replace"):
            packs = item.kind == "file" and params["compress"] is not None
            self._coded += packs or item.source.packed
            tally.losses(item.kind, item.status, params["preserve"])
            if item.source.dir_fd is not None:
                held = HeldEntry(item.source.dir_fd, item.source.name)
                tally.hanging(held, item.status, params["preserve"])
        tally.item(path, item.kind, item.status, action, counted)

    def _named(
        self, item: Item, above: Optional[int], name: bytes, decision: Decision
    ) -> Tuple[str, int]:
        """What becomes of an item that may have other names, and how many bytes are copied."""
        first, there = self._links.find(item), decision.there
        standing = ""
        if decision.action == "skip" and above is not None and there is not None:
            standing = mark(there) if self._comparer.agrees(above, name, item, there) else ""
        if first is None:
            if standing or decision.action in ("new", "replace"):
                self._links.stands(item, First(item, b"", standing, None))
            return decision.action, item.size
        if decision.action in ("new", "replace"):
            return decision.action, 0
        if decision.action == "skip" and self._params["on_exists"] == "update":
            return ("skip" if standing == first.mark else "replace"), 0
        return decision.action, item.size

    def _deletion(self, tree: Tree, dst_fd: Optional[int]) -> Dict[str, Any]:
        if dst_fd is None:
            return {"delete": 0, "delete_sample": []}
        expected = expected_of(self._job, tree, self._names)
        counted = Pruner(self._job, self._selection, self._names).run(expected, dst_fd)
        return deletion_of(self._job, self._tally, counted, self._params["max_delete"])


def deletion_of(job: "Job", tally: Tally, counted: Gone, cap: Mapping[str, Any]) -> Dict[str, Any]:
    """What a plan says of ``delete``."""
    data = {"delete": counted.gone, "delete_sample": counted.sample.entries}
    if tally.actions["conflict"] or tally.refusals or job.items_failed:
        data["delete_refused"] = "DELETE_HALTED"
        return data
    try:
        counted.check(cap, tally.items, 0)
    except Fault as fault:
        data["delete_refused"] = fault.code
    return data


def _open_existing(path: bytes) -> Optional[int]:
    try:
        return os.open(path, DIRECTORY_FLAGS)
    except OSError:
        return None


def _stands_in_the_way(root: Optional[int], path: bytes) -> bool:
    parts = path.split(b"/")
    above = _open_below(root, parts[:-1])
    if above is None:
        return False
    try:
        return not stat.S_ISDIR(os.stat(parts[-1], dir_fd=above, follow_symlinks=False).st_mode)
    except OSError:
        return False
    finally:
        os.close(above)


def _exists(root: Optional[int], path: bytes) -> bool:
    above = _open_below(root, path.split(b"/")[:-1])
    if above is None:
        return False
    try:
        os.stat(os.path.basename(path), dir_fd=above, follow_symlinks=False)
        return True
    except OSError:
        return False
    finally:
        os.close(above)


def _open_below(root: Optional[int], parts: List[bytes]) -> Optional[int]:
    if root is None:
        return None
    try:
        return open_beneath(root, parts)
    except OSError:
        return None
