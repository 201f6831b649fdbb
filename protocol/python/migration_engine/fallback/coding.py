"""gzip, member by member: the one compressed form that the standard library has everywhere."""

from __future__ import annotations

import zlib
from typing import Any, Iterator, Mapping, Optional

from . import fields as f
from .faults import Fault

GZIP_ENDING = b".gz"
LEVEL_DEFAULT = 6
MAX_BYTES_DEFAULT = 1 << 40
MAX_RATIO_DEFAULT = 1000
RATIO_FREE_BYTES = 1 << 20
"""Plain bytes that are given whatever their ratio."""
_PIECE_BYTES = 256 << 10
_GZIP_WINDOW = 31
ARCHIVES = ("tar", "tar_gzip", "tar_zstd")
FORMATS = ("gzip", "zstd", "lz4", "brotli", *ARCHIVES)
_BUILT = ("gzip", "tar", "tar_gzip")
# Longest first: the ending of an archive ends like that of its packed form.
ENDINGS = (
    (b".tar.gzip", "tar_gzip"),
    (b".tar.gz", "tar_gzip"),
    (b".tgz", "tar_gzip"),
    (b".tar.zstd", "tar_zstd"),
    (b".tar.zst", "tar_zstd"),
    (b".tzstd", "tar_zstd"),
    (b".tzst", "tar_zstd"),
    (b".tar", "tar"),
    (b".gzip", "gzip"),
    (b".gz", "gzip"),
    (b".zstd", "zstd"),
    (b".zst", "zstd"),
    (b".lz4", "lz4"),
    (b".br", "brotli"),
)
_MAGIC = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\x04\x22\x4d\x18", "lz4"))
_TAR_MAGIC, _TAR_MAGIC_AT = b"ustar", 257
HEAD_BYTES = 512
"""Bytes of a file that tell its form."""
NATIVE_HINT = "install the binary, or choose gzip"


def not_here(name: str, field: Optional[str]) -> Fault:
    """``UNSUPPORTED`` for a form that only the binary has."""
    message = "the format %s is not in Python's standard library" % name
    return Fault("UNSUPPORTED", message, field=field, hint=NATIVE_HINT)


def built_format(value: Any, field: str) -> str:
    """A form of ``compress`` and ``decompress`` that is in the standard library."""
    name: str = f.choice(*FORMATS)(value, field)
    return refuse_unbuilt(name, field)


def archive_of(form: str) -> Optional[str]:
    """The archive that is packed like this form; itself, where it is one."""
    if form in ARCHIVES:
        return form
    return {"gzip": "tar_gzip", "zstd": "tar_zstd"}.get(form)


def refuse_selection(params: Mapping[str, Any]) -> None:
    """``include`` and ``exclude`` choose members, which only archives have."""
    if params["include"] or params["exclude"]:
        message = "include and exclude choose members of an archive"
        raise Fault("INVALID_FIELD", message, field="include")


def refuse_unbuilt(name: str, field: Optional[str] = "format") -> str:
    """``name``, unless only the binary has it."""
    if name not in _BUILT:
        raise not_here(name, field)
    return name


def split_ending(name: bytes) -> "tuple[bytes, Optional[str]]":
    """``name`` without its ending, in any case, and the form that this ending stands for."""
    for ending, form in ENDINGS:
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)], form
    return name, None


def form_of(head: bytes, name: bytes) -> Optional[str]:
    """The form of a file by its first bytes, then by its name; the name tells archives."""
    named = split_ending(name)[1]
    for magic, form in _MAGIC:
        if head.startswith(magic):
            return "tar_" + form if named == "tar_" + form else form
    if head[_TAR_MAGIC_AT : _TAR_MAGIC_AT + len(_TAR_MAGIC)] == _TAR_MAGIC:
        return "tar"
    return named


def gzip_level(value: Any, field: str) -> int:
    """A level of gzip."""
    level: int = f.integer(1, 9)(value, field)
    return level


class GzipPacker:
    """Packs one file to one member."""

    def __init__(self, level: int) -> None:
        self._packer = zlib.compressobj(level, zlib.DEFLATED, _GZIP_WINDOW)

    def copy(self) -> "GzipPacker":
        """A packer in the same state."""
        other = GzipPacker.__new__(GzipPacker)
        other._packer = self._packer.copy()
        return other

    def take(self, data: bytes) -> bytes:
        """What is ready after ``data``."""
        return self._packer.compress(data)

    def finish(self) -> bytes:
        """The rest."""
        return self._packer.flush()


class Caps:
    """What decoding may give at most: input is not trusted."""

    def __init__(
        self, max_bytes: int = MAX_BYTES_DEFAULT, max_ratio: float = MAX_RATIO_DEFAULT
    ) -> None:
        self._max_bytes = max_bytes
        self._max_ratio = max_ratio

    @classmethod
    def none(cls) -> "Caps":
        """No caps: for what this process wrote itself."""
        return cls(1 << 63, float("inf"))

    def check(self, stored: int, plain: int) -> None:
        """Raises ``OUTPUT_LIMIT`` for totals beyond a cap."""
        if plain > self._max_bytes:
            message = "it holds more than max_bytes, %d" % self._max_bytes
        elif plain > RATIO_FREE_BYTES and plain > stored * self._max_ratio:
            message = "it grows more than max_ratio, %g to 1" % self._max_ratio
        else:
            return
        raise Fault("OUTPUT_LIMIT", message, offset=stored)


CAPS_DEFAULT = Caps()


class GzipUnpacker:
    """Unpacks any valid gzip file: many members, zeros behind the last one."""

    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        self._member: Any = None
        self._members = 0
        self._padding = False
        self.taken = 0
        self.given = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What ``data`` holds, in bounded pieces."""
        full = False
        while data or full:
            if self._member is None:
                data, full = self._between(data), False
                if not data:
                    return
            length = len(data)
            piece = self._step(data)
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            self.taken += length - len(data)
            self.given += len(piece)
            self._caps.check(self.taken, self.given)
            if self._member.eof:
                self._member, self._members = None, self._members + 1
            full = self._member is not None and len(piece) == _PIECE_BYTES
            if piece:
                yield piece

    def finish(self) -> None:
        """Raises ``SRC_CORRUPT`` where the input may not end."""
        if self._member is not None or not self._members:
            raise self._corrupt("it ends too early")

    def _between(self, data: bytes) -> bytes:
        """Begins the next member; padding is taken whole."""
        if self._members and (self._padding or data[:1] == b"\0"):
            self._padding = True
            if data.count(0) != len(data):
                raise self._corrupt("bytes follow that belong to no gzip member")
            self.taken += len(data)
            return b""
        self._member = zlib.decompressobj(_GZIP_WINDOW)
        return data

    def _step(self, data: bytes) -> bytes:
        try:
            piece: bytes = self._member.decompress(data, _PIECE_BYTES)
        except zlib.error as error:
            raise self._corrupt("a gzip member is damaged (%s)" % error) from None
        return piece

    def _corrupt(self, message: str) -> Fault:
        return Fault("SRC_CORRUPT", message, offset=self.taken)
