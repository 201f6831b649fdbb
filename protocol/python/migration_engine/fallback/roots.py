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
    if job.key is None:
        return
    # The filesystem's own number: that of its device may be another one after a restart.
    now = "%d:%d" % (os.fstatvfs(fd).f_fsid, os.fstat(fd).st_ino)
    if job.session.state.first_root(job.key, side, now) != now:
        message = "the %s is not the directory that this key began with" % side
        raise Fault("RESUME_REFUSED", message)
