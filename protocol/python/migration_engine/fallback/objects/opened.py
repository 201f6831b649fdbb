"""A source that is read for an object: one state of it, here or elsewhere."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, FrozenSet, Iterator, Protocol

from ..faults import source_fault
from ..local import Source, identity, open_source_file, read_chunks
from ..metadata import Attributes, read_attributes

if TYPE_CHECKING:
    from .reading import Content


class Opened(Protocol):
    """A source that is open."""

    @property
    def status(self) -> os.stat_result:
        """What a copy carries over of it."""

    @property
    def identity(self) -> str:
        """Which state this is."""

    def attributes(self, preserve: FrozenSet[str]) -> Attributes:
        """What it has beside content."""

    def chunks(self, most: int) -> Iterator[bytes]:
        """Its bytes."""

    def unchanged(self, size: int) -> bool:
        """Whether the ``size`` bytes that were read are all, and of one state."""

    def close(self) -> None:
        """Lets go of it."""


def open_item(source: Source) -> Opened:
    """Opens a source."""
    return _Local(source) if source.far is None else _Far(source.far.open())


class _Local:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._fd = open_source_file(source.name, source.dir_fd, source.path)
        self._before = os.fstat(self._fd)

    @property
    def status(self) -> os.stat_result:
        return self._before

    @property
    def identity(self) -> str:
        return identity(self._before)

    def attributes(self, preserve: FrozenSet[str]) -> Attributes:
        try:
            return read_attributes(self._fd, self._before, preserve)
        except OSError as error:
            raise source_fault(error, "read the attributes", self._source.path) from error

    def chunks(self, most: int) -> Iterator[bytes]:
        return read_chunks(self._fd, most, self._source.path)

    def unchanged(self, size: int) -> bool:
        after = os.fstat(self._fd)
        if identity(after) != self.identity or after.st_size != size:
            return False
        source = self._source
        try:
            now = os.stat(source.name, dir_fd=source.dir_fd, follow_symlinks=False)
        except OSError:
            return False
        return identity(now) == self.identity

    def close(self) -> None:
        os.close(self._fd)


class _Far:
    """Held to one state by its service."""

    def __init__(self, content: "Content") -> None:
        self._content = content

    @property
    def status(self) -> os.stat_result:
        return self._content.status

    @property
    def identity(self) -> str:
        return self._content.identity

    def attributes(self, preserve: FrozenSet[str]) -> Attributes:
        return self._content.attributes(preserve)

    def chunks(self, most: int) -> Iterator[bytes]:
        return self._content.chunks(most)

    def unchanged(self, size: int) -> bool:
        return True

    def close(self) -> None:
        self._content.close()
