"""Names as bytes, and how they are written on the wire."""

from __future__ import annotations

import base64
import re
from typing import Dict

LEASE_NAME = b".mig-lease"
"""The record of the lease on a destination, in its root."""
_TEMPORARY = re.compile(rb"\.mig-[0-9a-f]{8}-[0-9]+\.part\Z")


def path_fields(name: bytes) -> Dict[str, str]:
    """``path`` for people, with ``path_b64`` (exact) where the name is not UTF-8."""
    return text_fields("path", name)


def text_fields(field: str, value: bytes) -> Dict[str, str]:
    """``field``, with ``field_b64`` where ``value`` is not UTF-8."""
    try:
        return {field: value.decode("utf-8")}
    except UnicodeDecodeError:
        exact = base64.b64encode(value).decode("ascii")
        return {field: value.decode("utf-8", "replace"), field + "_b64": exact}


def is_utf8(name: bytes) -> bool:
    """Whether ``name`` can be written exactly as JSON text."""
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def temporary(job8: str, number: int) -> bytes:
    """The name of a temporary file of the jobs whose names begin with ``job8``."""
    return b".mig-%s-%d.part" % (job8.encode("ascii"), number)


def is_temporary(name: bytes) -> bool:
    """Whether ``name`` has the form kept for temporary files."""
    return _TEMPORARY.match(name) is not None


def is_kept(name: bytes) -> bool:
    """Whether ``name`` is the engine's own: neither copied nor deleted as an item."""
    return name == LEASE_NAME or is_temporary(name)


def owner_of(name: bytes) -> str:
    """The ``job8`` in the name of a temporary file."""
    return name[5:13].decode("ascii")


def join(parent: bytes, name: bytes) -> bytes:
    """``parent/name``; ``name`` alone at the top."""
    return parent + b"/" + name if parent else name
