"""``decompress``: a gzip file to a file, a tar archive to a tree."""

from __future__ import annotations

import os
from typing import Any, Dict, Mapping

from .. import fields as f
from ..coding import (
    ARCHIVES,
    HEAD_BYTES,
    MAX_BYTES_DEFAULT,
    MAX_RATIO_DEFAULT,
    Caps,
    built_format,
    form_of,
    refuse_selection,
    refuse_unbuilt,
    split_ending,
)
from ..compare import Comparer, Item
from ..faults import Fault, source_fault
from ..fields import Field
from ..glob import Selection
from ..job import Job, Outcome
from ..leftovers import remove_leftovers
from ..local import Source, base_name, identity, kind_of, make_directories, open_source_file
from ..location import local_path
from ..names import path_fields
from ..publish import Publisher, own_record
from ..state import Root
from ..timetable import LIMITS
from ..transfer import Rules, stage_file
from ..unbundle import Unbundler, check_archive, plain_pieces
from .copy import ON_EXISTS, refuse_overlap, source_status

_ALGORITHM = "crc64nvme"
_CHUNK_BYTES = 1 << 20
_PRESERVE = frozenset(("mode", "times"))

FIELDS: Dict[str, Field] = {
    "src": Field(local_path, required=True),
    "dst": Field(local_path, required=True),
    "format": Field(built_format),
    "threads": Field(f.integer(1, 64)),
    "on_exists": Field(f.choice(*ON_EXISTS), default="fail"),
    "include": f.GLOBS,
    "exclude": f.GLOBS,
    "max_bytes": Field(f.size(1), default=MAX_BYTES_DEFAULT),
    "max_ratio": Field(f.integer(1), default=MAX_RATIO_DEFAULT),
    "limits": LIMITS,
}


def run(job: Job, params: Mapping[str, Any]) -> Outcome:
    """Decodes the file, or extracts the archive."""
    return _Decompress(job, params).run()


def form_for(params: Mapping[str, Any]) -> str:
    """The form asked for, or the one that the file's first bytes and its name tell."""
    src: bytes = params["src"]
    form = params["format"]
    if form is None:
        form = form_of(_head(src), base_name(src))
    if form is None:
        message = "neither its first bytes nor its name tell how the file is compressed"
        raise Fault("UNSUPPORTED", message, path=src, hint="give its format")
    return refuse_unbuilt(form)


def _head(src: bytes) -> bytes:
    fd = open_source_file(os.path.realpath(src), None, src)
    try:
        return os.read(fd, HEAD_BYTES)
    except OSError as error:
        raise source_fault(error, "read the source", src) from error
    finally:
        os.close(fd)


class _Decompress:
    def __init__(self, job: Job, params: Mapping[str, Any]) -> None:
        self._job = job
        self._params = params
        self._src: bytes = params["src"]
        self._dst = _target(params)
        self._caps = Caps(params["max_bytes"], params["max_ratio"])
        self._publisher = Publisher(job, True, params["on_exists"])

    def run(self) -> Outcome:
        status = source_status({"src": self._src, "symlinks": "follow"})
        kind = kind_of(status.st_mode)
        if kind != "file":
            raise Fault("UNSUPPORTED", "the source is no regular file", path=self._src)
        form = form_for(self._params)
        refuse_overlap(self._src, self._dst, status)
        self._job.phase = "decompress"
        data: Dict[str, Any] = {"dst": path_fields(self._dst), "format": form}
        try:
            if form in ARCHIVES:
                data.update(self._archive(form, status))
            else:
                refuse_selection(self._params)
                data.update(self._file(status))
        except BaseException:
            self._publisher.abort()
            raise
        return Outcome(data=data)

    def _prepare(self, root: Root) -> None:
        job = self._job
        job.session.note_roots(job, [root])
        for attempt in job.prior_attempts:
            remove_leftovers(job, attempt, [root])

    def _file(self, status: os.stat_result) -> Dict[str, Any]:
        job, params = self._job, self._params
        job.items_total, job.bytes_total = 1, status.st_size
        head, slash, name = self._dst.rpartition(b"/")
        above = head or slash or b"."
        self._prepare(Root(above, False))
        directory, touched = make_directories(above)
        try:
            for parent in touched:
                self._publisher.touch(parent)
                parent.drop()
            shown = base_name(self._src) or self._src
            source = Source(None, os.path.realpath(self._src), shown, packed=True)
            item = Item(source, "file", status, name)
            record = own_record(job, shown, directory, name)
            if record is not None and record.source == identity(status):
                job.item_ok(shown, record.content.size, record.content.digests)
                return {}
            comparer = Comparer(job, params["on_exists"], "time", packs=False)
            rule = "replace" if record is not None else None
            decision = comparer.judge(directory.fd, name, item, rule)
            if decision.fault is not None:
                raise decision.fault.at(self._dst)
            if decision.action == "skip":
                job.item_skipped(shown, status.st_size)
                return {}
            job.begin_item(shown, status.st_size)
            rules = Rules(_ALGORITHM, "none", _PRESERVE, _CHUNK_BYTES, caps=self._caps)
            try:
                staged = stage_file(job, rules, source, directory, name)
            except Fault as fault:
                # By the name that the command gives it.
                fault.path = self._src if fault.path == shown else fault.path
                raise
            staged.over(decision.there if decision.action == "replace" else None)
            self._publisher.add(staged)
            self._publisher.flush()
            return {
                "original_bytes": staged.size,
                "stored_bytes": status.st_size,
                "digests": staged.digests,
            }
        finally:
            directory.drop()

    def _archive(self, form: str, status: os.stat_result) -> Dict[str, Any]:
        job, params, src = self._job, self._params, self._src
        packed = form == "tar_gzip"
        job.bytes_total = status.st_size
        fd = open_source_file(os.path.realpath(src), None, src)
        try:
            before = os.fstat(fd)
            check_archive(plain_pieces(job, fd, src, packed, self._caps, counted=False))
            self._prepare(Root(self._dst, True))
            root, touched = make_directories(self._dst)
            try:
                for parent in touched:
                    self._publisher.touch(parent)
                    parent.drop()
                selection = Selection(params["include"], params["exclude"])
                rule = params["on_exists"]
                unbundler = Unbundler(job, root, bool(touched), selection, self._publisher, rule)
                unbundler.run(plain_pieces(job, fd, src, packed, self._caps, counted=True))
            finally:
                root.drop()
            if identity(os.fstat(fd)) != identity(before):
                raise Fault("SRC_CHANGED", "the source changed while it was read", path=src)
        except Fault as fault:
            raise fault.at(src) from fault
        finally:
            os.close(fd)
        return {
            "original_bytes": unbundler.original,
            "stored_bytes": status.st_size,
            "items": unbundler.items,
        }


def _target(params: Mapping[str, Any]) -> bytes:
    """The result itself: ``dst``, or the source's name without its ending in it."""
    dst: bytes = params["dst"]
    if not dst.endswith(b"/"):
        return dst
    name = split_ending(base_name(params["src"]))[0]
    if not name:
        message = "the source has no name of its own to go by under dst"
        raise Fault("INVALID_FIELD", message, field="dst")
    return dst + name
