"""``plan``: what a command would do, without touching anything."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import Any, Container, Dict, List, Mapping, Optional, Tuple

from .. import fields as f
from ..coding import ARCHIVES
from ..compare import Comparer, Decision, Item
from ..copier import METHODS, names_of
from ..faults import Fault
from ..fields import Field
from ..glob import Selection
from ..job import Job, Outcome
from ..local import (
    DIRECTORY_FLAGS,
    Source,
    Walk,
    kind_of,
    open_beneath,
    open_source_directory,
)
from ..names import is_kept
from ..prune import Pruner
from ..timetable import LIMITS
from ..transfer import link_text

_PLANNED = ("copy", "checksum", "verify", "inspect", "compress", "decompress")


def _command(value: Any, field: str) -> Tuple[str, Dict[str, Any]]:
    if not isinstance(value, dict):
        raise f.invalid(field, "a command")
    from . import JOB_OPS

    op = value.get("op")
    if not isinstance(op, str):
        raise Fault("MISSING_FIELD", "the command has no op", field=field + ".op")
    if op not in _PLANNED:
        hint = f.suggestion(op, _PLANNED)
        raise Fault("UNSUPPORTED", "there is no plan for it", field=field + ".op", hint=hint)
    rest = {name: item for name, item in value.items() if name not in ("op", "id", "labels")}
    return op, f.within(field, JOB_OPS[op].read, rest)


FIELDS: Dict[str, Field] = {"command": Field(_command, required=True), "limits": LIMITS}


def run(job: Job, params: Mapping[str, Any]) -> Outcome:
    """Answers with the decisions."""
    op, command = params["command"]
    if op == "copy":
        return Outcome(data=plan_copy(job, command))
    return Outcome(data=_plan_reading(job, op, command))


def _plan_reading(job: Job, op: str, command: Mapping[str, Any]) -> Dict[str, Any]:
    src = command["src"]
    selection = Selection(command.get("include", ()), command.get("exclude", ()))
    tally = _Tally()
    for source in src if isinstance(src, list) else [src]:
        _survey(job, source, selection, tally)
    data = tally.data(op)
    del data["digest"]
    data["method"] = _reading_method(op, command)
    data["why"] = "each file is read once, from its beginning to its end"
    return data


def _reading_method(op: str, command: Mapping[str, Any]) -> str:
    from . import compress, decompress
    from .copy import source_status

    if op == "decompress":
        return decompress.form_for(command)
    if op == "compress":
        status = source_status({"src": command["src"], "symlinks": "follow"})
        form = compress.form_for(command, kind_of(status.st_mode))
        return "archive" if form in ARCHIVES else form
    return "stream"


def _survey(job: Job, source: bytes, selection: Selection, tally: "_Tally") -> None:
    from .copy import source_status

    status = source_status({"src": source, "symlinks": "preserve"})
    kind = kind_of(status.st_mode)
    if kind != "directory":
        tally.item(source, kind, status, "read")
        return
    fd = open_source_directory(source)
    try:
        for entry in Walk(fd, selection):
            job.step()
            if entry.what == "enter":
                tally.directories += 1
            elif entry.what == "item":
                tally.item(entry.path, entry.kind, entry.st, "read")
    finally:
        os.close(fd)


_HOLES_BYTES_MIN = 64 << 10
"""Files below are stored within the inode, or too small for their holes to matter."""


class _Tally:
    def __init__(self) -> None:
        self.items = self.bytes = self.directories = 0
        self.actions = {"new": 0, "replace": 0, "skip": 0, "conflict": 0}
        self._losses = {"special_files": 0, "hard_links": 0, "setuid_bits": 0, "holes": 0}
        # The walk is sorted by whole paths, so feeding in its order is feeding a sorted list.
        self._digest = hashlib.sha256()

    def item(self, path: bytes, kind: str, status: os.stat_result, action: str) -> None:
        """Counts one item and what happens to it."""
        self.items += 1
        size = status.st_size if kind == "file" else 0
        if action not in ("skip", "conflict", "refuse"):
            self.bytes += size
        if action in self.actions:
            self.actions[action] += 1
        fact = b"%s %s %d %d\0" % (action.encode(), kind.encode(), size, status.st_mtime_ns)
        self._digest.update(fact + path + b"\0")

    def refused(self, path: bytes, status: os.stat_result) -> None:
        """Counts an item that is not copied at all."""
        self.item(path, "special", status, "refuse")
        self._losses["special_files"] += 1

    def losses(self, kind: str, status: os.stat_result, preserve: Container[str]) -> None:
        """Counts what the copy will not carry over."""
        if kind != "file":
            return
        self._losses["hard_links"] += status.st_nlink > 1 and "hard_links" not in preserve
        sparse = status.st_blocks * 512 < status.st_size and "holes" not in preserve
        self._losses["holes"] += sparse and status.st_size >= _HOLES_BYTES_MIN
        bits = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
        self._losses["setuid_bits"] += bool(status.st_mode & bits) and "setuid" not in preserve

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


def plan_copy(job: Job, params: Mapping[str, Any]) -> Dict[str, Any]:
    """The decisions of a copy, in its own order and by its own rules."""
    return _CopyPlan(job, params).make()


class _CopyPlan:
    def __init__(self, job: Job, params: Mapping[str, Any]) -> None:
        from .copy import target_of

        self._job = job
        self._params = params
        self._dst = target_of(params)
        self._selection = Selection(params["include"], params["exclude"])
        self._names = names_of(params)
        self._comparer = Comparer(
            job, params["on_exists"], params["compare"], params["compress"] is not None
        )
        self._tally = _Tally()

    def make(self) -> Dict[str, Any]:
        from .copy import refuse_overlap, source_status

        params, tally = self._params, self._tally
        status = source_status(params)
        refuse_overlap(params["src"], self._dst, status)
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
        return data

    def _single(self, kind: str, status: os.stat_result) -> None:
        src: bytes = self._params["src"]
        head, slash, name = self._dst.rpartition(b"/")
        above = _open_existing(head or slash or b".")
        try:
            packed = self._names.unpack and self._names.stored(src, False) != src
            source = Source(None, src, name, packed)
            self._item(Item(source, kind, status, name), above, name)
        finally:
            if above is not None:
                os.close(above)

    def _tree(self) -> Dict[str, Any]:
        src_fd = open_source_directory(self._params["src"])
        dst_fd = _open_existing(self._dst)
        try:
            if dst_fd is None and os.path.lexists(self._dst):
                message = "another kind of thing stands at the destination"
                raise Fault("DST_TYPE", message, path=self._dst)
            self._walk(src_fd, dst_fd)
            return self._deletion(src_fd, dst_fd) if self._params["delete"] else {}
        finally:
            os.close(src_fd)
            if dst_fd is not None:
                os.close(dst_fd)

    def _walk(self, src_fd: int, dst_fd: Optional[int]) -> None:
        blocked: Optional[bytes] = None
        for entry in Walk(src_fd, self._selection, self._params["symlinks"] == "follow"):
            self._job.step()
            if blocked is not None and entry.path.startswith(blocked):
                continue
            if entry.what == "enter" and _stands_in_the_way(dst_fd, entry.path):
                self._tally.item(entry.path, "directory", entry.st, "conflict")
                blocked = entry.path + b"/"
            elif entry.what == "enter":
                self._tally.directories += 1
            elif entry.what == "item":
                *parents, name = entry.path.split(b"/")
                stored = self._names.stored(name, entry.kind != "file")
                packed = self._names.unpack and stored != name
                source = Source(entry.fd, entry.name, entry.path, packed)
                above = _open_below(dst_fd, parents)
                try:
                    self._item(Item(source, entry.kind, entry.st, entry.path), above, stored)
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
        if decision.action in ("new", "replace"):
            tally.losses(item.kind, item.status, params["preserve"])
        tally.item(path, item.kind, item.status, decision.action)

    def _deletion(self, src_fd: int, dst_fd: Optional[int]) -> Dict[str, Any]:
        if dst_fd is None:
            return {"delete": 0, "delete_sample": []}
        counted = Pruner(self._job, self._selection, self._names).run(src_fd, dst_fd)
        return {"delete": counted.gone, "delete_sample": counted.sample.entries}


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


def _open_below(root: Optional[int], parts: List[bytes]) -> Optional[int]:
    if root is None:
        return None
    try:
        return open_beneath(root, parts)
    except OSError:
        return None
