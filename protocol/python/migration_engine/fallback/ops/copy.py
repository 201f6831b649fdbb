"""``copy``: a file, a link or a tree to another place on this machine."""

from __future__ import annotations

import os
import stat
from typing import Any, Dict, FrozenSet, List, Mapping, Optional

from .. import fields as f
from ..faults import ENDS_JOB, Fault, destination_fault, source_fault
from ..fields import Field
from ..glob import Selection
from ..job import Job, Outcome
from ..leftovers import remove_leftovers
from ..local import (
    DIRECTORY_FLAGS,
    Directory,
    Entry,
    Walk,
    base_name,
    identity,
    inode,
    kind_of,
    make_directories,
    open_source_directory,
    status_of_source,
)
from ..manifest import ManifestWriter, refuse_manifest_inside
from ..names import is_temporary, path_fields
from ..publish import Publisher, Staged, judge
from ..state import Published, Root
from ..transfer import Rules, Source, apply_metadata, stage_file, stage_link

ON_EXISTS = ("fail", "skip", "update", "replace")
CHECKSUMS = ("crc64nvme", "crc32c", "sha256", "md5", "none")

FIELDS: Dict[str, Field] = {
    "src": Field(f.local_path, required=True),
    "dst": Field(f.local_path, required=True),
    "include": f.GLOBS,
    "exclude": f.GLOBS,
    "on_exists": Field(f.choice(*ON_EXISTS), default="fail"),
    "checksum": Field(f.digest_algorithm(*CHECKSUMS), default="crc64nvme"),
    "verify": Field(f.choice("stream", "readback", "none"), default="stream"),
    "preserve": Field(
        f.many(f.choice("mode", "times", "owner", "setuid")), default=("mode", "times")
    ),
    "symlinks": Field(f.choice("preserve", "follow", "skip"), default="preserve"),
    "durability": Field(f.choice("power_loss", "crash"), default="power_loss"),
    "manifest": Field(f.local_path),
    "chunk_bytes": Field(f.size(64 << 10, 64 << 20), default=1 << 20),
    "parallel_files": Field(f.integer(1, 256)),
    "limits": f.LIMITS,
    "dry_run": Field(f.flag, default=False),
    "delete": Field(f.not_built(False)),
    "compress": Field(f.not_built(False, None)),
    "decompress": Field(f.not_built(False, None)),
    "parallel_chunks": Field(f.not_built(1, None)),
}


def run(job: Job, params: Mapping[str, Any]) -> Outcome:
    """Copies; with ``dry_run`` only says what would be done."""
    if params["dry_run"]:
        from .plan import plan_copy

        return Outcome(data=plan_copy(job, params))
    return _Copy(job, params).run()


def target_of(params: Mapping[str, Any]) -> bytes:
    """The copy itself: ``dst``, or the source's name in it where it ends in a slash."""
    dst: bytes = params["dst"]
    if not dst.endswith(b"/"):
        return dst
    name = base_name(params["src"])
    if not name:
        message = "the source has no name of its own to go by under dst"
        raise Fault("INVALID_FIELD", message, field="dst")
    return dst + name


def source_status(params: Mapping[str, Any]) -> os.stat_result:
    """The status of the source, through a link at its end where links are followed."""
    status = status_of_source(params["src"])
    if stat.S_ISLNK(status.st_mode) and params["symlinks"] == "follow":
        try:
            return os.stat(params["src"])
        except OSError as error:
            raise Fault("SRC_LINK", "the link could not be followed", cause=error).at(
                params["src"]
            ) from error
    return status


def refuse_overlap(src: bytes, dst: bytes, source: os.stat_result) -> None:
    """``OVERLAP`` where both are one file, or one directory lies inside the other."""
    try:
        there = os.lstat(dst)
        if (there.st_dev, there.st_ino) == (source.st_dev, source.st_ino):
            raise Fault("OVERLAP", "source and destination are the same file", path=dst)
    except OSError:
        pass
    if not stat.S_ISDIR(source.st_mode):
        return
    real_src, real_dst = os.path.realpath(src), os.path.realpath(dst)
    for outer, inner in ((real_src, real_dst), (real_dst, real_src)):
        if (inner + b"/").startswith(outer.rstrip(b"/") + b"/"):
            message = "one of source and destination lies inside the other"
            raise Fault("OVERLAP", message, path=dst)


def check(params: Mapping[str, Any]) -> None:
    """What fields ask for together."""
    if params["verify"] == "readback" and params["checksum"] == "none":
        message = "verify readback compares digests, and checksum is none"
        raise Fault("INVALID_FIELD", message, field="checksum")
    manifest = params["manifest"]
    if manifest is not None and not manifest.endswith(b".jsonl"):
        message = "the manifest of a copy is JSON Lines: let its name end in .jsonl"
        raise Fault("INVALID_FIELD", message, field="manifest")


class _Copy:
    def __init__(self, job: Job, params: Mapping[str, Any]) -> None:
        self._job = job
        self._params = params
        self._src: bytes = params["src"]
        self._dst = target_of(params)
        self._follow = params["symlinks"] == "follow"
        self._on_exists: str = params["on_exists"]
        self._durable = params["durability"] == "power_loss"
        algorithm = None if params["checksum"] == "none" else params["checksum"]
        preserve: FrozenSet[str] = frozenset(params["preserve"])
        self._rules = Rules(algorithm, params["verify"], preserve, params["chunk_bytes"])
        self._publisher = Publisher(job, self._durable, self._on_exists)
        self._manifest: Optional[ManifestWriter] = None
        self._verified = [0, 0]
        self._digests: Dict[str, str] = {}

    def run(self) -> Outcome:
        """The whole copy."""
        job, params = self._job, self._params
        selection = Selection(params["include"], params["exclude"])
        status = source_status(params)
        refuse_overlap(self._src, self._dst, status)
        kind = kind_of(status.st_mode)
        self._prepare(kind)
        try:
            if kind == "directory":
                self._tree(selection, status)
            else:
                self._single(status)
            job.phase = "sync"
            self._publisher.flush()
            if self._manifest is not None:
                self._manifest.publish()
        except BaseException:
            self._publisher.abort()
            if self._manifest is not None:
                self._manifest.discard()
            raise
        return Outcome(data=self._data(kind), verify=self._verify())

    def _prepare(self, kind: str) -> None:
        job, params = self._job, self._params
        job.phase = "transfer"
        tree = kind == "directory"
        roots = [Root(self._dst if tree else os.path.dirname(self._dst) or b".", tree)]
        manifest: Optional[bytes] = params["manifest"]
        if manifest is not None:
            refuse_manifest_inside(manifest, (self._src, self._dst))
            roots.append(Root(os.path.dirname(manifest) or b".", False))
        job.session.note_roots(job, roots)
        for name in job.prior_attempts:
            remove_leftovers(job, name, roots)
        if manifest is not None:
            self._manifest = ManifestWriter(job, manifest)

    def _data(self, kind: str) -> Dict[str, Any]:
        data: Dict[str, Any] = {
            "dst": path_fields(self._dst),
            "kind": kind,
            "method": "tree" if kind == "directory" else "single",
            "durability": self._params["durability"],
        }
        if self._digests:
            data["digests"] = self._digests
        if self._manifest is not None:
            data["manifest"] = path_fields(self._manifest.path)
        return data

    def _level(self) -> str:
        proves = self._rules.algorithm is not None and self._rules.verify != "none"
        return self._rules.verify if proves else "size"

    def _verify(self) -> Dict[str, Any]:
        items, count = self._verified
        return {
            "level": self._level(),
            "algorithm": self._rules.algorithm,
            "items": items,
            "bytes": count,
            "mismatches": 0,
        }

    # One file or link.

    def _single(self, status: os.stat_result) -> None:
        head, slash, name = self._dst.rpartition(b"/")
        directory, touched = make_directories(head or slash or b".")
        for parent in touched:
            self._publisher.touch(parent)
            parent.drop()
        self._job.items_total = 1
        self._job.bytes_total = status.st_size if stat.S_ISREG(status.st_mode) else 0
        try:
            src = os.path.realpath(self._src) if self._follow else self._src
            shown = base_name(self._src) or self._src
            source = Source(None, src, shown)
            self._item(source, kind_of(status.st_mode), status, directory, name, shown)
        finally:
            directory.drop()

    # A tree.

    def _tree(self, selection: Selection, status: os.stat_result) -> None:
        src_fd = open_source_directory(self._src)
        try:
            root, touched = make_directories(self._dst)
            for parent in touched:
                self._publisher.touch(parent)
                parent.drop()
            created = [bool(touched)]
            targets: List[Optional[Directory]] = [root]
            stats = [status]
            try:
                for entry in Walk(src_fd, selection, self._follow):
                    self._visit(entry, selection, targets, created, stats)
                if created[0] or self._owns_directories():
                    self._finish_later(root, status, self._dst)
            finally:
                for directory in targets:
                    if directory is not None:
                        directory.drop()
        finally:
            os.close(src_fd)

    def _visit(
        self,
        entry: Entry,
        selection: Selection,
        targets: List[Optional[Directory]],
        created: List[bool],
        stats: List[os.stat_result],
    ) -> None:
        """Mirrors the walk in ``targets``: an open directory per level, ``None`` while not made."""
        self._job.step()
        if entry.what == "enter":
            stats.append(entry.st)
            created.append(False)
            targets.append(None)
            if selection.takes_all and not is_temporary(entry.name):
                self._made(targets, created, entry.path)
        elif entry.what == "leave":
            status, made, directory = stats.pop(), created.pop(), targets.pop()
            if directory is not None:
                if made or self._owns_directories():
                    self._finish_later(directory, status, entry.path)
                directory.drop()
        elif entry.fault is not None:
            self._job.item_failed(entry.path, entry.fault)
        else:
            directory = self._made(targets, created, os.path.dirname(entry.path))
            if directory is None:
                fault = Fault("DST_TYPE", "the directory above it could not be made")
                self._job.item_failed(entry.path, fault)
                return
            source = Source(entry.fd, entry.name, entry.path)
            name = entry.path.rpartition(b"/")[2]
            self._item(source, entry.kind, entry.st, directory, name, entry.path)

    def _owns_directories(self) -> bool:
        return self._on_exists in ("replace", "update") or bool(self._job.prior_attempts)

    def _made(
        self, targets: List[Optional[Directory]], created: List[bool], path: bytes
    ) -> Optional[Directory]:
        """Makes the directories down to ``path``; ``None`` where one could not be made."""
        parts = path.split(b"/") if path else []
        for depth in range(1, len(targets)):
            if targets[depth] is not None:
                continue
            above = targets[depth - 1]
            if above is None:
                return None
            try:
                targets[depth] = self._make(above, parts[depth - 1], depth, created)
            except OSError as error:
                fault = destination_fault(error, "create the directory")
                if depth == len(targets) - 1:
                    self._job.item_failed(b"/".join(parts[:depth]), fault)
                return None
        return targets[-1]

    def _make(self, above: Directory, name: bytes, depth: int, created: List[bool]) -> Directory:
        with self._job.timed("destination_write_ms"):
            try:
                os.mkdir(name, dir_fd=above.fd)
                created[depth] = True
                self._publisher.touch(above)
            except FileExistsError:
                pass
            return Directory(os.open(name, DIRECTORY_FLAGS | os.O_NOFOLLOW, dir_fd=above.fd))

    def _finish_later(self, directory: Directory, status: os.stat_result, path: bytes) -> None:
        preserve = self._rules.preserve

        def finish() -> None:
            try:
                apply_metadata(directory.fd, preserve, status)
            except OSError as error:
                self._job.item_failed(path, destination_fault(error, "finish the directory"))

        self._publisher.finish_directory(directory, finish)

    # One item.

    def _item(
        self,
        source: Source,
        kind: str,
        status: os.stat_result,
        directory: Directory,
        name: bytes,
        listed: bytes,
    ) -> None:
        job = self._job
        try:
            job.begin_item(source.path, status.st_size if kind == "file" else 0)
            if kind == "special":
                raise Fault("SRC_SPECIAL", "a fifo, socket or device is not opened")
            if is_temporary(name):
                raise Fault("NAME_REFUSED", "the name is of the form kept for temporary files")
            if kind == "symlink" and self._params["symlinks"] == "skip":
                job.item_skipped(source.path)
                return
            staged = self._stage(source, kind, status, directory, name, listed)
        except Fault as fault:
            job.item_failed(source.path, fault)
            if fault.code in ENDS_JOB:
                raise
            return
        if staged is not None:
            self._publisher.add(staged)

    def _stage(
        self,
        source: Source,
        kind: str,
        status: os.stat_result,
        directory: Directory,
        name: bytes,
        listed: bytes,
    ) -> Optional[Staged]:
        text = _link_text(source) if kind == "symlink" else None
        own = self._published_before(source, status, directory, name)
        if own is not None:
            self._job.item_ok(source.path, own.size, own.digests)
            self._note_done(kind, listed, status, own.size, own.digests, text)
            return None
        mine = self._is_mine(source, directory, name)
        decision = judge(directory.fd, name, status, text, "replace" if mine else self._on_exists)
        if decision.fault is not None:
            raise decision.fault
        if decision.action == "skip":
            self._job.item_skipped(source.path, status.st_size if kind == "file" else 0)
            return None
        stage = stage_link if kind == "symlink" else stage_file
        staged = stage(self._job, self._rules, source, directory, name)
        staged.replace = decision.action == "replace"
        staged.done = lambda: self._note_done(
            kind, listed, status, staged.size, staged.digests, text
        )
        return staged

    def _record(self, source: Source, directory: Directory, name: bytes) -> Optional[Published]:
        """What a dead attempt of this key published under ``name``, if it still stands there."""
        job = self._job
        if job.key is None or not job.prior_attempts:
            return None
        record = job.session.state.published(job.key, source.path)
        if record is None:
            return None
        try:
            there = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
        except OSError:
            return None
        return record if inode(there) == record.inode else None

    def _is_mine(self, source: Source, directory: Directory, name: bytes) -> bool:
        return self._record(source, directory, name) is not None

    def _published_before(
        self, source: Source, status: os.stat_result, directory: Directory, name: bytes
    ) -> Optional[Published]:
        record = self._record(source, directory, name)
        return record if record is not None and record.source == identity(status) else None

    def _note_done(
        self,
        kind: str,
        listed: bytes,
        status: os.stat_result,
        size: int,
        digests: Dict[str, str],
        text: Optional[bytes],
    ) -> None:
        self._verified[0] += 1
        self._verified[1] += size
        if self._manifest is not None:
            if text is None:
                self._manifest.file(listed, status, size, digests)
            else:
                self._manifest.link(listed, text)
        if self._job.items_total == 1:
            self._digests = digests


def _link_text(source: Source) -> bytes:
    try:
        return os.readlink(source.name, dir_fd=source.dir_fd)
    except OSError as error:
        raise source_fault(error, "read the link", source.path) from error
