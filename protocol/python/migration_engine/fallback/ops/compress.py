"""``compress``: a file to gzip, or a tree to a tar archive, published whole."""

from __future__ import annotations

import os
from typing import Any, Dict, Mapping, Optional, Tuple

from .. import fields as f
from ..bundle import Bundler
from ..coding import (
    ARCHIVES,
    LEVEL_DEFAULT,
    archive_of,
    built_format,
    gzip_level,
    refuse_selection,
    refuse_unbuilt,
    split_ending,
)
from ..compare import Comparer, Decision, Item
from ..faults import Fault
from ..fields import Field
from ..job import Job, Outcome
from ..leftovers import remove_leftovers
from ..local import Directory, Source, base_name, identity, kind_of, make_directories
from ..location import local, local_path
from ..metadata import usual_mode
from ..names import path_fields
from ..publish import Publisher, Staged, create_file, own_record
from ..state import Root
from ..timetable import LIMITS
from ..transfer import Rules, stage_file
from .copy import ON_EXISTS, refuse_overlap, source_status, target_of

_ALGORITHM = "crc64nvme"
_CHUNK_BYTES = 1 << 20
_TOLD_BYTES_MIN = 64 << 10
_PRESERVE = frozenset(("mode", "times"))

FIELDS: Dict[str, Field] = {
    "src": Field(local_path, required=True),
    "dst": Field(local_path, required=True),
    "format": Field(built_format),
    "level": Field(f.integer()),
    "threads": Field(f.integer(1, 64)),
    "on_exists": Field(f.choice(*ON_EXISTS), default="fail"),
    "verify": Field(f.choice("none", "decode"), default="none"),
    "include": f.GLOBS,
    "exclude": f.GLOBS,
    "limits": LIMITS,
}


def check(params: Mapping[str, Any]) -> None:
    """What fields ask for together, as far as they tell the form."""
    form = params["format"] or split_ending(params["dst"])[1]
    if form is not None:
        _check_level(form, params["level"])


def _check_level(form: str, level: Optional[int]) -> None:
    if level is None:
        return
    if form in ("gzip", "tar_gzip"):
        gzip_level(level, "level")
    elif form == "tar":
        raise Fault("INVALID_FIELD", "tar has no levels", field="level")


def form_for(params: Mapping[str, Any], kind: str) -> str:
    """The form asked for, that of the ending of ``dst``, or the usual one of the kind."""
    usual = "tar_zstd" if kind == "directory" else "gzip"
    asked = params["format"] or split_ending(params["dst"])[1] or usual
    form = archive_of(asked) if kind == "directory" else asked
    if form is None:
        message = "%s holds one file, and src is a directory" % asked
        hint = "archives: tar, tar_gzip, tar_zstd"
        raise Fault("INVALID_FIELD", message, field="format", hint=hint)
    if form not in ARCHIVES:
        refuse_selection(params)
    return refuse_unbuilt(form)


def run(job: Job, params: Mapping[str, Any]) -> Outcome:
    """Compresses the file, or archives the tree."""
    return _Compress(job, params).run()


class _Compress:
    def __init__(self, job: Job, params: Mapping[str, Any]) -> None:
        self._job = job
        self._params = params
        self._src: bytes = params["src"]
        self._dst = local(target_of(params["dst"], base_name(params["src"])))
        self._publisher = Publisher(job, True, params["on_exists"])

    def run(self) -> Outcome:
        job = self._job
        status = source_status({"src": self._src, "symlinks": "follow"})
        kind = kind_of(status.st_mode)
        if kind == "special":
            message = "the source is no regular file and no directory"
            raise Fault("UNSUPPORTED", message, path=self._src)
        form = form_for(self._params, kind)
        _check_level(form, self._params["level"])
        refuse_overlap(self._src, self._dst, status)
        job.phase = "compress"
        head, slash, name = self._dst.rpartition(b"/")
        directory = self._open(head or slash or b".")
        try:
            data: Dict[str, Any] = {"dst": path_fields(self._dst), "format": form}
            path = self._dst if form in ARCHIVES else base_name(self._src) or self._src
            record = own_record(job, path, directory, name)
            if record is not None and record.source == identity(status):
                job.item_ok(path, record.content.size, record.content.digests)
                return Outcome(data=data)
            decision = self._judge(directory, name, kind, status, record is not None)
            if decision is not None:
                staged, more = self._stage(form, directory, name, status)
                replaces = decision.action == "replace"
                if replaces and record is None and job.items_failed:
                    staged.discard()
                    raise self._incomplete()
                staged.over(decision.there if replaces else None)
                data.update(more)
                self._publisher.add(staged)
                self._publisher.flush()
            return Outcome(data=data)
        except BaseException:
            self._publisher.abort()
            raise
        finally:
            directory.drop()

    def _incomplete(self) -> Fault:
        message = "some items failed, and what lacks them does not replace what stands there"
        hint = "mend or exclude the items that failed, or choose another dst"
        return Fault("DST_EXISTS", message, path=self._dst, hint=hint)

    def _open(self, above: bytes) -> Directory:
        """The directory of the destination, cleared of what dead attempts left in it."""
        job, roots = self._job, [Root(above, False)]
        job.session.note_roots(job, roots)
        for attempt in job.prior_attempts:
            remove_leftovers(job, attempt, roots)
        directory, touched = make_directories(above)
        for parent in touched:
            self._publisher.touch(parent)
            parent.drop()
        return directory

    def _judge(
        self, directory: Directory, name: bytes, kind: str, status: os.stat_result, own: bool
    ) -> Optional[Decision]:
        """What becomes of what stands there; ``None`` where it is left alone."""
        source = Source(None, self._src, self._src)
        item = Item(source, kind, status, name)
        comparer = Comparer(self._job, self._params["on_exists"], "time", packs=False)
        decision = comparer.judge(directory.fd, name, item, "replace" if own else None)
        if decision.fault is not None:
            raise decision.fault.at(self._dst)
        if decision.action == "skip":
            self._job.item_skipped(base_name(self._src), item.size)
            return None
        return decision

    def _stage(
        self, form: str, directory: Directory, name: bytes, status: os.stat_result
    ) -> Tuple[Staged, Dict[str, Any]]:
        if form == "gzip":
            return self._file(directory, name, status)
        staged, more = self._archive(form, directory, name)
        # What lacks items is not done when its key comes again.
        staged.source = "" if self._job.items_failed else identity(status)
        return staged, more

    def _level(self) -> int:
        level: Optional[int] = self._params["level"]
        return LEVEL_DEFAULT if level is None else level

    def _file(
        self, directory: Directory, name: bytes, status: os.stat_result
    ) -> Tuple[Staged, Dict[str, Any]]:
        job = self._job
        job.items_total, job.bytes_total = 1, status.st_size
        verify = self._params["verify"]
        rules = Rules(_ALGORITHM, verify, _PRESERVE, _CHUNK_BYTES, pack=self._level())
        shown = base_name(self._src) or self._src
        job.begin_item(shown, status.st_size)
        source = Source(None, os.path.realpath(self._src), shown)
        try:
            staged = stage_file(job, rules, source, directory, name)
        except Fault as fault:
            # By the name that the command gives it.
            fault.path = self._src if fault.path == shown else fault.path
            raise
        stored = staged.stored or 0
        return staged, dict(_sizes(staged.size, stored), digests=staged.digests)

    def _archive(
        self, form: str, directory: Directory, name: bytes
    ) -> Tuple[Staged, Dict[str, Any]]:
        job = self._job
        staged = create_file(job, directory, name, self._dst)
        try:
            level = self._level() if form == "tar_gzip" else None
            bundler = Bundler(job, staged, level, self._params["verify"] == "decode")
            bundler.run(self._src, base_name(self._src) or b"file", self._params)
            os.fchmod(staged.file(), usual_mode(0o666))
        except BaseException:
            staged.discard()
            raise
        staged.is_item = False
        more = _sizes(bundler.original, bundler.stored)
        more["items"] = job.items_ok
        lost = job.losses.data()
        if lost:
            more["lost"] = lost
        return staged, more


def _sizes(original: int, stored: int) -> Dict[str, Any]:
    # Deflate keeps as it is what would not shrink, so that its own marks are all that it adds; of
    # little content they are the most.
    kept = original >= _TOLD_BYTES_MIN and stored >= original
    return {
        "method": "stored" if kept else "compressed",
        "original_bytes": original,
        "stored_bytes": stored,
        "ratio": stored / original if original else 0.0,
    }
