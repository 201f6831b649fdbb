"""Where items come from: a path of this machine or a location elsewhere, told in one form."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, FrozenSet, Iterable, Iterator, Optional, Protocol

from .faults import Fault
from .glob import Selection
from .local import (
    Entry,
    Source,
    Walk,
    base_name,
    open_source_directory,
    status_of_source,
)
from .location import Location, Where
from .metadata import Attributes, read_attributes
from .roots import hold_to

if TYPE_CHECKING:
    from .job import Job


class Tree(Protocol):
    """A directory that items come from, open."""

    fd: Optional[int]
    """Its handle, where it has one."""

    def hold(self) -> None:
        """``RESUME_REFUSED`` where the key began with another one."""

    def walk(self, selection: Selection, follow: bool) -> Iterable[Entry]:
        """Everything below it that ``selection`` takes."""

    def attributes(self, preserve: FrozenSet[str]) -> Optional[Attributes]:
        """Its own attributes; ``None`` where it has none. Raises ``OSError``."""


class Origin(Protocol):
    """A source."""

    status: os.stat_result
    shown: bytes
    name: bytes
    """The name to go by, empty where there is none."""
    scheme: str
    local: Optional[bytes]
    """Its path, where it is on this machine."""

    def single(self, follow: bool) -> Source:
        """The item that it is, where it is one."""

    def tree(self) -> "contextlib.AbstractContextManager[Tree]":
        """The directory that it is, where it is one."""

    def close(self) -> None:
        """Lets go of it."""


def open_origin(
    job: "Job", where: Where, symlinks: str = "preserve", looks: bool = False
) -> Origin:
    """Opens a source; ``looks`` asks for metadata that listings do not tell."""
    if isinstance(where, Location):
        from .objects.origin import FarOrigin

        return FarOrigin(job, where, looks)
    return LocalOrigin(job, where, symlinks)


class LocalOrigin:
    """A path of this machine; with ``symlinks`` ``follow``, what a link at its end names."""

    scheme = "file"

    def __init__(self, job: "Job", path: bytes, symlinks: str) -> None:
        self._job = job
        self.local: Optional[bytes] = path
        self._path = path
        self.shown = path
        self.name = base_name(path)
        self.status = status_of_source(path)
        if stat.S_ISLNK(self.status.st_mode) and symlinks == "follow":
            self.status = _through(path)

    def single(self, follow: bool) -> Source:
        """The file, link or special file."""
        name = os.path.realpath(self._path) if follow else self._path
        return Source(None, name, self.name or self._path)

    @contextlib.contextmanager
    def tree(self) -> Iterator[Tree]:
        """The directory."""
        fd = open_source_directory(self._path)
        try:
            yield LocalTree(self._job, fd, self.status)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Nothing is held."""


def _through(path: bytes) -> os.stat_result:
    try:
        return os.stat(path)
    except OSError as error:
        raise Fault("SRC_LINK", "the link could not be followed", cause=error).at(path) from error


class LocalTree:
    """An open directory of this machine."""

    def __init__(self, job: "Job", fd: int, status: os.stat_result) -> None:
        self._job = job
        self._status = status
        self.fd: Optional[int] = fd
        self._fd = fd

    def hold(self) -> None:
        """``RESUME_REFUSED`` where the key began with another one."""
        hold_to(self._job, "source", self._fd)

    def walk(self, selection: Selection, follow: bool) -> Iterable[Entry]:
        """Everything below it that ``selection`` takes."""
        return Walk(self._fd, selection, follow)

    def attributes(self, preserve: FrozenSet[str]) -> Optional[Attributes]:
        """Its own attributes."""
        return read_attributes(self._fd, self._status, preserve)
