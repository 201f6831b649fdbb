"""The one place where requests are repeated."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Callable, TypeVar

from .failures import Failure

if TYPE_CHECKING:
    from ..job import Job

T = TypeVar("T")

ATTEMPTS = 10
_ATTEMPTS_GARBLED = 3
"""What cannot be understood seldom mends itself."""
_WAIT_LEAST_S, _WAIT_MOST_S = 0.1, 20.0
_ASKED_MOST_S = 120.0
"""A service that asks for more patience is asked again all the same."""


def persist(job: "Job", once: Callable[[], T]) -> T:
    """What ``once`` answers, asked again while its failures pass; the last failure.

    Waits are drawn between the least one and three times the one before, so that many who failed
    together do not come back together.
    """
    wait = _WAIT_LEAST_S
    for attempt in range(1, ATTEMPTS + 1):
        job.step()
        try:
            return once()
        except Failure as failure:
            # A cancel closes connections; that is no failure of the service.
            job.step()
            most = _ATTEMPTS_GARBLED if failure.class_ == "garbled" else ATTEMPTS
            if not failure.passes or attempt >= most:
                raise
            wait = min(random.uniform(_WAIT_LEAST_S, wait * 3), _WAIT_MOST_S)
            asked = min(failure.retry_after or 0.0, _ASKED_MOST_S)
        job.repeats()
        with job.timed("network_ms"):
            job.sleep(max(wait, asked))
    raise AssertionError("the last attempt answers or raises")


def briefly(once: Callable[[], T]) -> T:
    """What ``once`` answers, asked three times at most: for what is tidied up after a job."""
    for _ in range(2):
        try:
            return once()
        except Failure as failure:
            if not failure.passes:
                raise
    return once()
