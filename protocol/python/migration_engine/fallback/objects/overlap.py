"""Whether a copy would go into its own source."""

from __future__ import annotations

from ..faults import Fault
from ..origin import Origin
from .stores import BucketStore


def refuse_far_overlap(origin: Origin, sink: BucketStore, tree: bool) -> None:
    """``OVERLAP`` where both are one object, or one prefix lies inside the other."""
    source = getattr(origin, "store", None)
    if not isinstance(source, BucketStore) or source.bucket.identity != sink.bucket.identity:
        return
    roots = (source.bucket.root, sink.bucket.root)
    if not tree:
        if roots[0] == roots[1]:
            raise Fault("OVERLAP", "source and destination are the same object", field="dst")
        return
    inner, outer = (root + "/" if root else "" for root in roots)
    if inner.startswith(outer) or outer.startswith(inner):
        message = "one of source and destination lies inside the other"
        raise Fault("OVERLAP", message, field="dst")
