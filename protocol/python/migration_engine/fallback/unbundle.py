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
from .names import is_kept
from .publish import Publisher, Staged, create_file, create_link, create_name

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
    """Extracts into ``root``."""

    def __init__(
        self,
        job: "Job",
        root: Directory,
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
                self._fail(member, Fault("NAME_REFUSED", "the name leads out of the archive"))
            elif parts:
                self._one(member, parts, reader)
        self._publisher.flush()
        self._finish_directories()

    def _fail(self, member: Member, fault: Fault) -> None:
        self.items += 1
        self._job.item_failed(member.path, fault)
        if fault.code in ENDS_JOB:
            raise fault

    def _one(self, member: Member, parts: List[bytes], reader: Reader) -> None:
        path = b"/".join(parts)
        if not self._selection.takes(path):
            return
        job = self._job
        try:
            if member.kind != "directory":
                job.begin_item(path, member.size)
            if any(is_kept(part) for part in parts):
                raise Fault("NAME_REFUSED", "a name is kept for temporary files and leases")
            if member.kind == "directory":
                self._below(parts).drop()
                self._directories[path] = member
                return
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
        if member.kind not in ("file", "symlink", "again"):
            message = "a fifo, socket, device or unknown member is not extracted"
            raise Fault("SRC_SPECIAL", message)
        action = self._judge(directory, name)
        if action == "skip":
            self._job.item_skipped(path, member.size)
            return None
        if member.kind == "file":
            staged = self._file(member, path, directory, name, reader)
        elif member.kind == "symlink":
            staged = create_link(self._job, directory, name, path, member.link)
            times = (member.mtime_ns, member.mtime_ns)
            os.utime(staged.temp, ns=times, dir_fd=directory.fd, follow_symlinks=False)
        else:
            staged = self._again(member, path, directory, name)
        staged.replace = action == "replace"
        self._made[path] = inode(staged.status())
        return staged

    def _judge(self, directory: Directory, name: bytes) -> str:
        try:
            there = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
        except FileNotFoundError:
            return "new"
        except OSError as error:
            raise destination_fault(error, "look at the destination") from error
        if stat.S_ISDIR(there.st_mode):
            raise Fault("DST_TYPE", "a directory is in the way")
        if self._on_exists == "fail":
            raise Fault("DST_EXISTS", "the destination exists")
        return "skip" if self._on_exists == "skip" else "replace"

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
        for path in sorted(self._directories, reverse=True):
            member = self._directories[path]
            try:
                fd = open_beneath(self._root.fd, path.split(b"/"))
                try:
                    os.fchmod(fd, member.mode & 0o777)
                    os.utime(fd, ns=(member.mtime_ns, member.mtime_ns))
                finally:
                    os.close(fd)
            except OSError as error:
                if error.errno != errno.ENOENT:
                    fault = destination_fault(error, "finish the directory")
                    self._job.item_failed(path, fault)
