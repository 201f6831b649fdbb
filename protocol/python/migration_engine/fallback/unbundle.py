"""A tar archive to a tree: member by member, beneath its root, through no link.

The whole archive is read before the first member is published, since what is packed tells only at
its end whether it is whole.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Dict, Iterator, List, Optional, Tuple

from .archive import Member, Reader, parts_of
from .coding import Caps, GzipUnpacker
from .faults import ENDS_JOB, Fault, destination_fault
from .glob import Selection
from .local import DIRECTORY_FLAGS, Directory, inode, open_beneath, read_chunks
from .metadata import Attributes, Entry, apply_attributes
from .names import is_kept
from .publish import (
    Publisher,
    Staged,
    create_file,
    create_link,
    create_name,
    create_special,
)

if TYPE_CHECKING:
    from .job import Job

_CHUNK_BYTES = 256 << 10


def plain_pieces(
    job: "Job", fd: int, path: bytes, packed: bool, caps: Caps, counted: bool
) -> Iterator[bytes]:
    """The plain bytes of an open archive, within ``caps``."""
    os.lseek(fd, 0, os.SEEK_SET)
    unpacker = GzipUnpacker(caps) if packed else None
    taken = 0
    for data in read_chunks(fd, _CHUNK_BYTES, path):
        if counted:
            job.read(len(data))
        else:
            job.pay(len(data))
        if unpacker is None:
            taken += len(data)
            caps.check(taken, taken)
            yield data
        else:
            yield from unpacker.feed(data)
    if unpacker is not None:
        unpacker.finish()


def check_archive(pieces: Iterator[bytes]) -> None:
    """Reads an archive to its end; ``SRC_CORRUPT`` where it is damaged."""
    for _ in Reader(pieces):
        pass


class Unbundler:
    """Extracts into ``root``, which it ``made`` or found."""

    def __init__(
        self,
        job: "Job",
        root: Directory,
        made: bool,
        selection: Selection,
        publisher: Publisher,
        on_exists: str,
    ) -> None:
        self._job = job
        self._root = root
        self._selection = selection
        self._publisher = publisher
        self._on_exists = on_exists
        # What this archive made: further names are given to nothing else.
        self._made: Dict[bytes, Tuple[int, int]] = {}
        self._made_directories = {b""} if made else set()
        self._directories: Dict[bytes, Member] = {}
        self.original = 0
        self.items = 0

    def run(self, pieces: Iterator[bytes]) -> None:
        """Extracts all members that are taken."""
        reader = Reader(pieces)
        for member in reader:
            self._job.step()
            parts = parts_of(member.path)
            if parts is None:
                self._fail(member, Fault("NAME_REFUSED", "it is no name beneath the destination"))
            elif member.kind == "directory":
                self._directory(member, parts)
            elif parts and self._selection.takes(b"/".join(parts)):
                self._one(member, parts, reader)
        self._publisher.flush()
        self._finish_directories()

    def _fail(self, member: Member, fault: Fault) -> None:
        self.items += 1
        self._job.item_failed(member.path, fault)
        if fault.code in ENDS_JOB:
            raise fault

    def _directory(self, member: Member, parts: List[bytes]) -> None:
        """Made at once, or where members are chosen, with the first one in it."""
        path = b"/".join(parts)
        above = (b"/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
        if any(self._selection.excluded(one, one.rpartition(b"/")[2]) for one in above):
            return
        self._directories[path] = member
        if self._selection.takes_all:
            try:
                self._below(parts).drop()
            except Fault as fault:
                self._fail(member._replace(path=path), fault)

    def _one(self, member: Member, parts: List[bytes], reader: Reader) -> None:
        path = b"/".join(parts)
        try:
            self._job.begin_item(path, member.size)
            _refuse(member, parts)
            directory = self._below(parts[:-1])
            try:
                staged = self._stage(member, path, directory, parts[-1], reader)
            finally:
                directory.drop()
        except Fault as fault:
            self._fail(member._replace(path=path), fault)
            return
        self.items += 1
        if staged is not None:
            self._publisher.add(staged)

    def _below(self, parts: List[bytes]) -> Directory:
        """The directory of these names, made where absent, through no link."""
        directory = self._root.hold()
        try:
            for depth, name in enumerate(parts, 1):
                if b"/".join(parts[:depth]) in self._made:
                    # What has this name may still wait for it.
                    self._publisher.flush()
                try:
                    os.mkdir(name, dir_fd=directory.fd)
                    self._made_directories.add(b"/".join(parts[:depth]))
                    self._publisher.touch(directory)
                except FileExistsError:
                    pass
                flags = DIRECTORY_FLAGS | os.O_NOFOLLOW
                below = Directory(os.open(name, flags, dir_fd=directory.fd))
                directory.drop()
                directory = below
        except OSError as error:
            directory.drop()
            raise destination_fault(error, "create the directory") from error
        return directory

    def _stage(
        self, member: Member, path: bytes, directory: Directory, name: bytes, reader: Reader
    ) -> Optional[Staged]:
        action, there = self._judge(directory, name)
        if action == "skip":
            self._job.item_skipped(path, member.size)
            return None
        if member.kind == "file":
            staged = self._file(member, path, directory, name, reader)
        elif member.kind in ("symlink", "fifo"):
            staged = self._unopened(member, path, directory, name)
        else:
            staged = self._again(member, path, directory, name)
        staged.over(there if action == "replace" else None)
        self._made[path] = inode(staged.status())
        return staged

    def _judge(self, directory: Directory, name: bytes) -> Tuple[str, Optional[os.stat_result]]:
        try:
            there = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
        except FileNotFoundError:
            return "new", None
        except OSError as error:
            raise destination_fault(error, "look at the destination") from error
        if stat.S_ISDIR(there.st_mode):
            raise Fault("DST_TYPE", "a directory is in the way")
        if self._on_exists == "fail":
            raise Fault("DST_EXISTS", "the destination exists")
        return ("skip" if self._on_exists == "skip" else "replace"), there

    def _file(
        self, member: Member, path: bytes, directory: Directory, name: bytes, reader: Reader
    ) -> Staged:
        staged = create_file(self._job, directory, name, path)
        fd = staged.file()
        try:
            for data in reader.content(_CHUNK_BYTES):
                view = memoryview(data)
                while view:
                    view = view[os.write(fd, view) :]
            os.fchmod(fd, member.mode & 0o777)
            os.utime(fd, ns=(member.mtime_ns, member.mtime_ns))
        except OSError as error:
            staged.discard()
            raise destination_fault(error, "write the destination") from error
        except BaseException:
            staged.discard()
            raise
        staged.size = member.size
        self.original += member.size
        return staged

    def _unopened(self, member: Member, path: bytes, directory: Directory, name: bytes) -> Staged:
        preserve = frozenset(("mode", "times"))
        kind = stat.S_IFLNK if member.kind == "symlink" else stat.S_IFIFO
        status = os.stat_result(
            (kind | member.mode, 0, 0, 1, 0, 0, 0, 0, 0, 0),
            {"st_atime_ns": member.mtime_ns, "st_mtime_ns": member.mtime_ns, "st_rdev": 0},
        )
        if member.kind == "symlink":
            staged = create_link(self._job, directory, name, path, member.link)
        else:
            staged = create_special(self._job, directory, name, path, status)
        try:
            held = Entry(directory.fd, staged.temp)
            staged.lost = apply_attributes(held, preserve, Attributes(status, {}))
        except OSError as error:
            staged.discard()
            raise destination_fault(error, "set the metadata") from error
        return staged

    def _again(self, member: Member, path: bytes, directory: Directory, name: bytes) -> Staged:
        parts = parts_of(member.link)
        known = self._made.get(b"/".join(parts)) if parts else None
        if not parts or known is None:
            raise Fault("SRC_CORRUPT", "it is another name of what the archive did not bring")
        # What it is a name of may still wait for its own.
        self._publisher.flush()
        try:
            fd = open_beneath(self._root.fd, parts[:-1])
        except OSError as error:
            raise destination_fault(error, "open the directory") from error
        try:
            staged = create_name(self._job, directory, name, path, fd, parts[-1])
        finally:
            os.close(fd)
        if inode(staged.status()) != known:
            staged.discard()
            raise Fault("DST_WRITE", "what it is a name of was replaced meanwhile")
        return staged

    def _finish_directories(self) -> None:
        """Modes and times, the deepest first, once all in them is done."""
        owns = self._on_exists in ("update", "replace")
        for path in sorted(self._directories, reverse=True):
            if path not in self._made_directories and not owns:
                continue
            member = self._directories[path]
            try:
                fd = open_beneath(self._root.fd, path.split(b"/") if path else [])
                try:
                    os.fchmod(fd, member.mode & 0o777)
                    os.utime(fd, ns=(member.mtime_ns, member.mtime_ns))
                finally:
                    os.close(fd)
            except OSError as error:
                if error.errno != errno.ENOENT:
                    fault = destination_fault(error, "finish the directory")
                    self._job.item_failed(path, fault)


def _refuse(member: Member, parts: List[bytes]) -> None:
    """What is no item of an archive."""
    if member.kind == "device":
        raise Fault("SRC_SPECIAL", "a device is not made from an archive")
    if member.kind == "unknown":
        raise Fault("UNSUPPORTED", "a member of this kind is not known")
    if any(is_kept(part) for part in parts):
        raise Fault("NAME_REFUSED", "a name is kept for temporary files and leases")
