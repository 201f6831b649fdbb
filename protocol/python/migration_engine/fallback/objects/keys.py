"""How keys of a store stand for paths of items.

Plain keys are paths as they are. With ``escape``, what no name can hold is written as ``%XX``,
``%`` as ``%25``, and a part without any bytes as ``%`` alone: read back, the key is the same again.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from ..faults import Fault
from ..names import is_kept

NAME_BYTES_MAX = 255
KEY_BYTES_MAX = 1024
_BARE = re.compile("%(?![0-9A-Fa-f]{2})")


def refused(why: str) -> Fault:
    """``NAME_REFUSED``."""
    return Fault("NAME_REFUSED", why)


def path_of(key: str, escape: bool) -> bytes:
    """The path of the item that ``key`` is, below its root; ``NAME_REFUSED`` where it is none."""
    path = _escaped(key) if escape else key.encode("utf-8")
    for name in path.split(b"/"):
        if name in (b"", b".", b".."):
            raise refused("the key is no path of an item")
        if b"\0" in name:
            raise refused("the key holds a NUL")
        if len(name) > NAME_BYTES_MAX:
            raise refused("a part of the key is longer than a name can be")
    return path


def _escaped(key: str) -> bytes:
    return b"/".join(_escaped_part(part.encode("utf-8")) for part in key.split("/"))


def _escaped_part(part: bytes) -> bytes:
    if part in (b".", b".."):
        return part.replace(b".", b"%2E")
    return part.replace(b"%", b"%25").replace(b"\0", b"%00") or b"%"


def shown_of(key: str) -> bytes:
    """A key that is no path, for people: as it is."""
    return key.encode("utf-8")


def key_of(path: bytes, escape: bool) -> str:
    """The key of an item's path below its root; ``NAME_REFUSED`` where there is none."""
    if is_kept(path.rpartition(b"/")[2]):
        raise refused("the name is kept for temporary files and leases")
    try:
        key = path.decode("utf-8")
    except UnicodeDecodeError:
        raise refused("keys are UTF-8, and the name is not") from None
    return "/".join(map(_unescaped, key.split("/"))) if escape else key


def _unescaped(part: str) -> str:
    if part == "%":
        return ""
    if _BARE.search(part):
        raise refused("the name holds a % that no escape wrote")
    try:
        return unquote_to_bytes(part).decode("utf-8")
    except UnicodeDecodeError:
        raise refused("the name holds a % that no escape wrote") from None


def joined(root: str, key: str) -> str:
    """The key ``key`` below ``root``; ``NAME_REFUSED`` where the store cannot hold it."""
    whole = root + "/" + key if root and key else root or key
    if len(whole.encode("utf-8")) > KEY_BYTES_MAX:
        raise refused("the key is longer than %d bytes" % KEY_BYTES_MAX)
    return whole
