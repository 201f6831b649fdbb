"""Small trees, described as data: made before a case, listed after it."""

import base64
import contextlib
import gzip
import hashlib
import io
import json
import os
import socket
import sqlite3
import stat
import tarfile
from pathlib import Path
from typing import Any, Dict, List

_SHOWN_BYTES = 60


def _name(entry: Dict[str, Any]) -> bytes:
    if "path_b64" in entry:
        return base64.b64decode(entry["path_b64"])
    return str(entry["path"]).encode()


def content(entry: Dict[str, Any]) -> bytes:
    """The bytes of a file, packed where the entry says so, and cut by so many at the end."""
    data = tar(entry["tar"]) if "tar" in entry else plain(entry)
    if entry.get("packed"):
        data = gzip.compress(data, mtime=0)
    return data[: len(data) - int(entry.get("cut", 0))]


def plain(entry: Dict[str, Any]) -> bytes:
    """Bytes as given, zeros, or of a size with a pattern that depends on the position."""
    if "zeros" in entry:
        return bytes(int(entry["zeros"]))
    if "b64" in entry:
        return base64.b64decode(entry["b64"])
    if "size" in entry:
        return pattern(int(entry["size"]))
    return str(entry.get("content", "")).encode()


def tar(members: List[Dict[str, Any]]) -> bytes:
    """An archive, as another tool writes it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for member in members:
            info = tarfile.TarInfo(str(member["path"]))
            info.mode = int(str(member.get("mode", "644")), 8)
            info.mtime = int(member.get("mtime", 1700000000))
            data = str(member.get("content", "")).encode()
            if "link" in member:
                info.type, info.linkname = tarfile.SYMTYPE, str(member["link"])
            elif "again" in member:
                info.type, info.linkname = tarfile.LNKTYPE, str(member["again"])
            elif str(member["path"]).endswith("/"):
                info.type = tarfile.DIRTYPE
            else:
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def pattern(size: int) -> bytes:
    blocks = (hashlib.sha256(str(at).encode()).digest() for at in range(size // 32 + 1))
    return b"".join(blocks)[:size]


def _times(text: str) -> int:
    whole, _, part = text.partition(".")
    return int(whole) * 10**9 + int(part.ljust(9, "0") or 0)


def make(root: Path, case: Dict[str, Any]) -> None:
    """Makes what ``case`` lists: dirs, files, databases, links, hard_links, fifos, sockets."""
    base = os.fsencode(root)
    made: List[Any] = []
    for kind in ("dirs", "files", "databases", "links", "hard_links", "fifos", "sockets"):
        for entry in case.get(kind, []):
            path = os.path.join(base, _name(entry))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            _make_one(kind, path, base, entry)
            made.append((path, entry))
    for path, entry in reversed(made):
        for name, value in entry.get("xattrs", {}).items():
            os.setxattr(path, name, str(value).encode())
        if "mode" in entry:
            os.chmod(path, int(entry["mode"], 8))
        if "mtime" in entry:
            when = _times(entry["mtime"])
            os.utime(path, ns=(when, when), follow_symlinks=False)


def _make_one(kind: str, path: bytes, base: bytes, entry: Dict[str, Any]) -> None:
    if kind == "dirs":
        os.makedirs(path, exist_ok=True)
    elif kind == "files":
        with open(path, "wb") as file:
            file.truncate(int(entry.get("length", 0)))
            file.seek(int(entry.get("offset", 0)))
            file.write(content(entry))
    elif kind == "databases":
        with contextlib.closing(sqlite3.connect(os.fsdecode(path))) as made:
            made.executescript(str(entry["sql"]))
    elif kind == "links":
        os.symlink(str(entry["target"]).encode(), path)
    elif kind == "hard_links":
        os.link(os.path.join(base, str(entry["target"]).encode()), path)
    elif kind == "fifos":
        os.mkfifo(path)
    else:
        here = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            # The names of sockets are short: it is bound from its own directory.
            os.chdir(os.path.dirname(path))
            with socket.socket(socket.AF_UNIX) as one:
                one.bind(os.path.basename(path))
        finally:
            os.fchdir(here)
            os.close(here)


def listing(root: Path, case: Dict[str, Any]) -> List[str]:
    """Everything below ``root`` but the state directory, one line each, sorted."""
    base = os.fsencode(root)
    lines: List[str] = []
    firsts: Dict[int, bytes] = {}
    for above, dirs, files in os.walk(base):
        dirs[:] = sorted(name for name in dirs if above != base or name != b"state")
        for name in [*dirs, *sorted(files)]:
            path = os.path.join(above, name)
            lines.append(_listed(path, path[len(base) + 1 :], case, firsts))
    return sorted(lines)


def _listed(path: bytes, name: bytes, case: Dict[str, Any], firsts: Dict[int, bytes]) -> str:
    status = os.lstat(path)
    shown = name.decode("utf-8", "backslashreplace").replace("\n", "\\n").replace("\r", "\\r")
    facts = _facts(path, name, status, case, firsts)
    if stat.S_ISDIR(status.st_mode):
        return shown + "/" + facts
    if stat.S_ISLNK(status.st_mode):
        return "%s -> %s" % (shown, os.readlink(path).decode("utf-8", "backslashreplace"))
    if not stat.S_ISREG(status.st_mode):
        return "%s (%s)%s" % (shown, "fifo" if stat.S_ISFIFO(status.st_mode) else "socket", facts)
    with open(path, "rb") as file:
        data = file.read()
    if data.startswith(b"SQLite format 3"):
        return "%s holds %s" % (shown, _dumped(path))
    if name.endswith(b".jsonl") and b'"kind"' not in data:
        return "%s = %s" % (shown, _told(data))
    if name.endswith(b".jsonl"):
        return "%s lists %s" % (shown, _entries(data))
    if name.endswith((b".tar", b".tar.gz")):
        try:
            return "%s holds %s" % (shown, _members(data))
        except tarfile.TarError:
            return "%s (damaged)" % shown
    if name.endswith(b".gz"):
        try:
            shown, data = shown + " unpacked", gzip.decompress(data)
        except (EOFError, OSError):
            return "%s (damaged)" % shown
    if len(data) <= _SHOWN_BYTES and data.isascii():
        return "%s = %s%s" % (shown, ascii(data.decode()), facts)
    digest = hashlib.sha256(data).hexdigest()[:16]
    return "%s = %d bytes, sha256 %s…%s" % (shown, len(data), digest, facts)


def _facts(
    path: bytes,
    name: bytes,
    status: os.stat_result,
    case: Dict[str, Any],
    firsts: Dict[int, bytes],
) -> str:
    """What ``meta``, ``names``, ``holes`` and ``xattrs`` of a case ask for."""
    facts = ""
    if case.get("meta"):
        nanos = status.st_mtime_ns
        facts += " [%04o %d.%09d]" % (
            stat.S_IMODE(status.st_mode), nanos // 10**9, nanos % 10**9,
        )  # fmt: skip
    is_file = stat.S_ISREG(status.st_mode)
    if case.get("names") and is_file and status.st_nlink > 1:
        first = firsts.setdefault(status.st_ino, name)
        facts += "" if first == name else " (the file %s)" % first.decode()
    if case.get("holes") and is_file and status.st_blocks * 512 < status.st_size:
        facts += " (with holes)"
    if case.get("xattrs") and not stat.S_ISLNK(status.st_mode):
        named = sorted(one for one in os.listxattr(path) if one.startswith("user."))
        facts += "".join(" %s=%s" % (one, os.getxattr(path, one).decode()) for one in named)
    return facts


def _dumped(path: bytes) -> str:
    """What is in a database, as statements, without what depends on the library's version."""
    with contextlib.closing(sqlite3.connect(os.fsdecode(path))) as base:
        lines = [line for line in base.iterdump() if not _of_the_library(line)]
    return " ".join(" ".join(lines).split())


def _of_the_library(line: str) -> bool:
    return "sqlite_stat" in line or line.startswith(("ANALYZE", 'DELETE FROM "sqlite_sequence"'))


def _told(data: bytes) -> str:
    """Lines of JSON, each with its names in one order; jobs are named anew in each run."""
    lines = [json.loads(line) for line in data.splitlines()]
    for line in lines:
        if str(line.get("job", "")).startswith("job-"):
            line["job"] = "$JOB"
    return ", ".join(json.dumps(line, sort_keys=True) for line in lines)


def _members(data: bytes) -> str:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        shown = []
        for member in archive:
            if member.isdir():
                shown.append(member.name + "/")
            elif member.issym() or member.islnk():
                shown.append("%s -> %s" % (member.name, member.linkname))
            else:
                file = archive.extractfile(member)
                assert file is not None
                shown.append("%s = %s" % (member.name, ascii(file.read().decode())))
        return ", ".join(sorted(shown))


def _entries(data: bytes) -> str:
    """The entries of a manifest, in one order, without what each backend does in its own way."""
    entries = [json.loads(line) for line in data.splitlines()]
    for entry in entries:
        entry.pop("stored_bytes", None)
        if entry["kind"] == "symlink":
            entry.pop("mtime_ns", None)
    entries.sort(key=lambda entry: str(entry["path"]))
    return json.dumps(entries, sort_keys=True)
