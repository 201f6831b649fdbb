"""``delete``: removes from the destination what the source does not have, or says what that is.

Both sides are walked together, directory by directory, through open handles. Names that
``include`` and ``exclude`` do not take are never touched, nor are the engine's own.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    ContextManager,
    Dict,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Protocol,
    Set,
)

from .coding import GZIP_ENDING
from .faults import ENDS_JOB, Fault, destination_fault, source_fault
from .glob import Selection
from .job import Sample
from .local import DIRECTORY_FLAGS, resolve_beneath
from .names import is_kept, join, path_fields

if TYPE_CHECKING:
    from .job import Job
    from .origin import Tree


_KEPT = (
    errno.ENOENT,
    errno.ENOTEMPTY,
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EBUSY,
)


class Names(NamedTuple):
    """How names at the destination come from those of the source."""

    follow: bool
    pack: bool
    unpack: bool

    def stored(self, name: bytes, is_directory: bool) -> bytes:
        """The name at the destination."""
        if is_directory:
            return name
        if self.pack:
            return name + GZIP_ENDING
        return unpacked(name) if self.unpack else name

    def judged(self, name: bytes) -> bytes:
        """The name by which one at the destination is taken or not: that of its source."""
        return unpacked(name) if self.pack else name


def unpacked(name: bytes) -> bytes:
    """``name`` without the ending of gzip, where it has one and something before it."""
    if name.endswith(GZIP_ENDING) and len(name) > len(GZIP_ENDING):
        return name[: -len(GZIP_ENDING)]
    return name


class Tally:
    """What is at the destination, and what of it goes."""

    def __init__(self) -> None:
        self.items = 0
        self.gone_items = 0
        self.gone_directories = 0
        self.sample = Sample()

    @property
    def gone(self) -> int:
        """Names that go."""
        return self.gone_items + self.gone_directories

    def check(self, cap: Mapping[str, Any], found: int, new: int) -> None:
        """Whether that may go, where the source has ``found`` items, ``new`` ones among them.

        Raises ``DELETE_HALTED`` for a source without items, ``DELETE_LIMIT`` beyond the cap.
        """
        if not found and self.items:
            message = "nothing is deleted: the source has no items, and the destination has %d"
            raise Fault("DELETE_HALTED", message % self.items, field="delete")
        count, percent, before = cap["count"], cap["percent"], max(0, self.items - new)
        if count is not None and self.gone > count:
            message = "nothing is deleted: %d names would go, and max_delete allows %d"
            raise Fault("DELETE_LIMIT", message % (self.gone, count), field="max_delete")
        if percent is not None and self.gone_items * 100 > percent * before:
            message = (
                "nothing is deleted: %d of %d items would go, and max_delete allows %d percent"
            )
            values = (self.gone_items, before, percent)
            raise Fault("DELETE_LIMIT", message % values, field="max_delete")


class Removing(NamedTuple):
    """How names are removed: within ``commit``; ``dress`` is for directories that lost some."""

    durable: bool
    commit: "Callable[[], ContextManager[None]]"
    dress: Callable[[int, int, bytes], None]


class Expected(Protocol):
    """What a directory of the destination holds if it holds what the source has."""

    fd: Optional[int]
    """The directory of the source, where it is one of this machine."""

    def names(self) -> Set[bytes]:
        """The names, as they are at the destination."""

    def below(self, name: bytes, path: bytes) -> "Optional[Expected]":
        """That of the directory ``name``; ``None`` where the source has none."""

    def close(self) -> None:
        """Lets go of it."""


class _Level(NamedTuple):
    source: Optional[Expected]
    dst_fd: int
    path: bytes
    covered: bool


class Pruner:
    """Walks both trees, and with ``removing`` removes what it finds."""

    def __init__(
        self,
        job: "Job",
        selection: Selection,
        names: Names,
        *,
        removing: Optional[Removing] = None,
    ) -> None:
        self._job = job
        self._selection = selection
        self._names = names
        self._removing = removing
        self._tally = Tally()

    def run(self, source: Expected, dst_fd: int) -> Tally:
        """What goes, or went."""
        self._directory(_Level(source, dst_fd, b"", False))
        return self._tally

    def _directory(self, level: _Level) -> bool:
        """One directory and what is below it; whether it has no name left."""
        left, before = False, self._tally.gone
        try:
            expected = set() if level.source is None else level.source.names()
            for name in _listed(level.dst_fd, level.path):
                self._job.step()
                left = is_kept(name) or not self._judged(level, name, expected) or left
            if self._removing is not None and self._tally.gone > before:
                self._finish(self._removing, level)
        except Fault as fault:
            self._failed(level.path, fault)
            return False
        return not left

    def _finish(self, removing: Removing, level: _Level) -> None:
        try:
            if level.source is not None and level.source.fd is not None:
                removing.dress(level.source.fd, level.dst_fd, level.path)
            if removing.durable:
                os.fsync(level.dst_fd)
        except OSError as error:
            raise destination_fault(error, "finish the directory") from error

    def _failed(self, path: bytes, fault: Fault) -> None:
        """Reports what could not be listed or removed, unless it ends the job."""
        if fault.code in ENDS_JOB:
            raise fault
        self._job.item_failed(path, fault)

    def _judged(self, level: _Level, name: bytes, expected: Set[bytes]) -> bool:
        """One name; whether it goes."""
        path = join(level.path, name)
        judged = self._names.judged(name)
        shown = join(level.path, judged)
        if self._selection.excluded(shown, judged):
            return False
        covered = self._selection.included(shown, judged, level.covered)
        try:
            status = os.stat(name, dir_fd=level.dst_fd, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                return self._below(level, name, path, covered, name in expected)
            if not covered:
                return False
            self._tally.items += 1
            if name in expected or not self._gone(level, name, path, os.unlink):
                return False
            self._tally.gone_items += 1
            return True
        except OSError as error:
            self._failed(path, destination_fault(error, "look at it or delete it"))
        except Fault as fault:
            self._failed(path, fault)
        return False

    def _below(
        self, level: _Level, name: bytes, path: bytes, covered: bool, expected: bool
    ) -> bool:
        source: Optional[Expected] = None
        dst_fd = os.open(name, DIRECTORY_FLAGS | os.O_NOFOLLOW, dir_fd=level.dst_fd)
        try:
            if _mount(dst_fd) != _mount(level.dst_fd):
                # What others mounted there is not the destination's.
                return False
            if expected and level.source is not None:
                source = level.source.below(name, path)
                if source is None:
                    # Another kind of thing in the source; copying it told the conflict.
                    return False
            empty = self._directory(_Level(source, dst_fd, path, covered))
        finally:
            os.close(dst_fd)
            if source is not None:
                source.close()
        if expected or not covered or not empty or not self._gone(level, name, path, os.rmdir):
            return False
        self._tally.gone_directories += 1
        return True

    def _gone(self, level: _Level, name: bytes, path: bytes, remove: Callable[..., None]) -> bool:
        """Removes a name, where names are removed; whether it is gone by our hand."""
        if self._removing is not None:
            try:
                with self._removing.commit():
                    remove(name, dir_fd=level.dst_fd)
            except OSError as error:
                # Another thing by now, something in it, or something mounted on it.
                if error.errno in _KEPT:
                    return False
                raise
            self._job.deleted(path)
        self._tally.sample.add(dict(path_fields(path)))
        return True


class _LocalExpected:
    """A directory of this machine as a source."""

    def __init__(self, names: Names, root: int, fd: int, path: bytes, owned: bool) -> None:
        self.fd: Optional[int] = fd
        self._fd = fd
        self._names = names
        self._root = root
        self._path = path
        self._owned = owned

    def names(self) -> Set[bytes]:
        try:
            with os.scandir(self._fd) as entries:
                return {
                    self._names.stored(os.fsencode(one.name), one.is_dir(follow_symlinks=False))
                    for one in entries
                }
        except OSError as error:
            raise source_fault(error, "list the source", self._path) from error

    def below(self, name: bytes, path: bytes) -> Optional[Expected]:
        try:
            fd = os.open(name, DIRECTORY_FLAGS | os.O_NOFOLLOW, dir_fd=self._fd)
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP, errno.ENOENT):
                raise source_fault(error, "open the source", path) from error
            followed = self._followed(path) if self._names.follow else None
            if followed is None:
                return None
            fd = followed
        return _LocalExpected(self._names, self._root, fd, path, owned=True)

    def _followed(self, path: bytes) -> Optional[int]:
        """The directory that a link of the source leads to."""
        try:
            above, last = resolve_beneath(self._root, path)
        except Fault:
            return None
        try:
            return os.open(last, DIRECTORY_FLAGS | os.O_NOFOLLOW, dir_fd=above)
        except OSError:
            return None
        finally:
            os.close(above)

    def close(self) -> None:
        if self._owned:
            os.close(self._fd)


class _FarExpected:
    """A directory that keys imply: names by directory, of the whole source."""

    fd: Optional[int] = None

    def __init__(self, all_names: Mapping[bytes, Set[bytes]], path: bytes) -> None:
        self._all = all_names
        self._path = path

    def names(self) -> Set[bytes]:
        return self._all.get(self._path, set())

    def below(self, name: bytes, path: bytes) -> Optional[Expected]:
        return _FarExpected(self._all, path) if path in self._all else None

    def close(self) -> None:
        """Nothing is held."""


def expected_of(job: "Job", tree: "Tree", names: Names) -> Expected:
    """What a destination holds if it holds what ``tree`` has."""
    if tree.fd is not None:
        return _LocalExpected(names, tree.fd, tree.fd, b"", owned=False)
    found: Dict[bytes, Set[bytes]] = {b"": set()}
    for entry in tree.walk(Selection((), ()), names.follow):
        job.step()
        if entry.fault is not None:
            # What cannot be named stands for nothing here, and failed the copy already.
            continue
        above, _, name = entry.path.rpartition(b"/")
        if entry.what == "enter":
            found[above].add(name)
            found.setdefault(entry.path, set())
        elif entry.what == "item":
            found[above].add(names.stored(name, False))
    return _FarExpected(found, b"")


def _listed(fd: int, path: bytes) -> List[bytes]:
    try:
        return sorted(map(os.fsencode, os.listdir(fd)))
    except OSError as error:
        raise destination_fault(error, "list the destination", path) from error


def _mount(fd: int) -> "tuple[int, bytes]":
    """Which mount an open directory is of, as far as that is told."""
    try:
        with open("/proc/self/fdinfo/%d" % fd, "rb") as file:
            told = [line for line in file if line.startswith(b"mnt_id:")]
    except OSError:
        told = []
    return os.fstat(fd).st_dev, b"".join(told)
