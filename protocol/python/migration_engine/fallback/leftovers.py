"""Finding and removing the temporary files that dead jobs left behind."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Callable, Iterator, List, Sequence, Tuple

from .faults import Fault
from .glob import Selection
from .lease import LEASE_BYTES, Cell, decode, is_dead
from .local import DIRECTORY_FLAGS, Walk, remove_own
from .names import LEASE_NAME, is_kept, is_temporary, owner_of
from .state import Root

if TYPE_CHECKING:
    from .job import Job


class Removed:
    """What a clean-up did."""

    def __init__(self) -> None:
        self.files = 0
        self.bytes = 0
        self.leftovers: List[bytes] = []


def remove_leftovers(job: "Job", name: str, roots: Sequence[Root]) -> None:
    """Removes what the dead job ``name`` left below ``roots``, before its key goes on.

    A session that lives cleaned up after its job, and its files may be those of other jobs.
    """
    owner = name[:8]
    if not job.session.state.alive(owner):
        remove_below(roots, lambda found: found == owner, dry_run=False)


def remove_below(roots: Sequence[Root], wanted: Callable[[str], bool], dry_run: bool) -> Removed:
    """Removes temporary files below ``roots`` whose ``job8`` is ``wanted``."""
    removed = Removed()
    for root in roots:
        try:
            fd = os.open(root.path, DIRECTORY_FLAGS)
        except OSError:
            continue
        try:
            for path, dir_fd, name, size in _temporaries(fd) if root.deep else _shallow(fd):
                full = os.path.join(root.path, path)
                if name == LEASE_NAME:
                    _free_lease(removed, full, dir_fd, wanted, dry_run)
                elif wanted(owner_of(name)):
                    _remove(removed, full, dir_fd, name, size, dry_run)
        finally:
            os.close(fd)
    return removed


def _free_lease(
    removed: Removed, path: bytes, fd: int, wanted: Callable[[str], bool], dry_run: bool
) -> None:
    """Frees the lease of a job that is ``wanted``, once its process is proven dead."""
    cell = Cell(fd)
    try:
        data = cell.read()
        record = decode(data)
        if record is None or not wanted(str(record["job"])[:8]) or not is_dead(record):
            return
        freed = dry_run or cell.swap(data, None)
    except Fault:
        freed = False
    if freed:
        removed.files += 1
        removed.bytes += LEASE_BYTES
    else:
        removed.leftovers.append(path)


def _temporaries(root_fd: int) -> Iterator[Tuple[bytes, int, bytes, int]]:
    for entry in Walk(root_fd, Selection((), ())):
        if entry.what == "item" and is_kept(entry.name):
            size = entry.st.st_size if entry.kind == "file" else 0
            yield entry.path, entry.fd, entry.name, size


def _shallow(fd: int) -> Iterator[Tuple[bytes, int, bytes, int]]:
    for name in map(os.fsencode, os.listdir(fd)):
        if is_temporary(name):
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            yield name, fd, name, status.st_size


def _remove(
    removed: Removed, path: bytes, dir_fd: int, name: bytes, size: int, dry_run: bool
) -> None:
    try:
        if not dry_run:
            remove_own(dir_fd, name)
    except FileNotFoundError:
        return
    except OSError:
        removed.leftovers.append(path)
        return
    removed.files += 1
    removed.bytes += size
