"""Paths to and from the wire, byte for byte."""

from __future__ import annotations

import base64
import os
from typing import Any, Dict, Mapping, Union

AnyPath = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]
Location = Union[AnyPath, Mapping[str, Any]]


def to_wire(path: Location) -> Union[str, Dict[str, Any]]:
    """A path as the wire takes it: text where it is UTF-8, otherwise its exact bytes.

    A mapping passes as it is; :func:`migration_engine.location` makes one.
    """
    if isinstance(path, Mapping):
        return dict(path)
    raw = os.fsencode(path)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(raw).decode("ascii")}


class WirePath(str):
    """A path that the engine named, as :mod:`os` functions take it; ``raw`` has its exact bytes.

    Bytes that are not UTF-8 are escaped as :func:`os.fsdecode` does; ``text`` shows them as
    U+FFFD, for people.
    """

    raw: bytes
    text: str

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> "WirePath":
        """From ``path`` and ``path_b64``."""
        text = str(fields.get("path", ""))
        exact = fields.get("path_b64")
        raw = text.encode("utf-8") if exact is None else base64.b64decode(exact)
        path = cls(os.fsdecode(raw))
        path.raw, path.text = raw, text
        return path

    def __reduce__(self) -> Any:
        exact = base64.b64encode(self.raw).decode("ascii")
        return (WirePath.read, ({"path": self.text, "path_b64": exact},))
