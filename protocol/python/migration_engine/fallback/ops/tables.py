"""``tables``: copies tables from one SQLite database to another, and says what was proven."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from ..faults import Fault
from ..fields import Field
from ..job import Job, Outcome
from ..location import database
from ..names import path_fields
from ..tables import catalog, census, choices, ledger, report
from ..tables.catalog import Catalog, fold
from ..tables.census import Loss
from ..tables.choices import Choices
from ..tables.copy import Copy, Ends, check_free
from ..tables.instant import Instant
from ..tables.mapping import Mapping as TableMapping
from ..tables.mapping import TablePlan
from ..tables.place import Place, Session, at_field
from ..tables.prove import prove
from ..tables.rejects import Rejects
from ..tables.span import Receipt
from ..timetable import LIMITS

FIELDS: Dict[str, Field] = {
    "src": Field(database, required=True),
    "dst": Field(database, required=True),
    **choices.FIELDS,
    "limits": LIMITS,
}


class Sides(NamedTuple):
    """Both sides, with one instant of the source."""

    src: Place
    dst: Place
    here: Catalog
    there: Catalog
    instant: Instant


class Ready(NamedTuple):
    """What will be done, with what would be lost."""

    plans: List[TablePlan]
    losses: List[Loss]


def run(job: Job, params: Mapping[str, Any]) -> Outcome:
    """Copies."""
    chosen = choices.read(params)
    settled = _settled(job, params)
    if settled is not None:
        return settled
    with _opened(job, params) as sides:
        ready = _prepare(job, sides, chosen)
        census.check(ready.losses)
        return _Tables(job, params, chosen, sides, ready).run()


def plan(job: Job, params: Mapping[str, Any]) -> Dict[str, Any]:
    """What would be done; nothing is written, and no file made."""
    chosen = choices.read(params)
    with _opened(job, params) as sides:
        ready = _prepare(job, sides, chosen)
        return report.plan(sides.here, ready.plans, ready.losses, chosen.mode)


def _ledger_name(job: Job, params: Mapping[str, Any]) -> str:
    """The job's name in the target's ledger: with a key the same in every attempt."""
    if job.key is None:
        return "job-" + job.name
    return ledger.job_name(job.key, params["src"].shown, params["dst"].shown)


def _settled(job: Job, params: Mapping[str, Any]) -> Optional[Outcome]:
    """What an earlier attempt ended with, where only its ledger may be left.

    Without the ledger, nothing in the target says any more that its rows are this job's.
    """
    noted = None if job.key is None else job.session.state.settled(job.key)
    if noted is None:
        return None
    answer = json.loads(noted)
    with at_field("dst"):
        dst = Place(job, params["dst"], writes=True)
    with dst.open(makes=True) as session:
        ledger.close_ledger(session, _ledger_name(job, params))
    return Outcome(data=answer["data"], verify=answer["verify"])


@contextlib.contextmanager
def _opened(job: Job, params: Mapping[str, Any]) -> Iterator[Sides]:
    job.phase = "survey"
    with at_field("src"):
        src = Place(job, params["src"], writes=False)
        here = catalog.of(src)
    with at_field("dst"):
        dst = Place(job, params["dst"], writes=True)
        there = catalog.of(dst)
    with Instant(src) as instant:
        yield Sides(src, dst, here, there, instant)


def _prepare(job: Job, sides: Sides, chosen: Choices) -> Ready:
    plans = TableMapping(sides.here, sides.there, chosen).plan()
    _refuse_overlap(plans, sides)
    for one in plans:
        if one.filter:
            with at_field("where"):
                sides.instant.check(one.source.name, one.filter)
    job.phase = "census"
    losses = census.take(job, sides.instant, plans, chosen)
    texts = census.as_text(losses)
    if texts:
        plans = TableMapping(sides.here, sides.there, chosen, texts).plan()
    return Ready(census.with_misfits(losses, plans), losses)


def _refuse_overlap(plans: Sequence[TablePlan], sides: Sides) -> None:
    """No table that is read may be one that is written."""
    if not sides.src.is_same(sides.dst):
        return
    written = {fold(one.target.name) for one in plans}
    for one in plans:
        if fold(one.source.name) in written:
            message = "the table is read, and would be written by the same command"
            raise Fault("OVERLAP", message, path=one.source.name.encode("utf-8"))


def _told_left(rows: int, table: str) -> str:
    """Sent again, the command would add these rows twice."""
    return (
        "%d rows that were committed stay, in %s first; with a key, the next attempt goes on there"
        % (rows, table)
    )


class _Tables:
    """A copy that may begin to write."""

    def __init__(
        self, job: Job, params: Mapping[str, Any], chosen: Choices, sides: Sides, ready: Ready
    ) -> None:
        self._job = job
        self._chosen = chosen
        self._sides = sides
        self._ready = ready
        self._name = _ledger_name(job, params)
        # Tables that were made in this attempt.
        self._made: Set[str] = set()

    def run(self) -> Outcome:
        """The copy, proven as far as was chosen."""
        with self._sides.dst.open(makes=True) as session:
            owner, receipts = ledger.open_ledger(session, self._name)
            try:
                outcome = self._copied(session, owner, receipts)
            except BaseException as error:
                left = self._clear() if self._job.key is None else None
                if left is not None and isinstance(error, Fault):
                    error.hint = "; ".join(filter(None, (error.hint, _told_left(*left))))
                raise
            if self._job.key is not None:
                noted = json.dumps({"data": outcome.data, "verify": outcome.verify})
                self._job.session.state.settle(self._job.key, noted)
            ledger.close_ledger(session, self._name)
        return outcome

    def _clear(self) -> Optional[Tuple[int, str]]:
        """Removes what is half made; what the first error was is what is told.

        Returns the rows that stay in tables which stood before, with one of those.
        """
        made = {
            one.target.name: one.statements.drop
            for one in self._ready.plans
            if one.target.name in self._made
        }
        with contextlib.suppress(Exception), self._sides.dst.parting().open() as session:
            return ledger.remove_leftovers(session, self._name, made)
        return None

    def _copied(
        self, session: Session, owner: ledger.LedgerJob, receipts: Sequence[Receipt]
    ) -> Outcome:
        plans, sides = self._ready.plans, self._sides
        self._job.items_total = len(plans)
        check_free(plans, self._chosen.mode, receipts)
        rejects = self._reject_file(owner)
        ends = Ends(sides.instant, sides.dst, session)
        copy = Copy(self._job, self._chosen, ends, plans, rejects, self._made)
        copied = copy.run(owner, receipts)
        proofs = prove(self._job, self._chosen, ends, plans, copied)
        data = report.certificate(
            (sides.here, sides.there), self._chosen.mode, plans, self._ready.losses
        )
        data.update(report.outcome(plans, copied, proofs))
        if rejects.path is not None:
            data["rejects"] = path_fields(rejects.path)
        proven = bool(proofs) and all(proof == "readback" for proof in proofs)
        return Outcome(data=data, verify=self._verified("readback" if proven else "stream"))

    def _verified(self, level: str) -> Dict[str, Any]:
        return {
            "level": level,
            "algorithm": "xxh3-128",
            "items": len(self._ready.plans),
            "bytes": self._job.bytes,
            "mismatches": 0,
        }

    def _reject_file(self, owner: ledger.LedgerJob) -> Rejects:
        """The file of rejected rows: with a key the same in every attempt."""
        path = b""
        if self._chosen.reject_file is not None:
            path = os.fsencode(self._chosen.reject_file)
        elif self._chosen.reject_limit:
            name = self._job.name if self._job.key is None else owner.name
            report_path = self._job.session.state.report_path(name)
            path = os.fsencode(report_path[: -len(".jsonl")] + "-rejects.jsonl")
        return Rejects(path, owner.name, self._chosen.reject_limit)
