"""tar archives: headers by the standard library, content and safety by our own hands."""

from __future__ import annotations

import os
import re
import stat
import tarfile
from typing import Dict, Iterator, List, NamedTuple, Optional

from .faults import Fault

BLOCK_BYTES = 512
_RECORD_BYTES = 20 * BLOCK_BYTES
_EXTENSION_BYTES_MAX = 1 << 20
"""Longest name or list of attributes before a member."""
_TYPES = {
    "directory": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "again": tarfile.LNKTYPE,
}
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_KINDS = {
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "again",
    tarfile.FIFOTYPE: "fifo",
    tarfile.CHRTYPE: "device",
    tarfile.BLKTYPE: "device",
}


_NUMBERS = ((100, 8), (108, 8), (116, 8), (124, 12), (136, 12), (329, 8), (337, 8))
"""Where a header has numbers: mode, owner, group, size, time, device."""
_OCTAL = re.compile(rb" *[0-7]* *(\0|$)")
_ID_MAX = (1 << 32) - 1
_SECONDS_MAX = (1 << 63) - 1


class Member(NamedTuple):
    """An entry of an archive.

    ``kind``: ``file``, ``directory``, ``symlink``, ``again`` (one more name of ``link``), ``fifo``,
    ``device`` or ``unknown``.
    """

    path: bytes
    kind: str
    size: int
    mode: int
    mtime_ns: int
    link: bytes = b""


# Writing.


def header(path: bytes, kind: str, status: os.stat_result, mode: int, link: bytes = b"") -> bytes:
    """The blocks before a member's content; ``mode`` is the one that is kept."""
    info = tarfile.TarInfo(_text(path))
    info.mode = stat.S_IMODE(mode)
    info.uid, info.gid = status.st_uid, status.st_gid
    info.mtime = status.st_mtime_ns // 10**9
    if kind == "file":
        info.size = status.st_size
    elif kind == "special":
        info.type = _special_type(status.st_mode)
        info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
    else:
        info.type = _TYPES[kind]
        info.linkname = _text(link)
    if status.st_mtime_ns % 10**9:
        info.pax_headers = {"mtime": "%d.%09d" % divmod(status.st_mtime_ns, 10**9)}
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _special_type(mode: int) -> bytes:
    """Of a fifo or device; sockets have none."""
    if stat.S_ISFIFO(mode):
        return tarfile.FIFOTYPE
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        return tarfile.CHRTYPE if stat.S_ISCHR(mode) else tarfile.BLKTYPE
    raise Fault("SRC_SPECIAL", "a socket has no place in an archive")


def padding(size: int) -> bytes:
    """The zeros behind a member's content."""
    return bytes(-size % BLOCK_BYTES)


def end(written: int) -> bytes:
    """What ends an archive of so many bytes."""
    return bytes(2 * BLOCK_BYTES + -(written + 2 * BLOCK_BYTES) % _RECORD_BYTES)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


# Reading.


class Reader:
    """The members of a tar archive, one after the other; ``pieces`` are its plain bytes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""
        self._at = 0
        self._global: Dict[str, bytes] = {}
        self._left = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Member]:
        extended: Dict[str, bytes] = {}
        while True:
            self._skip_content()
            block = self._take(BLOCK_BYTES)
            if block == bytes(BLOCK_BYTES):
                self._end()
                return
            info = self._parse(block)
            if info.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
                name = "path" if info.type == tarfile.GNUTYPE_LONGNAME else "linkpath"
                extended[name] = self._extension(info.size).split(b"\0", 1)[0]
            elif info.type == tarfile.XHDTYPE:
                extended.update(self._records(self._extension(info.size)))
            elif info.type == tarfile.XGLTYPE:
                self._global.update(self._records(self._extension(info.size)))
            else:
                member = self._member(info, {**self._global, **extended})
                extended = {}
                yield member

    def content(self, chunk_bytes: int) -> Iterator[bytes]:
        """The content of the member that came last."""
        while self._left:
            piece = self._some(min(self._left, chunk_bytes))
            self._left -= len(piece)
            yield piece

    def _member(self, info: tarfile.TarInfo, extended: Dict[str, bytes]) -> Member:
        kind = "file" if info.type in _FILES else _KINDS.get(info.type, "unknown")
        path = extended.get("path", _bytes(info.name))
        if kind == "file" and path.endswith(b"/"):
            # How a directory was written before there was a type for it.
            kind = "directory"
        if "GNU.sparse.major" in extended or "GNU.sparse.map" in extended:
            kind = "unknown"
        size = self._number(extended["size"]) if "size" in extended else info.size
        for name in ("uid", "gid"):
            if name in extended and self._number(extended[name]) > _ID_MAX:
                raise self._corrupt("the attributes of a member are damaged")
        mtime_ns = info.mtime * 10**9
        if "mtime" in extended:
            mtime_ns = self._nanos(extended["mtime"])
        # Only these types are followed by content; what is not known may be.
        has_content = kind in ("file", "unknown")
        self._left = size if has_content else 0
        self._padding = -self._left % BLOCK_BYTES
        link = extended.get("linkpath", _bytes(info.linkname))
        return Member(path, kind, self._left, info.mode & 0o7777, int(mtime_ns), link)

    def _parse(self, block: bytes) -> tarfile.TarInfo:
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise self._corrupt("no header of a member: %s" % error) from None
        for at, length in _NUMBERS:
            field = block[at : at + length]
            # The library reads "0o7" and "1_0" too.
            if field[0] < 0x80 and not _OCTAL.match(field):
                raise self._corrupt("a header has a number that is none")
        if info.size < 0:
            raise self._corrupt("a member has a negative size")
        ids = (info.uid, info.gid, info.devmajor, info.devminor)
        if not all(0 <= one <= _ID_MAX for one in ids) or abs(info.mtime) > _SECONDS_MAX:
            raise self._corrupt("a header has a number beyond all")
        return info

    def _extension(self, size: int) -> bytes:
        if size > _EXTENSION_BYTES_MAX:
            raise self._corrupt("the names of a member are too long")
        data = self._take(size)
        self._take(-size % BLOCK_BYTES)
        return data

    def _records(self, data: bytes) -> Dict[str, bytes]:
        """``LENGTH KEY=VALUE`` lines."""
        records: Dict[str, bytes] = {}
        while data and data[:1] != b"\0":
            length_text, space, _ = data.partition(b" ")
            length = self._number(length_text)
            record = data[len(length_text) + 1 : length - 1]
            key, equals, value = record.partition(b"=")
            if not space or not equals or data[length - 1 : length] != b"\n":
                raise self._corrupt("the attributes of a member are damaged")
            records[key.decode("utf-8", "replace")] = value
            data = data[length:]
        return records

    def _number(self, text: bytes) -> int:
        if not text.isdigit() or len(text) > 19:
            raise self._corrupt("the attributes of a member are damaged")
        return int(text)

    def _nanos(self, text: bytes) -> int:
        whole, _, part = text.partition(b".")
        sign = -1 if whole.startswith(b"-") else 1
        nanos = self._number(part[:9].ljust(9, b"0")) if part else 0
        return sign * (self._number(whole[sign < 0 :]) * 10**9 + nanos)

    # Bytes.

    def _skip_content(self) -> None:
        for _ in self.content(64 << 10):
            pass
        self._take(self._padding)
        self._padding = 0

    def _end(self) -> None:
        """The second block of zeros may be missing; what follows must be padding."""
        rest = self._held
        while True:
            if rest.count(0) != len(rest):
                raise self._corrupt("bytes follow the end of the archive")
            self._at += len(rest)
            piece = next(self._pieces, None)
            if piece is None:
                return
            rest = piece

    def _take(self, size: int) -> bytes:
        parts: List[bytes] = []
        while size:
            part = self._some(size)
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _some(self, most: int) -> bytes:
        while not self._held:
            piece = next(self._pieces, None)
            if piece is None:
                raise self._corrupt("the archive ends too early")
            self._held = piece
        part, self._held = self._held[:most], self._held[most:]
        self._at += len(part)
        return part

    def _corrupt(self, message: str) -> Fault:
        return Fault("SRC_CORRUPT", message, offset=self._at)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def parts_of(path: bytes) -> Optional[List[bytes]]:
    """The names down to a member, none for the root; ``None`` for no name beneath it.

    ``./`` in front and a slash at the end mean nothing.
    """
    while path.startswith(b"./"):
        path = path[2:].lstrip(b"/")
    if path.endswith(b"/") and path != b"/":
        path = path[:-1]
    if path in (b"", b"."):
        return []
    parts = path.split(b"/")
    refused = b"\0" in path or any(part in (b"", b".", b"..") for part in parts)
    return None if refused else parts
