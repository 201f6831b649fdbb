"""Whether a keyed command still meets the places that it was first run on."""

from __future__ import annotations

import os
from typing import Optional

from .faults import Fault
from .job import Job


def refuse_other_roots(job: Job, src: bytes, dst: bytes, tree: bool) -> None:
    """``RESUME_REFUSED`` where the source or the destination is not the one of the first attempt.

    The root of one item by itself is the directory that holds it. A destination that was not
    there at first is the command's own making.
    """
    if job.key is None:
        return
    for side, path in (("src", src), ("dst", dst)):
        root = path if tree else os.path.dirname(path.rstrip(b"/")) or b"."
        now = _identity(root)
        first = job.session.state.first_root(job.key, side, now)
        if first is not None and first != now:
            word = "source" if side == "src" else "destination"
            message = "the %s is not the directory of the key's first attempt" % word
            raise Fault("RESUME_REFUSED", message, field=side)


def _identity(path: bytes) -> Optional[str]:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return "%d:%d" % (status.st_dev, status.st_ino)
