"""The directories of a copy, made as its walk goes along and finished once all in them is done."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Callable, FrozenSet, List, Optional

from .faults import destination_fault
from .local import DIRECTORY_FLAGS, Directory
from .metadata import Attributes, apply_attributes
from .publish import Publisher

if TYPE_CHECKING:
    from .job import Job


class _Level:
    """A directory of the walk; ``directory`` is ``None`` while it is not made."""

    def __init__(self, path: bytes, given: Optional[Attributes]) -> None:
        self.path = path
        self.given = given
        self.directory: Optional[Directory] = None
        self.made = False


class Mirror:
    """An open directory per level of the walk.

    ``owns`` says that directories that were there get the attributes of the source too; one that
    is given none keeps its own.
    """

    def __init__(
        self, job: "Job", publisher: Publisher, preserve: FrozenSet[str], owns: bool
    ) -> None:
        self._job = job
        self._publisher = publisher
        self._preserve = preserve
        self._owns = owns
        self._levels: List[_Level] = []

    def begin(self, root: Directory, made: bool, path: bytes, given: Optional[Attributes]) -> None:
        """Starts at ``root``, which it takes over."""
        level = _Level(path, given)
        level.directory, level.made = root, made
        self._levels.append(level)

    def enter(self, path: bytes, given: Optional[Attributes], now: bool) -> None:
        """Goes down to ``path``; made ``now``, or with the first item that needs it."""
        self._levels.append(_Level(path, given))
        if now:
            self.place()

    def leave(self) -> None:
        """Goes up; the directory is finished once everything staged so far has its name."""
        level = self._levels.pop()
        if level.directory is None:
            return
        if level.made or self._owns:
            self._publisher.finish_directory(level.directory, self._finish(level))
        level.directory.drop()

    def _finish(self, level: _Level) -> Callable[[], None]:
        directory, given, path = level.directory, level.given, level.path

        def finish() -> None:
            if directory is None or given is None:
                return
            try:
                lost = apply_attributes(directory.fd, self._preserve, given)
                self._job.losses.add(self._job, lost, path)
            except OSError as error:
                self._job.item_failed(path, destination_fault(error, "finish the directory"))

        return finish

    def place(self) -> Optional[Directory]:
        """The current directory, those above it made first; ``None`` where one cannot be."""
        for above, level in zip(self._levels, self._levels[1:]):
            if level.directory is not None:
                continue
            if above.directory is None:
                return None
            try:
                self._make(above.directory, level)
            except OSError as error:
                if level is self._levels[-1]:
                    fault = destination_fault(error, "create the directory")
                    self._job.item_failed(level.path, fault)
                return None
        return self._levels[-1].directory

    def _make(self, above: Directory, level: _Level) -> None:
        name = os.path.basename(level.path)
        with self._job.timed("destination_write_ms"):
            try:
                os.mkdir(name, dir_fd=above.fd)
                level.made = True
                self._publisher.touch(above)
            except FileExistsError:
                pass
            fd = os.open(name, DIRECTORY_FLAGS | os.O_NOFOLLOW, dir_fd=above.fd)
            level.directory = Directory(fd)

    def close(self) -> None:
        """Lets go of all directories that were not left."""
        while self._levels:
            directory = self._levels.pop().directory
            if directory is not None:
                directory.drop()
