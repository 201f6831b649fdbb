"""Which state of something elsewhere is spoken of."""

from __future__ import annotations

from typing import Mapping, NamedTuple, Optional


class Seen(NamedTuple):
    """A state of something elsewhere.

    ``version`` is empty where the service tells none that it can be held to.
    """

    size: Optional[int]
    version: str
    modified_ns: int
    metadata: Mapping[str, str]
    checksums: Mapping[str, str]
