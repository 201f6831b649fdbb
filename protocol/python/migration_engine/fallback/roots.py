"""Whether a keyed command still goes between the directories that it began with."""

from __future__ import annotations

import os

from .faults import Fault
from .job import Job


def hold_to(job: Job, side: str, fd: int) -> None:
    """``RESUME_REFUSED`` where the open directory is not the one of the key's first attempt.

    What is on record means nothing for another directory that took its name, such as the mount
    point of a volume that is not mounted now.
    """
    # The filesystem's own number: that of its device may be another one after a restart.
    if job.key is not None:
        hold_to_identity(job, side, "%d:%d" % (os.fstatvfs(fd).f_fsid, os.fstat(fd).st_ino))


def hold_to_identity(job: Job, side: str, now: str) -> None:
    """``RESUME_REFUSED`` where the key began with a side of another identity."""
    if job.key is None:
        return
    if job.session.state.first_root(job.key, side, now) != now:
        message = "the %s is not the directory that this key began with" % side
        raise Fault("RESUME_REFUSED", message)
