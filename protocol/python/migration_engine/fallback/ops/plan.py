"""``plan``: what a command would do, without touching anything."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import Any, Dict, Mapping, Optional, Tuple

from .. import fields as f
from ..faults import Fault
from ..fields import Field
from ..glob import Selection
from ..job import Job, Outcome
from ..local import DIRECTORY_FLAGS, Walk, kind_of, open_beneath, open_source_directory
from ..names import is_temporary
from ..publish import Decision, judge

_PLANNED = ("copy", "checksum", "verify", "inspect", "compress")


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


FIELDS: Dict[str, Field] = {"command": Field(_command, required=True), "limits": f.LIMITS}


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
    data["method"] = "stream"
    data["why"] = "each file is read once, from its beginning to its end"
    return data


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

    def losses(self, kind: str, status: os.stat_result, keeps_bits: bool) -> None:
        """Counts what the copy will not carry over."""
        self._losses["special_files"] += kind == "special"
        if kind != "file":
            return
        self._losses["hard_links"] += status.st_nlink > 1
        sparse = status.st_blocks * 512 < status.st_size
        self._losses["holes"] += sparse and status.st_size >= _HOLES_BYTES_MIN
        bits = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
        self._losses["setuid_bits"] += bool(status.st_mode & bits) and not keeps_bits

    def data(self, op: str) -> Dict[str, Any]:
        """What every plan answers."""
        return {
            "op": op,
            "items": self.items,
            "bytes": self.bytes,
            "directories": self.directories,
            "digest": self._digest.hexdigest(),
        }

    def lost(self) -> "list[Dict[str, Any]]":
        """The losses there are."""
        return [{"what": what, "items": n} for what, n in self._losses.items() if n]


def plan_copy(job: Job, params: Mapping[str, Any]) -> Dict[str, Any]:
    """The decisions of a copy, in its own order and by its own rules."""
    from .copy import refuse_overlap, source_status, target_of

    dst = target_of(params)
    status = source_status(params)
    refuse_overlap(params["src"], dst, status)
    tally = _Tally()
    kind = kind_of(status.st_mode)
    if kind == "directory":
        _plan_tree(job, params, dst, tally)
    else:
        head, slash, name = dst.rpartition(b"/")
        above = _open_existing(head or slash or b".")
        source = (None, params["src"])
        _plan_item(params, tally, source, kind, status, above, name, name)
        if above is not None:
            os.close(above)
    data = tally.data("copy")
    data.update(tally.actions)
    data["losses"] = tally.lost()
    data["method"] = "tree" if kind == "directory" else "single"
    data["why"] = "each file is read once, digested on the way and published by rename"
    return data


def _open_existing(path: bytes) -> Optional[int]:
    try:
        return os.open(path, DIRECTORY_FLAGS)
    except OSError:
        return None


def _plan_tree(job: Job, params: Mapping[str, Any], dst: bytes, tally: _Tally) -> None:
    selection = Selection(params["include"], params["exclude"])
    src_fd = open_source_directory(params["src"])
    dst_fd = _open_existing(dst)
    blocked: Optional[bytes] = None
    try:
        if dst_fd is None and os.path.lexists(dst):
            raise Fault("DST_TYPE", "another kind of thing stands at the destination", path=dst)
        for entry in Walk(src_fd, selection, params["symlinks"] == "follow"):
            job.step()
            if blocked is not None and entry.path.startswith(blocked):
                continue
            if entry.what == "enter" and _stands_in_the_way(dst_fd, entry.path):
                tally.item(entry.path, "directory", entry.st, "conflict")
                blocked = entry.path + b"/"
            elif entry.what == "enter":
                tally.directories += 1
            elif entry.what == "item":
                parts = entry.path.split(b"/")
                above = _open_below(dst_fd, parts[:-1])
                source = (entry.fd, entry.name)
                _plan_item(
                    params, tally, source, entry.kind, entry.st, above, parts[-1], entry.path
                )
                if above is not None:
                    os.close(above)
    finally:
        os.close(src_fd)
        if dst_fd is not None:
            os.close(dst_fd)


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


def _open_below(root: Optional[int], parts: "list[bytes]") -> Optional[int]:
    if root is None:
        return None
    try:
        return open_beneath(root, parts)
    except OSError:
        return None


def _plan_item(
    params: Mapping[str, Any],
    tally: _Tally,
    source: Tuple[Optional[int], bytes],
    kind: str,
    status: os.stat_result,
    above: Optional[int],
    name: bytes,
    path: bytes,
) -> None:
    if kind == "special" or is_temporary(name):
        tally.item(path, "special", status, "refuse")
        tally.losses("special", status, False)
        return
    if kind == "symlink" and params["symlinks"] == "skip":
        tally.item(path, kind, status, "skip")
        return
    decision = Decision("new")
    if above is not None:
        text = os.readlink(source[1], dir_fd=source[0]) if kind == "symlink" else None
        decision = judge(above, name, status, text, params["on_exists"])
    if decision.action in ("new", "replace"):
        tally.losses(kind, status, "setuid" in params["preserve"])
    tally.item(path, kind, status, decision.action)
