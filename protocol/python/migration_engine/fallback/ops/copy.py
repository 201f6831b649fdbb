"""``copy``: a file, a link or a tree to another place."""

from __future__ import annotations

import os
import stat
from typing import Any, Dict, Mapping, Optional

from .. import fields as f
from ..coding import LEVEL_DEFAULT, gzip_level, not_here
from ..copier import Copier
from ..faults import Fault
from ..fields import Field
from ..job import Job, Outcome
from ..lease import lock_of
from ..local import status_of_source
from ..location import Location, Where, local_path, location, sink
from ..origin import Origin, open_origin
from ..timetable import LIMITS

ON_EXISTS = ("fail", "skip", "update", "replace")
CHECKSUMS = ("crc64nvme", "crc32c", "sha256", "md5", "none")
PRESERVE_DEFAULT = ("mode", "times", "holes", "hard_links", "xattrs", "acls")
_PRESERVE = (*PRESERVE_DEFAULT, "owner", "setuid", "specials")
_FORMATS = ("gzip", "zstd", "lz4", "brotli")
_CAP: Dict[str, Field] = {
    "count": Field(f.optional(f.integer())),
    "percent": Field(f.optional(f.integer(0, 100))),
}


def _compress(value: Any, field: str) -> Optional[int]:
    """The level of gzip; other forms are ``UNSUPPORTED`` here."""
    if value is None:
        return None
    if not isinstance(value, dict):
        value = {"format": f.choice(*_FORMATS)(value, field)}
    names = {"format": Field(f.choice(*_FORMATS), required=True), "level": Field(f.integer())}
    asked = f.obj(names)(value, field)
    if asked["format"] != "gzip":
        raise not_here(asked["format"], field)
    if asked["level"] is None:
        return LEVEL_DEFAULT
    return gzip_level(asked["level"], field + ".level")


FIELDS: Dict[str, Field] = {
    "src": Field(location, required=True),
    "dst": Field(sink, required=True),
    "include": f.GLOBS,
    "exclude": f.GLOBS,
    "on_exists": Field(f.choice(*ON_EXISTS), default="fail"),
    "checksum": Field(f.digest_algorithm(*CHECKSUMS), default="crc64nvme"),
    "verify": Field(f.choice("stream", "readback", "none"), default="stream"),
    "preserve": Field(f.many(f.choice(*_PRESERVE)), default=PRESERVE_DEFAULT),
    "symlinks": Field(f.choice("preserve", "follow", "skip"), default="preserve"),
    "durability": Field(f.choice("power_loss", "crash"), default="power_loss"),
    "manifest": Field(local_path),
    "chunk_bytes": Field(f.size(64 << 10, 64 << 20), default=1 << 20),
    "parallel_files": Field(f.integer(1, 256)),
    "limits": LIMITS,
    "dry_run": Field(f.flag, default=False),
    "compare": Field(f.choice("time", "digest"), default="time"),
    "delete": Field(f.flag, default=False),
    "max_delete": Field(f.obj(_CAP), default={"count": None, "percent": 50}),
    "lock": Field(f.choice("none", "fail", "wait")),
    "lock_timeout": Field(f.millis()),
    "compress": Field(_compress),
    "decompress": Field(f.flag, default=False),
    "parallel_chunks": Field(f.integer(1, 64)),
}


def run(job: Job, params: Mapping[str, Any]) -> Outcome:
    """Copies; with ``dry_run`` only says what would be done."""
    if params["dry_run"]:
        from .plan import plan_copy

        return Outcome(data=plan_copy(job, params))
    looks = params["on_exists"] == "update" or params["manifest"] is not None
    origin = open_origin(job, params["src"], params["symlinks"], looks)
    try:
        return _copied(job, params, origin)
    finally:
        origin.close()


def _copied(job: Job, params: Mapping[str, Any], origin: Origin) -> Outcome:
    dst = target_of(params["dst"], origin.name)
    if isinstance(dst, Location):
        from ..objects.copier import ObjectCopier

        return ObjectCopier(job, params, origin, dst).run()
    if origin.local is not None:
        refuse_overlap(origin.local, dst, origin.status)
    return Copier(job, params, origin, dst).run()


def target_of(dst: Where, name: bytes) -> Where:
    """The copy itself: ``dst``, or the source's name in it where it ends in a slash."""
    into = dst.is_into if isinstance(dst, Location) else dst.endswith(b"/")
    if not into:
        return dst
    if not name:
        message = "the source has no name of its own to go by under dst"
        raise Fault("INVALID_FIELD", message, field="dst")
    return dst.child(name) if isinstance(dst, Location) else dst + name


def source_status(params: Mapping[str, Any]) -> os.stat_result:
    """The status of the source, through a link at its end where links are followed."""
    status = status_of_source(params["src"])
    if stat.S_ISLNK(status.st_mode) and params["symlinks"] == "follow":
        try:
            return os.stat(params["src"])
        except OSError as error:
            raise Fault("SRC_LINK", "the link could not be followed", cause=error).at(
                params["src"]
            ) from error
    return status


def refuse_overlap(src: bytes, dst: bytes, source: os.stat_result) -> None:
    """``OVERLAP`` where both are one file, or one directory lies inside the other."""
    try:
        there = os.lstat(dst)
        if (there.st_dev, there.st_ino) == (source.st_dev, source.st_ino):
            raise Fault("OVERLAP", "source and destination are the same file", path=dst)
    except OSError:
        pass
    if not stat.S_ISDIR(source.st_mode):
        return
    real_src, real_dst = os.path.realpath(src), os.path.realpath(dst)
    for outer, inner in ((real_src, real_dst), (real_dst, real_src)):
        if (inner + b"/").startswith(outer.rstrip(b"/") + b"/"):
            message = "one of source and destination lies inside the other"
            raise Fault("OVERLAP", message, path=dst)


def check(params: Mapping[str, Any]) -> None:
    """What fields ask for together."""
    if params["verify"] == "readback" and params["checksum"] == "none":
        message = "verify readback compares digests, and checksum is none"
        raise Fault("INVALID_FIELD", message, field="checksum")
    if params["compress"] is not None and params["decompress"]:
        message = "compress and decompress at once would do nothing"
        raise Fault("INVALID_FIELD", message, field="decompress")
    if params["lock_timeout"] is not None and lock_of(params) != "wait":
        raise Fault("INVALID_FIELD", "only lock wait has a time-out", field="lock_timeout")
    manifest = params["manifest"]
    if manifest is not None and not manifest.endswith(b".jsonl"):
        message = "the manifest of a copy is JSON Lines: let its name end in .jsonl"
        raise Fault("INVALID_FIELD", message, field="manifest")
