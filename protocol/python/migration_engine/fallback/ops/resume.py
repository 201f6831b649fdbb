"""``resume`` where nothing is stored to go on with; what is stored runs as its own op."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from ..faults import Fault
from ..fields import Field
from ..job import Job, Outcome

FIELDS: Dict[str, Field] = {}


def run(job: Job, params: Mapping[str, Any]) -> Outcome:
    """Answers ``UNKNOWN_JOB``."""
    raise Fault("UNKNOWN_JOB", "nothing is stored to go on with")
