"""A filesystem in memory that takes names in any case for the same name, served through FUSE.

Small and slow, for tests of programs that write to filesystems which fold names. Linux, as root.
"""

import ctypes
import errno
import os
import stat
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, Optional, Tuple

# Numbers of requests, from linux/fuse.h.
LOOKUP, FORGET, GETATTR, SETATTR, MKDIR, UNLINK, RMDIR, RENAME = 1, 2, 3, 4, 9, 10, 11, 12
OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, FLUSH, INIT = 14, 15, 16, 17, 18, 20, 25, 26
OPENDIR, READDIR, RELEASEDIR, FSYNCDIR, CREATE, INTERRUPT = 27, 28, 29, 30, 35, 36
BATCH_FORGET, RENAME2, SYNCFS = 42, 45, 50
SET_MODE, SET_UID, SET_GID, SET_SIZE, SET_ATIME, SET_MTIME = 1, 2, 4, 8, 16, 32
NOREPLACE = 1
REQUEST = struct.Struct("<IIQQIIII")
ROOT = 1
BUFFER_BYTES = 1 << 20
WRITE_BYTES = 128 << 10
SECOND = 1_000_000_000


@dataclass
class Node:
    """A file or directory."""

    number: int
    mode: int
    content: bytearray = field(default_factory=bytearray)
    # Folded names to names as they were first written, and what they lead to.
    names: Dict[bytes, Tuple[bytes, int]] = field(default_factory=dict)
    owner: Tuple[int, int] = (0, 0)
    atime: int = 0
    mtime: int = 0


def fold(name: bytes) -> bytes:
    """What names are compared by."""
    return name.decode(errors="surrogateescape").casefold().encode(errors="surrogateescape")


class Refused(Exception):
    """An error number for the caller."""

    def __init__(self, number: int) -> None:
        super().__init__(os.strerror(number))
        self.number = number


class Folding:
    """The filesystem and its answers."""

    def __init__(self) -> None:
        self.nodes: Dict[int, Node] = {ROOT: Node(ROOT, stat.S_IFDIR | 0o755)}
        self.answers: Dict[int, Callable[[int, bytes], bytes]] = {
            INIT: self.init, LOOKUP: self.lookup, GETATTR: self.getattr, SETATTR: self.setattr,
            MKDIR: self.mkdir, UNLINK: self.remove, RMDIR: self.remove, RENAME: self.rename,
            RENAME2: self.rename2, OPEN: self.open, OPENDIR: self.open, READ: self.read,
            WRITE: self.write, STATFS: self.statfs, READDIR: self.readdir, CREATE: self.create,
        }
        for nothing in (RELEASE, RELEASEDIR, FSYNC, FSYNCDIR, FLUSH, SYNCFS):
            self.answers[nothing] = lambda number, body: b""

    def serve(self, device: int) -> None:
        """Answers until the filesystem is unmounted."""
        while True:
            try:
                request = os.read(device, BUFFER_BYTES)
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return
                continue
            _, code, unique, number, *_ = REQUEST.unpack_from(request)
            if code in (FORGET, BATCH_FORGET, INTERRUPT):
                continue
            failed, answer = 0, b""
            try:
                answer = self.answers.get(code, refuse)(number, request[REQUEST.size :])
            except Refused as error:
                failed = error.number
            os.write(device, struct.pack("<IiQ", 16 + len(answer), -failed, unique) + answer)

    def init(self, _number: int, _body: bytes) -> bytes:
        """The version that is spoken, and the longest write."""
        return struct.pack("<IIIIHHIIHH32x", 7, 31, 0, 0, 16, 12, WRITE_BYTES, 1, 0, 0)

    def node(self, number: int) -> Node:
        """What a number stands for."""
        return self.nodes[number]

    def child(self, number: int, name: bytes) -> Optional[Node]:
        """What a name in a directory leads to."""
        found = self.node(number).names.get(fold(name))
        return self.node(found[1]) if found else None

    def attributes(self, node: Node) -> bytes:
        """What `stat` shows."""
        links = 2 if stat.S_ISDIR(node.mode) else 1
        seconds = [time // SECOND for time in (node.atime, node.mtime, node.mtime)]
        parts = [time % SECOND for time in (node.atime, node.mtime, node.mtime)]
        size = len(node.content)
        return struct.pack(
            "<QQQQQQIIIIIIIIII", node.number, size, (size + 511) // 512, *seconds, *parts,
            node.mode, links, *node.owner, 0, 4096, 0,
        )

    def entry(self, node: Node) -> bytes:
        """A name's answer; nothing of it is kept by the kernel."""
        return struct.pack("<QQQQII", node.number, 0, 0, 0, 0, 0) + self.attributes(node)

    def lookup(self, number: int, body: bytes) -> bytes:
        """A name, in any case."""
        node = self.child(number, body.rstrip(b"\0"))
        if node is None:
            raise Refused(errno.ENOENT)
        return self.entry(node)

    def getattr(self, number: int, _body: bytes) -> bytes:
        """What is known of a node."""
        return struct.pack("<QII", 0, 0, 0) + self.attributes(self.node(number))

    def setattr(self, number: int, body: bytes) -> bytes:
        """Mode, owner, size, times."""
        fields = struct.unpack_from("<IIQQQQQQIIIIIIII", body)
        valid, size, node = fields[0], fields[3], self.node(number)
        if valid & SET_MODE:
            node.mode = stat.S_IFMT(node.mode) | stat.S_IMODE(fields[11])
        if valid & (SET_UID | SET_GID):
            node.owner = (fields[13], fields[14])
        if valid & SET_SIZE:
            node.content[size:] = bytes(max(0, size - len(node.content)))
        if valid & SET_ATIME:
            node.atime = fields[5] * SECOND + fields[8]
        if valid & SET_MTIME:
            node.mtime = fields[6] * SECOND + fields[9]
        return self.getattr(number, b"")

    def make(self, number: int, name: bytes, mode: int) -> Node:
        """A new node under a name that is free in every case."""
        if self.child(number, name) is not None:
            raise Refused(errno.EEXIST)
        now = time.time_ns()
        node = Node(max(self.nodes) + 1, mode, atime=now, mtime=now)
        self.nodes[node.number] = node
        self.node(number).names[fold(name)] = (name, node.number)
        return node

    def mkdir(self, number: int, body: bytes) -> bytes:
        """A new directory."""
        mode = struct.unpack_from("<I", body)[0]
        return self.entry(self.make(number, body[8:].rstrip(b"\0"), stat.S_IFDIR | mode))

    def create(self, number: int, body: bytes) -> bytes:
        """A new file, open."""
        mode = struct.unpack_from("<IIII", body)[1]
        node = self.make(number, body[16:].rstrip(b"\0"), stat.S_IFREG | stat.S_IMODE(mode))
        return self.entry(node) + self.open(node.number, b"")

    def remove(self, number: int, body: bytes) -> bytes:
        """A name less."""
        if self.child(number, body.rstrip(b"\0")) is None:
            raise Refused(errno.ENOENT)
        del self.node(number).names[fold(body.rstrip(b"\0"))]
        return b""

    def rename(self, number: int, body: bytes) -> bytes:
        """A new name, over what stood there."""
        return self.move(number, struct.unpack_from("<Q", body)[0], body[8:], 0)

    def rename2(self, number: int, body: bytes) -> bytes:
        """A new name, with flags."""
        target, flags = struct.unpack_from("<QI", body)
        return self.move(number, target, body[16:], flags)

    def move(self, number: int, target: int, names: bytes, flags: int) -> bytes:
        """Gives a node another name; a name that stood there keeps its case, as on real ones."""
        old, new = names.split(b"\0")[:2]
        if flags & ~NOREPLACE:
            raise Refused(errno.EINVAL)
        moved, there = self.child(number, old), self.node(target).names.get(fold(new))
        if moved is None:
            raise Refused(errno.ENOENT)
        if there and flags & NOREPLACE:
            raise Refused(errno.EEXIST)
        del self.node(number).names[fold(old)]
        self.node(target).names[fold(new)] = (there[0] if there else new, moved.number)
        return b""

    def open(self, _number: int, _body: bytes) -> bytes:
        """Nothing is kept of who opened what."""
        return struct.pack("<QII", 0, 0, 0)

    def read(self, number: int, body: bytes) -> bytes:
        """Content."""
        _, offset, size = struct.unpack_from("<QQI", body)
        return bytes(self.node(number).content[offset : offset + size])

    def write(self, number: int, body: bytes) -> bytes:
        """New content, anywhere."""
        _, offset, size = struct.unpack_from("<QQI", body)
        content = self.node(number).content
        content.extend(bytes(max(0, offset - len(content))))
        content[offset : offset + size] = body[40 : 40 + size]
        return struct.pack("<II", size, 0)

    def statfs(self, _number: int, _body: bytes) -> bytes:
        """Room without end."""
        return struct.pack("<QQQQQIIII24x", 1 << 30, 1 << 30, 1 << 30, 1 << 20, 1 << 20,
                           4096, 255, 4096, 0)

    def readdir(self, number: int, body: bytes) -> bytes:
        """The names of a directory from an offset on."""
        _, offset, size = struct.unpack_from("<QQI", body)
        listing = b""
        for at, (name, child) in enumerate([*self.node(number).names.values()]):
            row = struct.pack("<QQII", child, at + 1, len(name), self.node(child).mode >> 12) + name
            row += b"\0" * (-len(row) % 8)
            if at >= offset and len(listing) + len(row) <= size:
                listing += row
        return listing


def refuse(_number: int, _body: bytes) -> bytes:
    """The answer to what is not offered."""
    raise Refused(errno.ENOSYS)


class Mounted:
    """The filesystem, mounted and served by a process of its own."""

    def __init__(self, place: Path) -> None:
        self.root = place / "folding"

    def __enter__(self) -> Path:
        self.root.mkdir()
        device = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"folding", bytes(self.root), b"fuse", 0, options) != 0:
            failed = ctypes.get_errno()
            raise OSError(failed, f"mount: {os.strerror(failed)}")
        self.server = os.fork()
        if self.server == 0:
            try:
                Folding().serve(device)
            finally:
                os._exit(0)
        os.close(device)
        return self.root

    def __exit__(self, *_: object) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        # Lazily: whoever still looks at it must not keep a failed run from ending.
        libc.umount2(bytes(self.root), 2)
        os.waitpid(self.server, 0)
        self.root.rmdir()
