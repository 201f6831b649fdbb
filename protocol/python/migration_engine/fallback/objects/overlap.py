"""Whether a copy would go into its own source."""

from __future__ import annotations

from ..faults import Fault
from ..origin import Origin
from .stores import BucketStore


def refuse_far_overlap(origin: Origin, sink: BucketStore, shown: bytes) -> None:
    """``OVERLAP`` where one of both lies inside the other; ``shown`` is the destination."""
    source = getattr(origin, "store", None)
    if not isinstance(source, BucketStore) or source.bucket.identity != sink.bucket.identity:
        return
    roots = (source.bucket.root, sink.bucket.root)
    inner, outer = (root + "/" if root else "" for root in roots)
    if inner.startswith(outer) or outer.startswith(inner):
        message = "one of source and destination lies inside the other"
        raise Fault("OVERLAP", message, path=shown)
