"""``checksum``: digests of files and trees, or the comparison with a manifest of them."""

from __future__ import annotations

import bisect
import errno
import os
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Protocol, Tuple

from .. import fields as f
from ..digest import Digests
from ..faults import Fault, source_fault
from ..fields import Field
from ..glob import Selection
from ..job import SAMPLE_MAX, Job, Outcome, Sample
from ..local import Source, content_of, kind_of, open_beneath, open_source_directory
from ..location import Location, Where, local_path, location, shown
from ..manifest import Listed, ManifestWriter, read_manifest, refuse_as_manifest
from ..names import join, path_fields
from ..origin import open_origin
from ..state import Root
from ..timetable import LIMITS

ALGORITHMS = ("sha256", "crc64nvme", "crc32c", "md5", "sha1")
_CHUNK_BYTES = 1 << 20

FIELDS: Dict[str, Field] = {
    "src": Field(f.one_or_many(location), required=True),
    "algorithm": Field(f.one_or_many(f.digest_algorithm(*ALGORITHMS))),
    "include": f.GLOBS,
    "exclude": f.GLOBS,
    "manifest": Field(local_path),
    "check": Field(local_path),
    "parallel_files": Field(f.integer(1, 256)),
    "limits": LIMITS,
}


def run(job: Job, params: Mapping[str, Any]) -> Outcome:
    """Digests everything taken, or compares it with the manifest ``check``."""
    job.phase = "hash"
    selection = Selection(params["include"], params["exclude"])
    if params["check"] is None:
        return _Digest(job, params, selection).run()
    return _Check(job, params, selection).run()


def check(params: Mapping[str, Any]) -> None:
    """What fields ask for together."""
    manifest = params["manifest"]
    if params["check"] is None:
        algorithms = set(params["algorithm"] or ["sha256"])
        if manifest is not None and not manifest.endswith(b".jsonl") and len(algorithms) > 1:
            message = "that form holds one algorithm; .jsonl holds several"
            raise Fault("INVALID_FIELD", message, field="manifest")
        return
    for field in ("algorithm", "manifest"):
        if params[field] is not None:
            message = "the list says which digests: give no %s" % field
            raise Fault("INVALID_FIELD", message, field="check")
    if len(params["src"]) != 1:
        raise Fault("INVALID_FIELD", "compare with one source at a time", field="check")


class _Found(NamedTuple):
    """A file to digest: its name in the answer, and where it is opened."""

    path: bytes
    kind: str
    status: os.stat_result
    source: Source


def digest_file(job: Job, source: Source, algorithms: List[str]) -> Tuple[int, Dict[str, str]]:
    """Reads a file once; its size and its digests."""
    digests = Digests(algorithms)
    size = 0
    for data in content_of(source, _CHUNK_BYTES):
        job.read(len(data))
        with job.timed("hash_ms"):
            digests.update(data)
        size += len(data)
    return size, digests.hex()


class _Digest:
    def __init__(self, job: Job, params: Mapping[str, Any], selection: Selection) -> None:
        self._job = job
        self._sources: List[Where] = params["src"]
        self._selection = selection
        self._algorithms: List[str] = list(dict.fromkeys(params["algorithm"] or ["sha256"]))
        self._manifest_path: Optional[bytes] = params["manifest"]
        self._manifest: Optional[ManifestWriter] = None
        self._first: List[Tuple[bytes, int, Dict[str, Any]]] = []
        self._total = 0

    def run(self) -> Outcome:
        """Digests every source."""
        job = self._job
        if self._manifest_path is not None:
            root = Root(os.path.dirname(self._manifest_path) or b".", False)
            job.session.note_roots(job, [root])
            for source in self._sources:
                if isinstance(source, bytes):
                    refuse_as_manifest(self._manifest_path, source)
            self._manifest = ManifestWriter(job, self._manifest_path)
        try:
            for source in self._sources:
                self._source(source)
            if self._manifest is not None:
                self._manifest.publish()
        except BaseException:
            if self._manifest is not None:
                self._manifest.discard()
            raise
        return Outcome(data=self._data())

    def _data(self) -> Dict[str, Any]:
        sample = Sample()
        for _, _, entry in self._first:
            sample.add(entry)
        data: Dict[str, Any] = {"digests": sample.entries, "digests_total": self._total}
        if self._manifest_path is not None:
            data["manifest"] = path_fields(self._manifest_path)
        return data

    def _source(self, source: Where) -> None:
        try:
            alone, looks = len(self._sources) == 1, self._manifest is not None
            for found in _found_in(self._job, source, alone, self._selection, looks):
                self._item(found)
        except Fault as fault:
            self._job.item_failed(shown(source), fault)

    def _item(self, found: _Found) -> None:
        job = self._job
        is_manifest = self._manifest is not None and self._manifest.is_one(found.status)
        if found.kind == "symlink" or is_manifest:
            job.item_skipped(found.path)
            return
        try:
            job.begin_item(found.path, found.status.st_size)
            if found.kind == "special":
                raise Fault("SRC_SPECIAL", "a fifo, socket or device is not opened")
            size, digests = digest_file(job, found.source, self._algorithms)
        except Fault as fault:
            job.item_failed(found.path, fault)
            return
        if self._manifest is not None:
            self._manifest.file(found.path, found.status, size, digests)
        self._keep(found.path, size, digests)
        job.item_ok(found.path, size, digests)

    def _keep(self, path: bytes, size: int, digests: Dict[str, str]) -> None:
        self._total += 1
        entry: Dict[str, Any] = dict(path_fields(path))
        entry.update(bytes=size, digests=digests)
        bisect.insort(self._first, (path, self._total, entry))
        del self._first[SAMPLE_MAX:]


def _found_in(
    job: Job, where: Where, alone: bool, selection: Selection, looks: bool
) -> Iterator[_Found]:
    if isinstance(where, bytes) and not os.path.exists(where):
        fault = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        raise source_fault(fault, "find the source", where)
    origin = open_origin(job, where, "follow", looks)
    try:
        kind = kind_of(origin.status.st_mode)
        if kind != "directory":
            source = origin.single(follow=True)
            yield _Found(origin.shown, kind, origin.status, source._replace(path=origin.shown))
            return
        prefix = b"" if alone else origin.shown.rstrip(b"/") or b"/"
        with origin.tree() as tree:
            for entry in tree.walk(selection, follow=False):
                job.step()
                path = join(prefix, entry.path)
                if entry.fault is not None:
                    job.item_failed(path, entry.fault)
                elif entry.what == "item":
                    fd = None if entry.far is not None else entry.fd
                    source = Source(fd, entry.name, path, far=entry.far)
                    yield _Found(path, entry.kind, entry.st, source)
    finally:
        origin.close()


class _Check:
    def __init__(self, job: Job, params: Mapping[str, Any], selection: Selection) -> None:
        self._job = job
        self._source: Where = params["src"][0]
        self._manifest: bytes = params["check"]
        self._selection = selection
        self._matched = self._mismatched = self._missing = 0
        self._algorithm: Optional[str] = None

    def run(self) -> Outcome:
        """Compares every entry of the manifest that the selection takes."""
        root = self._root()
        try:
            for listed in read_manifest(self._manifest):
                self._job.step()
                if self._selection.takes(listed.path):
                    self._entry(root, listed)
        finally:
            root.close()
        check = {
            "matched": self._matched,
            "mismatched": self._mismatched,
            "missing": self._missing,
        }
        data = {"check": check}
        verified = {
            "level": "compare",
            "algorithm": self._algorithm,
            "items": self._matched,
            "bytes": self._job.bytes,
            "mismatches": self._mismatched + self._missing,
        }
        first = self._job.first_failure
        if first is None:
            return Outcome(data=data, verify=verified)
        message = "%d of %d entries failed; the first: %s" % (
            self._job.items_failed,
            self._job.items_done,
            first.message,
        )
        error = Fault(first.code, message, path=first.path)
        return Outcome(data=data, verify=verified, status="failed", error=error)

    def _root(self) -> "_Root":
        """The directory that names are relative to."""
        source = self._source
        if isinstance(source, Location):
            return _FarRoot(self._job, source)
        if os.path.lexists(source) and not os.path.isdir(source):
            raise Fault("INVALID_FIELD", "a manifest is compared with a directory", field="src")
        return _LocalRoot(self._job, open_source_directory(source))

    def _entry(self, root: "_Root", listed: Listed) -> None:
        job = self._job
        job.begin_item(listed.path, listed.size or 0)
        try:
            size = self._compare(root, listed)
        except Fault as fault:
            missing = fault.code == "SRC_NOT_FOUND"
            self._missing += missing
            self._mismatched += fault.code == "VERIFY_MISMATCH"
            job.item_failed(listed.path, fault)
            return
        self._matched += 1
        job.item_ok(listed.path, size)

    def _compare(self, root: "_Root", listed: Listed) -> int:
        for algorithm in listed.digests:
            self._algorithm = listed_algorithm(algorithm)
        parts = listed.path.split(b"/")
        if any(part in (b"", b".", b"..") for part in parts):
            raise Fault("NAME_REFUSED", "the name leads out of the source")
        return root.compare(listed)


class _Root(Protocol):
    """A directory that names of a manifest are relative to."""

    def compare(self, listed: Listed) -> int:
        """Compares an entry with what is there; the bytes of its content."""

    def close(self) -> None:
        """Lets go of it."""


class _LocalRoot:
    def __init__(self, job: Job, fd: int) -> None:
        self._job = job
        self._fd = fd

    def compare(self, listed: Listed) -> int:
        *above, name = listed.path.split(b"/")
        try:
            fd = open_beneath(self._fd, above)
        except OSError as error:
            raise source_fault(error, "find the item") from error
        try:
            return _compare_at(self._job, fd, name, listed)
        finally:
            os.close(fd)

    def close(self) -> None:
        os.close(self._fd)


class _FarRoot:
    def __init__(self, job: Job, where: Location) -> None:
        from ..objects.lookup import Lookup

        self._job = job
        self._lookup = Lookup(job, where)

    def compare(self, listed: Listed) -> int:
        source = self._lookup.find(listed.path)
        if source is None:
            raise Fault("SRC_NOT_FOUND", "failed to find the item")
        if listed.kind != "file":
            raise Fault("VERIFY_MISMATCH", "the kind differs")
        return _compare_content(self._job, source, listed)

    def close(self) -> None:
        self._lookup.close()


def _compare_content(job: Job, source: Source, listed: Listed) -> int:
    size, digests = digest_file(job, source, list(listed.digests))
    if digests != listed.digests or listed.size not in (None, size):
        raise Fault("VERIFY_MISMATCH", "the digest differs")
    return size


def _compare_at(job: Job, dir_fd: int, name: bytes, listed: Listed) -> int:
    if listed.link is not None:
        try:
            same = os.readlink(name, dir_fd=dir_fd) == listed.link
        except FileNotFoundError as error:
            raise source_fault(error, "find the item") from error
        except OSError:
            same = False
        if not same:
            raise Fault("VERIFY_MISMATCH", "the link's text differs")
        return 0
    if listed.kind == "special":
        return _compare_special(dir_fd, name)
    return _compare_content(job, Source(dir_fd, name, listed.path), listed)


def _compare_special(dir_fd: int, name: bytes) -> int:
    try:
        status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except OSError as error:
        raise source_fault(error, "find the item") from error
    if kind_of(status.st_mode) != "special":
        raise Fault("VERIFY_MISMATCH", "the kind differs")
    return 0


def listed_algorithm(name: str) -> str:
    """The name of an algorithm in a manifest, if this backend has it."""
    if name not in ALGORITHMS:
        message = "the manifest names the digest %s, which this backend does not have" % name
        raise Fault("UNSUPPORTED", message, field="check")
    return name
