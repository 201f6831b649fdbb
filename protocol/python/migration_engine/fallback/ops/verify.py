"""``verify``: compares two files, trees or databases, reading both.

It shares no reader with ``copy``.
"""

from __future__ import annotations

import os
import stat
from typing import Any, Dict, Iterator, Mapping, NamedTuple, Optional, Set

from .. import fields as f
from ..faults import Fault, source_fault
from ..fields import Field
from ..glob import Selection
from ..job import Job, Outcome
from ..local import DIRECTORY_FLAGS, base_name, kind_of, open_source_directory
from ..location import is_database, location_or_database
from ..names import join
from ..timetable import LIMITS

_CHUNK_BYTES = 1 << 20

FIELDS: Dict[str, Field] = {
    "src": Field(location_or_database, required=True),
    "dst": Field(location_or_database, required=True),
    "level": Field(f.choice("content", "size"), default="content"),
    "include": f.GLOBS,
    "exclude": f.GLOBS,
    "limits": LIMITS,
}


class _Side(NamedTuple):
    """An item of one side: its kind, and where it is opened."""

    kind: str
    status: os.stat_result
    dir_fd: Optional[int]
    name: bytes


def run(job: Job, params: Mapping[str, Any]) -> Outcome:
    """Compares; any difference makes the command ``failed``."""
    job.phase = "verify"
    if is_database(params["src"]):
        from ..tables.verify import verify_tables

        return verify_tables(job, params)
    if isinstance(params["src"], bytes) and isinstance(params["dst"], bytes):
        return _Verify(job, params).run()
    from ..objects.verify import FarVerify

    return FarVerify(job, params).run()


def check(params: Mapping[str, Any]) -> None:
    """A database is compared with a database."""
    if is_database(params["src"]) != is_database(params["dst"]):
        message = "a database is compared with a database, and with nothing else"
        raise Fault("UNSUPPORTED", message, field="dst")


class Counts(NamedTuple):
    """What a comparison found."""

    matched: int
    mismatched: int
    missing: int
    extra: int


def outcome_of(job: Job, counts: Counts, level: str) -> Outcome:
    """The answer; any difference makes it ``failed``."""
    by_content = level == "content"
    data = {**counts._asdict(), "level": level}
    verified = {
        "level": "compare" if by_content else "size",
        "algorithm": None,
        "items": counts.matched,
        "bytes": job.bytes if by_content else 0,
        "mismatches": counts.mismatched + counts.missing + counts.extra,
    }
    first = job.first_failure
    if first is None:
        return Outcome(data=data, verify=verified)
    values = (job.items_failed, job.items_done, first.message)
    message = "%d of %d items differ; the first: %s" % values
    error = Fault("VERIFY_MISMATCH", message, path=first.path, offset=first.offset)
    return Outcome(data=data, verify=verified, status="failed", error=error)


class _Verify:
    def __init__(self, job: Job, params: Mapping[str, Any]) -> None:
        self._job = job
        self._src: bytes = params["src"]
        self._dst: bytes = params["dst"]
        self._by_content = params["level"] == "content"
        self._level: str = params["level"]
        self._selection = Selection(params["include"], params["exclude"])
        self._matched = self._mismatched = self._missing = self._extra = 0

    def run(self) -> Outcome:
        """The whole comparison."""
        src, dst = _root(self._src), _destination(self._dst)
        if src.kind == "directory" and dst.kind == "directory":
            self._trees()
        else:
            self._both(base_name(self._src) or self._src, src, dst)
        counts = Counts(self._matched, self._mismatched, self._missing, self._extra)
        return outcome_of(self._job, counts, self._level)

    def _trees(self) -> None:
        levels = [_Level(b"", open_source_directory(self._src), None, False)]
        levels[0].dst_fd = open_source_directory(self._dst)
        try:
            while levels:
                self._job.step()
                name = next(levels[-1].names, None)
                if name is None:
                    levels.pop().close()
                    continue
                below = self._pair(levels[-1], name)
                if below is not None:
                    levels.append(below)
        finally:
            for level in levels:
                level.close()

    def _pair(self, level: "_Level", name: bytes) -> Optional["_Level"]:
        """Compares one name; the level below it where it is a directory on either side."""
        path = join(level.path, name)
        if self._selection.excluded(path, name):
            return None
        covered = self._selection.included(path, name, level.covered)
        try:
            src, dst = _side(level.src_fd, name), _side(level.dst_fd, name)
            if _is_directory(src) or _is_directory(dst):
                return self._directory(level, name, src, dst, covered)
        except Fault as fault:
            self._mismatched += 1
            self._job.item_failed(path, fault)
            return None
        if covered:
            self._items(path, src, dst)
        return None

    def _directory(
        self,
        level: "_Level",
        name: bytes,
        src: Optional["_Side"],
        dst: Optional["_Side"],
        covered: bool,
    ) -> Optional["_Level"]:
        path = join(level.path, name)
        if src is not None and dst is not None and src.kind != dst.kind:
            self._mismatched += 1
            self._fail(path, "the kind differs")
        elif self._selection.takes_all and (src is None or dst is None):
            self._items(path, src, dst)
        below = _Level(path, _descend(level.src_fd, src), None, covered)
        try:
            below.dst_fd = _descend(level.dst_fd, dst)
        except BaseException:
            below.close()
            raise
        return below

    def _items(self, path: bytes, src: Optional["_Side"], dst: Optional["_Side"]) -> None:
        if src is None:
            self._extra += 1
            self._fail(path, "it is extra at the destination")
        elif dst is None:
            self._missing += 1
            self._fail(path, "it is missing at the destination")
        else:
            self._both(path, src, dst)

    def _fail(self, path: bytes, message: str) -> None:
        self._job.item_failed(path, Fault("VERIFY_MISMATCH", message))

    def _both(self, path: bytes, src: _Side, dst: _Side) -> None:
        self._job.begin_item(path, src.status.st_size if src.kind == "file" else 0)
        try:
            size = self._compare(src, dst, path)
        except Fault as fault:
            self._mismatched += 1
            self._job.item_failed(path, fault)
            return
        self._matched += 1
        self._job.item_ok(path, size)

    def _compare(self, src: _Side, dst: _Side, path: bytes) -> int:
        if src.kind != dst.kind:
            raise Fault("VERIFY_MISMATCH", "the kind differs")
        if src.kind == "symlink":
            if _text(src) != _text(dst):
                raise Fault("VERIFY_MISMATCH", "the link's text differs")
            return 0
        if src.kind != "file":
            if stat.S_IFMT(src.status.st_mode) != stat.S_IFMT(dst.status.st_mode):
                raise Fault("VERIFY_MISMATCH", "the kind differs")
            return 0
        if src.status.st_size != dst.status.st_size:
            raise Fault("VERIFY_MISMATCH", "the size differs")
        if not self._by_content:
            return src.status.st_size
        return self._contents(src, dst, path)

    def _contents(self, src: _Side, dst: _Side, path: bytes) -> int:
        total = 0
        left, right = _open(src, path), _open(dst, path)
        with left, right:
            while True:
                data = left.read(_CHUNK_BYTES)
                other = right.read(_CHUNK_BYTES)
                if data != other:
                    at = total + common(data, other)
                    raise Fault("VERIFY_MISMATCH", "the content differs", offset=at)
                if not data:
                    return total
                total += len(data)
                self._job.read(len(data))


def common(left: bytes, right: bytes) -> int:
    """How many bytes both begin with."""
    return next(
        (at for at, (a, b) in enumerate(zip(left, right)) if a != b), min(len(left), len(right))
    )


def _open(side: _Side, path: bytes) -> Any:
    def opener(name: Any, flags: int) -> int:
        extra = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(name, flags | extra, dir_fd=side.dir_fd)

    try:
        return open(side.name, "rb", buffering=0, opener=opener)
    except OSError as error:
        raise source_fault(error, "open it", path) from error


def _text(side: _Side) -> bytes:
    try:
        return os.readlink(side.name, dir_fd=side.dir_fd)
    except OSError as error:
        raise source_fault(error, "read the link") from error


def _root(path: bytes) -> _Side:
    try:
        status = os.lstat(path)
    except OSError as error:
        raise source_fault(error, "find it", path) from error
    return _Side(kind_of(status.st_mode), status, None, path)


def _destination(path: bytes) -> _Side:
    try:
        return _root(path)
    except Fault as fault:
        if fault.code != "SRC_NOT_FOUND":
            raise
        raise Fault("VERIFY_MISMATCH", "the destination does not exist", path=path) from fault


class _Level:
    """A directory of either tree or of both, and the names in it that are still to compare."""

    def __init__(
        self, path: bytes, src_fd: Optional[int], dst_fd: Optional[int], covered: bool
    ) -> None:
        self.path = path
        self.src_fd = src_fd
        self.dst_fd = dst_fd
        self.covered = covered
        self._names: Optional[Iterator[bytes]] = None

    @property
    def names(self) -> Iterator[bytes]:
        """Names of both sides, sorted, each once."""
        if self._names is None:
            listed: Set[str] = set()
            for fd in (self.src_fd, self.dst_fd):
                if fd is not None:
                    listed.update(os.listdir(fd))
            self._names = iter(sorted(os.fsencode(name) for name in listed))
        return self._names

    def close(self) -> None:
        """Closes both directories."""
        for fd in (self.src_fd, self.dst_fd):
            if fd is not None:
                os.close(fd)


def _side(dir_fd: Optional[int], name: bytes) -> Optional[_Side]:
    if dir_fd is None:
        return None
    try:
        status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise source_fault(error, "look at it") from error
    return _Side(kind_of(status.st_mode), status, dir_fd, name)


def _is_directory(side: Optional[_Side]) -> bool:
    return side is not None and side.kind == "directory"


def _descend(dir_fd: Optional[int], side: Optional[_Side]) -> Optional[int]:
    if side is None or side.kind != "directory":
        return None
    try:
        return os.open(side.name, DIRECTORY_FLAGS | os.O_NOFOLLOW, dir_fd=dir_fd)
    except OSError as error:
        raise source_fault(error, "open the directory") from error
