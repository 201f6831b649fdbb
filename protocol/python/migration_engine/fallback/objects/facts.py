"""What a file has beside its content, as user metadata of an object, and back."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from typing import Container, Dict, Mapping

from ..metadata import Attributes, usual_mode

_TIME = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]{1,9}))?\Z")
_NUMBER = re.compile(r"[0-9]{1,10}\Z")
_OCTAL = re.compile(r"[0-7]{1,7}\Z")
_NANOS = 10**9
OWN = ("mig-write", "mtime", "mode", "uid", "gid")
"""Names of metadata that are the engine's own."""
_USER = "user."
_METADATA_BYTES_MAX = 2 << 10
"""What every store holds: Amazon S3 takes 2 KiB of names and values."""
_NAME = re.compile(r"[a-z0-9-]+\Z")
_VALUE = re.compile(rb"(?:[!-~](?:[ -~]*[!-~])?)?\Z")


def told_of(status: os.stat_result, preserve: Container[str]) -> Dict[str, str]:
    """The metadata of an object that is made of a file."""
    told: Dict[str, str] = {}
    if "times" in preserve:
        told["mtime"] = time_text(status.st_mtime_ns)
    if "mode" in preserve or "setuid" in preserve:
        kept = 0o7777 if "setuid" in preserve else 0o777
        told["mode"] = "%o" % (stat.S_IFREG | status.st_mode & kept)
    if "owner" in preserve:
        told["uid"], told["gid"] = str(status.st_uid), str(status.st_gid)
    return told


def named_of(
    named: Mapping[str, bytes], told: Dict[str, str], reserved: Container[str]
) -> "tuple[Dict[str, str], bool]":
    """Extended attributes as metadata beside ``told``, and whether some cannot be held."""
    kept: Dict[str, str] = {}
    room = _METADATA_BYTES_MAX - sum(len(k) + len(v) for k, v in told.items())
    left = False
    for name, value in sorted(named.items()):
        if name.startswith("system."):
            continue
        short = name[len(_USER) :] if name.startswith(_USER) else ""
        room -= len(short) + len(value)
        fits = _NAME.match(short) and _VALUE.match(value) and short not in reserved and room >= 0
        if fits:
            kept[short] = value.decode("ascii")
        else:
            left, room = True, room + len(short) + len(value)
    return kept, left


def attributes_of(status: os.stat_result, metadata: Mapping[str, str]) -> Attributes:
    """What an object stands for: its metadata beside our own are extended attributes."""
    named = {_USER + k: v.encode("utf-8") for k, v in metadata.items() if k not in OWN}
    return Attributes(status, named)


def time_text(nanos: int) -> str:
    """Seconds since 1970, with as many digits of their fraction as it has."""
    sign = "-" if nanos < 0 else ""
    seconds, fraction = divmod(abs(nanos), _NANOS)
    text = "%s%d.%09d" % (sign, seconds, fraction)
    return text.rstrip("0").rstrip(".")


def time_ns(text: str) -> "int | None":
    """Back from :func:`time_text`; ``None`` for anything else."""
    found = _TIME.match(text)
    if found is None:
        return None
    sign, seconds, fraction = found.groups()
    nanos = int(seconds) * _NANOS + int(((fraction or "") + "0" * 9)[:9])
    return -nanos if sign else nanos


def status_of(
    size: int, version: str, modified_ns: int, metadata: Mapping[str, str]
) -> os.stat_result:
    """The status of the file that an object is; what it does not tell is as for any new file."""
    told = time_ns(metadata.get("mtime", ""))
    mtime = modified_ns if told is None else told
    mode = metadata.get("mode", "")
    bits = int(mode, 8) & 0o7777 if _OCTAL.match(mode) else 0o644
    uid, gid = metadata.get("uid", ""), metadata.get("gid", "")
    owner = int(uid) if _NUMBER.match(uid) else os.geteuid()
    group = int(gid) if _NUMBER.match(gid) else os.getegid()
    return _made(stat.S_IFREG | bits, _number(version), owner, group, size, mtime, modified_ns)


def directory_status() -> os.stat_result:
    """The status of a directory that keys only imply."""
    mode = stat.S_IFDIR | usual_mode(0o777)
    return _made(mode, 0, os.geteuid(), os.getegid(), 0, 0, 0)


def _made(
    mode: int, inode: int, uid: int, gid: int, size: int, mtime: int, ctime: int
) -> os.stat_result:
    seconds = mtime // _NANOS
    plain = (mode, inode, 0, 1, uid, gid, size, seconds, seconds, ctime // _NANOS)
    exact = {
        "st_atime": mtime / _NANOS,
        "st_mtime": mtime / _NANOS,
        "st_ctime": ctime / _NANOS,
        "st_atime_ns": mtime,
        "st_mtime_ns": mtime,
        "st_ctime_ns": ctime,
        "st_blocks": -(-size // 512),
    }
    return os.stat_result(plain, exact)


def _number(version: str) -> int:
    """Which state of an object this is, where a file has its inode."""
    digest = hashlib.sha256(version.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:7], "big")
