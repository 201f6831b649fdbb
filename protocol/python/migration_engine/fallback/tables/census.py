"""The fidelity census: what the source holds that the target cannot, before anything is written."""

from __future__ import annotations

from typing import FrozenSet, List, NamedTuple, Sequence, Tuple

from ..faults import Fault
from ..job import Job
from .cells import Cell
from .choices import POLICIES, Choices
from .instant import Finding, Instant
from .mapping import TablePlan


class Loss(NamedTuple):
    """A loss that was found: in which table, what, and what becomes of it."""

    table: str
    finding: Finding
    policy: str


def take(job: Job, instant: Instant, plans: Sequence[TablePlan], choices: Choices) -> List[Loss]:
    """Asks the source about every table."""
    losses: List[Loss] = []
    for plan in plans:
        job.step()
        if not plan.questions:
            continue
        for finding in instant.census(plan.source, plan.filter, plan.questions):
            if finding.rows:
                policy = choices.policy(finding.question.loss)
                losses.append(Loss(plan.source.name, finding, policy))
    return losses


def as_text(losses: Sequence[Loss]) -> FrozenSet[Tuple[str, str]]:
    """Columns that are to travel as text, for another plan."""
    texts = (loss for loss in losses if loss.policy == "text")
    return frozenset((loss.table, loss.finding.question.column) for loss in texts)


def with_misfits(losses: Sequence[Loss], plans: Sequence[TablePlan]) -> List[TablePlan]:
    """The plans, their readers told what to do with the values that were found."""
    return [
        plan._replace(read=tuple(_told(losses, plan.source.name, cell) for cell in plan.read))
        for plan in plans
    ]


def _told(losses: Sequence[Loss], table: str, cell: Cell) -> Cell:
    misfit = cell.misfit
    for loss in losses:
        if loss.policy != "text" and (loss.table, loss.finding.question.column) == (
            table,
            cell.name,
        ):
            misfit = max(misfit, loss.policy, key=POLICIES.index)
    return cell._replace(misfit=misfit)


def check(losses: Sequence[Loss]) -> None:
    """``CENSUS_LOSS`` where a loss has no policy but to fail."""
    failing = [loss for loss in losses if loss.policy == "fail"]
    if not failing:
        return
    table, finding, _ = failing[0]
    loss, column = finding.question.loss, finding.question.column
    message = "%d rows hold values that the target cannot hold: %s" % (finding.rows, loss)
    if len(failing) > 1:
        message += "; %d more kinds of loss" % (len(failing) - 1)
    hint = (
        'plan lists all of them; choose with "policy":{"%s":"null"} (or clamp, text, reject), '
        "or mend the rows with the keys %s" % (loss, "; ".join(finding.samples))
    )
    raise Fault("CENSUS_LOSS", message, path=table.encode("utf-8"), field=column, hint=hint)
