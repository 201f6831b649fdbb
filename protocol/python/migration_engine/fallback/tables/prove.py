"""Proves a copy by reading the target back."""

from __future__ import annotations

from typing import List, Sequence

from ..faults import Fault
from ..job import Job
from .choices import Choices
from .compare import Side, differences, tally
from .copy import Copied, Ends, reading
from .instant import Instant
from .mapping import TablePlan

_NAMED_MAX = 5


def prove(
    job: Job, choices: Choices, ends: Ends, plans: Sequence[TablePlan], copied: Sequence[Copied]
) -> List[str]:
    """How far each table is proven: ``readback`` or ``stream``."""
    if choices.verify == "stream" or choices.mode in ("append", "merge"):
        return ["stream"] * len(copied)
    job.phase = "verify"
    for plan, count in zip(plans, copied):
        with Instant(ends.place.reading()) as there:
            _one(job, choices, ends, there, plan, count)
    return ["readback"] * len(copied)


def _one(
    job: Job, choices: Choices, ends: Ends, there: Instant, plan: TablePlan, copied: Copied
) -> None:
    own = reading(choices, plan)
    read = own._replace(table=plan.target.name, cells=plan.write, filter="")
    other = Side(there, plan.target, read)
    found = tally(job, other, choices.span_rows)
    if (found.rows, found.digest) == (copied.tally.rows, copied.tally.digest):
        return
    message = "the target does not hold what was written: %d rows were written, %d are there"
    message %= (copied.tally.rows, found.rows)
    for one in differences(job, Side(ends.instant, plan.source, own), other)[:_NAMED_MAX]:
        message += "; %s %s %s" % (one.what, one.key, ", ".join(one.columns))
    raise Fault("VERIFY_MISMATCH", message, path=plan.target.name.encode("utf-8"))
