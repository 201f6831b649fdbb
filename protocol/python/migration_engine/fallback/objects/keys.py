"""How keys of a store stand for paths of items.

Plain keys are paths as they are. With ``escape``, what no path can hold is written as ``%XX``, and
``%`` as ``%25``: read back, the key is the same again.
"""

from __future__ import annotations

import re

from ..faults import Fault
from ..names import is_kept

NAME_BYTES_MAX = 255
KEY_BYTES_MAX = 1024
_ESCAPE = re.compile(rb"%([0-9A-F]{2})")
_BARE = re.compile(rb"%(?![0-9A-F]{2})")


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
    """Every part between two slashes a name; slashes that would leave one empty are escaped."""
    path = b""
    begun = b""
    for index, part in enumerate(key.split("/")):
        name = part.encode("utf-8").replace(b"%", b"%25").replace(b"\0", b"%00")
        if name in (b".", b".."):
            name = name.replace(b".", b"%2E")
        if index and (not begun or not name):
            begun += b"%2F" + name
        else:
            path += begun + b"/" if index else b""
            begun = name
    return path + begun


def shown_of(key: str) -> bytes:
    """A key that is no path, for people: as it is."""
    return key.encode("utf-8")


def key_of(path: bytes, escape: bool) -> str:
    """The key of an item's path below its root; ``NAME_REFUSED`` where there is none."""
    if is_kept(path.rpartition(b"/")[2]):
        raise refused("the name is kept for temporary files and leases")
    exact = _unescaped(path) if escape else path
    try:
        key = exact.decode("utf-8")
    except UnicodeDecodeError:
        raise refused("keys are UTF-8, and the name is not") from None
    if escape and _escaped(key) != path:
        raise refused("the name is not the escaped form of a key")
    return key


def _unescaped(path: bytes) -> bytes:
    if _BARE.search(path):
        raise refused("the name is not the escaped form of a key")
    return _ESCAPE.sub(lambda found: bytes([int(found.group(1), 16)]), path)


def joined(root: str, key: str) -> str:
    """The key ``key`` below ``root``; ``NAME_REFUSED`` where the store cannot hold it."""
    whole = root + "/" + key if root and key else root or key
    if len(whole.encode("utf-8")) > KEY_BYTES_MAX:
        raise refused("the key is longer than %d bytes" % KEY_BYTES_MAX)
    return whole
