"""Uploads in parts that dead jobs left in their stores."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, List, Optional

from ..faults import Fault
from ..location import Location, location
from ..remote.bucket import Bucket
from ..remote.failures import Failure
from ..state import Begun

if TYPE_CHECKING:
    from ..job import Job


# What stands for the name of an upload that was about to begin, with the time after it.
_ABOUT = "about to begin "
# How far a store's clock may be from this machine's (Amazon S3 refuses what is signed further off),
# and how long an upload may take to begin, nanoseconds.
_CLOCK_SLACK_NS = 15 * 60 * 10**9
_BEGINNING_NS = 3 * 60 * 10**9


def about_to_begin() -> str:
    """What is recorded before an upload has a name: a kill may come before that is known."""
    return _ABOUT + str(time.time_ns())


def since_of(name: str) -> Optional[int]:
    """When an upload was about to begin; ``None`` for the name of one."""
    return int(name[len(_ABOUT) :]) if name.startswith(_ABOUT) else None


def abandon_uploads(job: "Job", name: str, dry_run: bool) -> "tuple[int, List[bytes]]":
    """Gives up the uploads of the dead job ``name``: how many, and the keys of those that stay."""
    state = job.session.state
    ended, left = 0, []
    # Those of a name first: what was about to begin may be one of them.
    for begun in sorted(state.uploads(name), key=lambda begun: since_of(begun.name) or 0):
        job.step()
        given_up = _abandon(job, begun, dry_run)
        if given_up is None:
            left.append(begun.key.encode("utf-8"))
            continue
        ended += given_up
        if not dry_run:
            state.drop_upload(name, begun)
    return ended, left


def _abandon(job: "Job", begun: Begun, dry_run: bool) -> Optional[int]:
    """How many uploads a record means, given up; ``None`` where that cannot be done."""
    since = since_of(begun.name)
    if dry_run and since is None:
        return 1
    try:
        where = location(begun.location, "dst")
        if not isinstance(where, Location):
            return None
        bucket = Bucket(job, where, quiet=True)
    except Fault:
        return None
    try:
        meant = [begun.name] if since is None else _begun_since(bucket, begun.key, since)
        if not dry_run:
            for name in meant:
                bucket.abandon(begun.key, name)
    except Failure:
        return None
    finally:
        bucket.close()
    return len(meant)


def _begun_since(bucket: Bucket, key: str, since: int) -> List[str]:
    """The uploads of a key to which no part was sent, begun about then."""
    # A name is recorded before the first part.
    until = since + _BEGINNING_NS + _CLOCK_SLACK_NS
    within = [
        name for name, began in bucket.uploads(key) if since - _CLOCK_SLACK_NS <= began <= until
    ]
    return [name for name in within if bucket.parts(key, name) == {}]
