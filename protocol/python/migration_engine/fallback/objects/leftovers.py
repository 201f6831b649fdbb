"""Uploads in parts that dead jobs left in their stores."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, List, NamedTuple, Optional

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


class Abandoned(NamedTuple):
    """How many uploads were given up, the keys of those that stay, and whether one may yet come."""

    ended: int
    left: List[bytes]
    waits: bool


def abandon_uploads(job: "Job", name: str, dry_run: bool) -> Abandoned:
    """Gives up the uploads of the dead job ``name``."""
    state = job.session.state
    ended, left, waits = 0, [], False
    # Those of a name first: what was about to begin may be one of them.
    for begun in sorted(state.uploads(name), key=lambda begun: since_of(begun.name) or 0):
        job.step()
        since = since_of(begun.name)
        given_up = _abandon(job, name, begun, dry_run)
        if given_up is None:
            left.append(begun.key.encode("utf-8"))
            continue
        ended += given_up
        if given_up == 0 and since is not None and time.time_ns() < since + _BEGINNING_NS:
            # A store goes on with the requests of the dead.
            waits = True
        elif not dry_run:
            state.drop_upload(name, begun)
    return Abandoned(ended, left, waits)


def _abandon(job: "Job", name: str, begun: Begun, dry_run: bool) -> Optional[int]:
    """How many uploads a record means, given up; ``None`` where that cannot be done."""
    since = since_of(begun.name)
    if dry_run and since is None:
        return 1
    others = [other for other in job.session.state.uploads_of(begun.key) if other[0] != name]
    living = [other for other in others if job.session.state.alive(other[0][:8])]
    if since is not None and any(since_of(told) is not None for _, told in living):
        # Which of two that begin at once is whose cannot be told.
        return 0
    try:
        where = location(begun.location, "dst")
        if not isinstance(where, Location):
            return None
        bucket = Bucket(job, where, quiet=True)
    except Fault:
        return None
    try:
        meant = [begun.name]
        if since is not None:
            told = {told for _, told in others}
            meant = [n for n in _begun_since(bucket, begun.key, since) if n not in told]
        if not dry_run:
            for upload in meant:
                bucket.abandon(begun.key, upload)
    except Failure:
        return None
    finally:
        bucket.close()
    return len(meant)


def _begun_since(bucket: Bucket, key: str, since: int) -> List[str]:
    """The uploads of a key to which no part was sent, begun about then."""
    # A name is recorded before the first part; another client's that has none yet looks the same.
    until = since + _BEGINNING_NS + _CLOCK_SLACK_NS
    within = [
        name for name, began in bucket.uploads(key) if since - _CLOCK_SLACK_NS <= began <= until
    ]
    return [name for name in within if bucket.parts(key, name) == {}]
