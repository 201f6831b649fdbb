"""Local files by directory handles: what is there, opening it, making directories.

Nothing below a root is ever reached by a path: every call names one entry of an open directory, so
that a link swapped in by somebody else leads nowhere.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, Iterator, List, NamedTuple, Optional, Tuple

from .faults import Fault, destination_fault, source_fault
from .glob import Selection
from .names import join

if TYPE_CHECKING:
    from .objects.stores import Elsewhere

READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def kind_of(mode: int) -> str:
    """``file``, ``directory``, ``symlink`` or ``special``."""
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "symlink" if stat.S_ISLNK(mode) else "special"


def identity(status: os.stat_result) -> str:
    """What changes when a file's content may have changed."""
    return "%d:%d:%d:%d:%d" % (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def mark(status: os.stat_result) -> str:
    """What stays the same when a file is renamed, and changes when it is written."""
    return "%d:%d:%d:%d" % (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def inode(status: os.stat_result) -> Tuple[int, int]:
    """Which file this is, by whatever name."""
    return status.st_dev, status.st_ino


def base_name(path: bytes) -> bytes:
    """The last name of ``path``; empty for ``/``, ``.`` and ``..``, which name no entry."""
    name = path.rstrip(b"/").rpartition(b"/")[2]
    return b"" if name in (b".", b"..") else name


class Directory:
    """An open directory shared by what is staged in it; closed with its last holder."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._holders = 1

    def hold(self) -> "Directory":
        """One more holder."""
        self._holders += 1
        return self

    def drop(self) -> None:
        """One holder less."""
        self._holders -= 1
        if self._holders == 0:
            os.close(self.fd)


class Source(NamedTuple):
    """An item to carry over: entry ``name`` of the directory ``dir_fd``; decoded if ``packed``.

    One that is not on this machine is ``far``, and has neither.
    """

    dir_fd: Optional[int]
    name: bytes
    path: bytes
    packed: bool = False
    far: "Optional[Elsewhere]" = None


class Entry(NamedTuple):
    """Something found by :func:`walk`.

    ``what`` is ``item``, ``enter``, ``leave`` or ``failed``; ``fd`` is the directory that holds an
    item under ``name``, or the entered directory itself. ``followed`` items were reached by a link,
    ``far`` ones are not on this machine.
    """

    what: str
    path: bytes
    name: bytes
    kind: str
    status: Optional[os.stat_result]
    fd: int
    fault: Optional[Fault] = None
    followed: bool = False
    far: "Optional[Elsewhere]" = None

    @property
    def st(self) -> os.stat_result:
        """The status of an item or an entered directory."""
        if self.status is None:
            raise ValueError("this entry has no status")
        return self.status


class _Level:
    def __init__(self, path: bytes, fd: int, covered: bool, owned: bool) -> None:
        self.path = path
        self.fd = fd
        self.covered = covered
        self.owned = owned
        status = os.fstat(fd)
        self.id = (status.st_dev, status.st_ino)
        self.names = iter(_sorted_names(fd))

    def close(self) -> None:
        if self.owned:
            os.close(self.fd)


def _sorted_names(fd: int) -> List[bytes]:
    """Names in the order of whole paths: a directory sorts as if its name ended in ``/``."""
    with os.scandir(fd) as entries:
        keys = [
            os.fsencode(entry.name) + (b"/" if entry.is_dir(follow_symlinks=False) else b"")
            for entry in entries
        ]
    return [key.rstrip(b"/") for key in sorted(keys)]


class Walk:
    """The entries below a directory, depth first, sorted by the bytes of their whole paths.

    ``excluded`` directories are not entered. With ``follow``, links are shown as what they name,
    as long as that lies inside the root; otherwise they fail with ``SRC_LINK``.
    """

    def __init__(self, root_fd: int, selection: Selection, follow: bool = False) -> None:
        self._root_fd = root_fd
        self._selection = selection
        self._follow = follow
        self._stack: List[_Level] = []

    def __iter__(self) -> Iterator[Entry]:
        try:
            self._stack.append(_Level(b"", self._root_fd, False, owned=False))
            yield from self._descend()
        finally:
            while self._stack:
                self._stack.pop().close()

    def _descend(self) -> Iterator[Entry]:
        while self._stack:
            level = self._stack[-1]
            name = next(level.names, None)
            if name is None:
                self._stack.pop()
                if self._stack:
                    yield Entry("leave", level.path, b"", "directory", None, level.fd)
                level.close()
                continue
            path = join(level.path, name)
            if not self._selection.excluded(path, name):
                yield from self._visit(level, path, name)

    def _visit(self, level: _Level, path: bytes, name: bytes) -> Iterator[Entry]:
        covered = self._selection.included(path, name, level.covered)
        try:
            status = os.stat(name, dir_fd=level.fd, follow_symlinks=False)
            kind = kind_of(status.st_mode)
            if kind == "directory":
                fd = os.open(name, DIRECTORY_FLAGS | os.O_NOFOLLOW, dir_fd=level.fd)
                yield from self._enter(path, name, fd, covered)
                return
        except OSError as error:
            fault = source_fault(error, "read the source", path)
            yield Entry("failed", path, name, "", None, level.fd, fault)
            return
        if kind == "symlink" and self._follow:
            yield from self._through(path, name, covered)
        elif covered:
            yield Entry("item", path, name, kind, status, level.fd)

    def _enter(self, path: bytes, name: bytes, fd: int, covered: bool) -> Iterator[Entry]:
        try:
            level = _Level(path, fd, covered, owned=True)
        except BaseException:
            os.close(fd)
            raise
        self._stack.append(level)
        yield Entry("enter", path, name, "directory", os.fstat(fd), fd)

    def _through(self, path: bytes, name: bytes, covered: bool) -> Iterator[Entry]:
        try:
            parent, last = resolve_beneath(self._root_fd, path)
        except Fault as fault:
            if covered:
                yield Entry("failed", path, name, "symlink", None, -1, fault.at(path))
            return
        try:
            status = os.stat(last, dir_fd=parent, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                if any(level.id == (status.st_dev, status.st_ino) for level in self._stack):
                    circular = Fault("SRC_LINK", "a link leads to a directory above it", path=path)
                    yield Entry("failed", path, name, "symlink", None, -1, circular)
                    return
                fd = os.open(last, DIRECTORY_FLAGS | os.O_NOFOLLOW, dir_fd=parent)
                yield from self._enter(path, name, fd, covered)
            elif covered:
                kind = kind_of(status.st_mode)
                yield Entry("item", path, last, kind, status, parent, followed=True)
        finally:
            os.close(parent)


def resolve_beneath(root_fd: int, path: bytes) -> Tuple[int, bytes]:
    """The directory and name that the link ``path`` leads to, by steps inside the root."""
    parts: List[bytes] = []
    ahead = path.split(b"/")[::-1]
    links = 0
    while ahead:
        part = ahead.pop()
        if part in (b"", b"."):
            continue
        if part == b"..":
            if not parts:
                raise Fault("SRC_LINK", "a link leads out of the source")
            parts.pop()
            continue
        text = _link_text(root_fd, parts, part)
        if text is None:
            parts.append(part)
            continue
        links += 1
        if links > 40:
            raise Fault("SRC_LINK", "a link is circular")
        if text.startswith(b"/"):
            raise Fault("SRC_LINK", "a link leads out of the source")
        ahead.extend(text.split(b"/")[::-1])
    if not parts:
        raise Fault("SRC_LINK", "a link leads to the source itself")
    return open_beneath(root_fd, parts[:-1]), parts[-1]


def _link_text(root_fd: int, above: List[bytes], name: bytes) -> Optional[bytes]:
    try:
        fd = open_beneath(root_fd, above)
        try:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            return os.readlink(name, dir_fd=fd) if stat.S_ISLNK(status.st_mode) else None
        finally:
            os.close(fd)
    except OSError as error:
        raise Fault("SRC_LINK", "a link could not be followed", cause=error) from error


def open_beneath(root_fd: int, parts: List[bytes]) -> int:
    """A directory below ``root_fd``, reached without following any link."""
    fd = os.dup(root_fd)
    for part in parts:
        try:
            below = os.open(part, DIRECTORY_FLAGS | os.O_NOFOLLOW, dir_fd=fd)
        finally:
            os.close(fd)
        fd = below
    return fd


def status_of_source(path: bytes) -> os.stat_result:
    """The status of a source as given, a link at its end not followed."""
    try:
        return os.lstat(path)
    except OSError as error:
        raise source_fault(error, "find the source", path) from error


def open_source_directory(path: bytes) -> int:
    """Opens a directory to read; links on the way are followed."""
    try:
        return os.open(path, DIRECTORY_FLAGS)
    except OSError as error:
        raise source_fault(error, "open the source", path) from error


def open_source_file(name: bytes, dir_fd: Optional[int], path: bytes) -> int:
    """Opens a regular file to read; never waits for and never opens through anything else."""
    try:
        fd = os.open(name, READ_FLAGS, dir_fd=dir_fd)
    except OSError as error:
        raise source_fault(error, "open the source", path) from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise Fault("SRC_SPECIAL", "not a regular file", path=path)
    return fd


def make_directories(path: bytes) -> Tuple[Directory, List[Directory]]:
    """Opens the directory ``path``, made where absent, links on the way followed.

    Also answers the directories that got a new entry, to be synced and dropped by the caller.
    """
    try:
        return Directory(os.open(path, DIRECTORY_FLAGS)), []
    except FileNotFoundError:
        pass
    except OSError as error:
        raise destination_fault(error, "open the destination directory", path) from error
    stripped = path.rstrip(b"/")
    head, _, name = stripped.rpartition(b"/")
    above = head or (b"/" if stripped.startswith(b"/") else b".")
    parent, touched = make_directories(above)
    try:
        try:
            os.mkdir(name, dir_fd=parent.fd)
            touched.append(parent.hold())
        except FileExistsError:
            pass
        return Directory(os.open(name, DIRECTORY_FLAGS, dir_fd=parent.fd)), touched
    except OSError as error:
        for directory in touched:
            directory.drop()
        raise destination_fault(error, "create the destination directory", path) from error
    finally:
        parent.drop()


def remove_own(dir_fd: int, name: bytes) -> None:
    """Remove a name that is no content: a record of ours, a temporary file.

    The times of the directory, which may have been carried over, stay.
    """
    before = os.fstat(dir_fd)
    os.unlink(name, dir_fd=dir_fd)
    # Who may not set times did not carry them over.
    with contextlib.suppress(OSError):
        os.utime(dir_fd, ns=(before.st_atime_ns, before.st_mtime_ns))


def content_of(source: Source, chunk_bytes: int) -> Iterator[bytes]:
    """The bytes of a file, wherever it is."""
    if source.far is not None:
        content = source.far.open()
        try:
            yield from content.chunks(chunk_bytes)
        finally:
            content.close()
        return
    fd = open_source_file(source.name, source.dir_fd, source.path)
    try:
        yield from read_chunks(fd, chunk_bytes, source.path)
    finally:
        os.close(fd)


def read_chunks(fd: int, chunk_bytes: int, path: bytes) -> Iterator[bytes]:
    """The content of ``fd`` from its position on."""
    while True:
        try:
            data = os.read(fd, chunk_bytes)
        except OSError as error:
            raise source_fault(error, "read the source", path) from error
        if not data:
            return
        yield data
