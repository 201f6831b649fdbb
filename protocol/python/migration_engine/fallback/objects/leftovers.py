"""Uploads in parts that dead jobs left in their stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, List

from ..faults import Fault
from ..location import Location, location
from ..remote.bucket import Bucket
from ..remote.failures import Failure
from ..state import Begun

if TYPE_CHECKING:
    from ..job import Job


def abandon_uploads(job: "Job", name: str, dry_run: bool) -> "tuple[int, List[bytes]]":
    """Gives up the uploads of the dead job ``name``: how many, and the keys of those that stay."""
    state = job.session.state
    ended, left = 0, []
    for begun in state.uploads(name):
        job.step()
        if dry_run or _abandon(job, begun):
            ended += 1
            if not dry_run:
                state.drop_upload(name, begun)
        else:
            left.append(begun.key.encode("utf-8"))
    return ended, left


def _abandon(job: "Job", begun: Begun) -> bool:
    try:
        where = location(begun.location, "dst")
        if not isinstance(where, Location):
            return False
        bucket = Bucket(job, where, quiet=True)
    except Fault:
        return False
    try:
        bucket.abandon(begun.key, begun.name)
    except Failure:
        return False
    finally:
        bucket.close()
    return True
