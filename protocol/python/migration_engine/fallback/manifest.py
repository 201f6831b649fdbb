"""Manifests: lists of items with their digests, in JSON Lines or in coreutils' form."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from .compare import Item
from .digest import RANGE_BYTES, algorithm_of, range_algorithm
from .faults import Fault, destination_fault, source_fault
from .local import make_directories
from .names import text_fields
from .publish import Staged, create_file, publish
from .state import Content

if TYPE_CHECKING:
    from .job import Job

_LINE = re.compile(rb"(\\?)([0-9a-fA-F]+) [ *](.+)\Z", re.DOTALL)
_ESCAPES = {b"\\": b"\\\\", b"\n": b"\\n", b"\r": b"\\r"}
_UNESCAPES = {escaped: plain for plain, escaped in _ESCAPES.items()}
_LINE_BYTES_MAX = 64 << 20
"""Room for the ranges of a file of many TiB."""


class Listed(NamedTuple):
    """One entry of a manifest that is compared with."""

    path: bytes
    kind: str
    digests: Dict[str, str]
    size: Optional[int]
    link: Optional[bytes]


Identity = Optional[Tuple[int, int]]


def _identity(path: bytes) -> Identity:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def refuse_as_manifest(manifest: bytes, source: bytes) -> None:
    """Refuses a manifest that would replace the very file that it is about."""
    own = _identity(manifest)
    if own is not None and own == _identity(source):
        message = "the manifest would replace the file it is about"
        raise Fault("OVERLAP", message, field="manifest")


def refuse_manifest_inside(manifest: bytes, sides: Sequence[bytes]) -> None:
    """Refuses a manifest in the source or in the copy, where it would be one of their items."""
    inner = os.path.realpath(manifest)
    for side in sides:
        outer = os.path.realpath(side)
        if os.path.exists(side) and (inner + b"/").startswith(outer.rstrip(b"/") + b"/"):
            message = "the manifest lies in the source or in the copy"
            raise Fault("OVERLAP", message, field="manifest")


class ManifestWriter:
    """Writes a manifest under a temporary name; :meth:`publish` gives it its own."""

    def __init__(self, job: "Job", path: bytes) -> None:
        self.path = path
        self._json = path.endswith(b".jsonl")
        self._lines: List[Tuple[bytes, bytes]] = []
        self._own = [_identity(path)]
        self._staged = _create_beside(job, path)
        if self._staged.fd is not None:
            status = os.fstat(self._staged.fd)
            self._own.append((status.st_dev, status.st_ino))

    def is_one(self, status: os.stat_result) -> bool:
        """Whether this is the manifest being written, or the older one that it replaces."""
        return (status.st_dev, status.st_ino) in self._own

    def file(self, path: bytes, status: os.stat_result, size: int, digests: Dict[str, str]) -> None:
        """Lists a file that was digested."""
        if not self._json:
            self._lines.append((path, next(iter(digests.values())).encode("ascii")))
            return
        self._write(json_line(_file_entry(path, status, Content(size, digests, []))))

    def add(self, item: Item, content: Content) -> None:
        """Lists an item that was copied; coreutils' form has files only."""
        path, status = item.source.path, item.status
        if item.kind == "file":
            self._write(json_line(_file_entry(path, status, content)))
            return
        entry: Dict[str, Any] = dict(text_fields("path", path))
        entry.update(kind=item.kind, mtime_ns=str(status.st_mtime_ns))
        if item.text is not None:
            entry.update(text_fields("link", item.text))
        else:
            entry["mode"] = status.st_mode & 0o7777
        self._write(json_line(entry))

    def publish(self) -> None:
        """Gives the manifest its name, replacing an older one."""
        for path, digest in sorted(self._lines):
            self._write(plain_line(path, digest))
        staged = self._staged
        staged.replace = True
        try:
            if staged.fd is not None:
                os.fsync(staged.fd)
            publish(staged)
            os.fsync(staged.directory.fd)
        except OSError as error:
            staged.discard()
            raise destination_fault(error, "publish the manifest", self.path) from error
        staged.close()

    def discard(self) -> None:
        """Drops the manifest."""
        self._staged.discard()

    def _write(self, line: bytes) -> None:
        try:
            _write_all(self._staged.fd, line)
        except OSError as error:
            raise destination_fault(error, "write the manifest", self.path) from error


def _file_entry(path: bytes, status: os.stat_result, content: Content) -> Dict[str, Any]:
    entry: Dict[str, Any] = dict(text_fields("path", path))
    entry.update(kind="file", bytes=content.size, mtime_ns=str(status.st_mtime_ns))
    entry.update(mode=status.st_mode & 0o7777, digests=content.digests)
    if content.stored is not None:
        entry["stored_bytes"] = content.stored
    if content.ranges:
        algorithm = range_algorithm(next(iter(content.digests), None))
        chunks = {"bytes": RANGE_BYTES, "algorithm": algorithm, "digests": content.ranges}
        entry["chunks"] = chunks
    return entry


def _create_beside(job: "Job", path: bytes) -> Staged:
    head, slash, name = path.rpartition(b"/")
    directory, touched = make_directories(head or slash or b".")
    try:
        for parent in touched:
            os.fsync(parent.fd)
        return create_file(job, directory, name, path)
    except OSError as error:
        raise destination_fault(error, "write the manifest", path) from error
    finally:
        directory.drop()
        for parent in touched:
            parent.drop()


def _write_all(fd: Optional[int], data: bytes) -> None:
    view = memoryview(data)
    while view and fd is not None:
        view = view[os.write(fd, view) :]


def json_line(entry: Dict[str, Any]) -> bytes:
    """One line of the JSON form."""
    text = json.dumps(entry, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8") + b"\n"


def plain_line(path: bytes, digest: bytes) -> bytes:
    """One line of coreutils' form."""
    escaped = re.sub(rb"[\\\n\r]", lambda found: _ESCAPES[found.group()], path)
    mark = b"\\" if escaped != path else b""
    return mark + digest + b"  " + escaped + b"\n"


def read_manifest(path: bytes) -> Iterator[Listed]:
    """The entries of the manifest ``path``; ``MANIFEST_INVALID`` at a line of no known form."""
    try:
        with open(path, "rb") as file:
            yield from _entries(file, path)
    except OSError as error:
        raise source_fault(error, "read the manifest", path) from error


def _entries(file: Any, path: bytes) -> Iterator[Listed]:
    number = 0
    while True:
        line: bytes = file.readline(_LINE_BYTES_MAX)
        if not line:
            return
        number += 1
        text = line[:-1] if line.endswith(b"\n") else line
        if not text:
            continue
        try:
            yield _json_entry(text) if text.startswith(b"{") else _plain_entry(text)
        except (ValueError, KeyError, TypeError, binascii.Error):
            message = "line %d of the manifest is no entry of a known form" % number
            raise Fault("MANIFEST_INVALID", message, path=path, detail={"line": number}) from None


def _json_entry(text: bytes) -> Listed:
    entry = json.loads(text.decode("utf-8"))
    name = _exact(entry, "path")
    kind = entry["kind"]
    if kind == "symlink":
        return Listed(name, kind, {}, None, _exact(entry, "link"))
    if kind == "special":
        return Listed(name, kind, {}, None, None)
    digests = entry["digests"]
    if not isinstance(digests, dict) or not digests:
        raise ValueError("an entry without digests")
    values = {str(k): str(v) for k, v in digests.items()}
    return Listed(name, "file", values, int(entry["bytes"]), None)


def _exact(entry: Dict[str, Any], field: str) -> bytes:
    exact = entry.get(field + "_b64")
    if exact is not None:
        return base64.b64decode(exact, validate=True)
    text: str = entry[field]
    return text.encode("utf-8")


def _plain_entry(text: bytes) -> Listed:
    found = _LINE.match(text)
    if found is None:
        raise ValueError("no entry")
    mark, digest, name = found.groups()
    algorithm = algorithm_of(len(digest))
    if algorithm is None:
        raise ValueError("no digest of a known length")
    if mark:
        name = re.sub(rb"\\[\\nr]", lambda part: _UNESCAPES[part.group()], name)
    return Listed(name, "file", {algorithm: digest.decode("ascii").lower()}, None, None)
