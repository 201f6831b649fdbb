"""``tables``: copies tables from one SQLite database to another, and says what was proven."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from ..faults import Fault
from ..fields import Field
from ..job import Job, Outcome
from ..location import database
from ..names import path_fields
from ..tables import catalog, census, choices, ledger, report
from ..tables.catalog import Catalog
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
    """A table must not be copied onto itself."""
    if not sides.src.is_same(sides.dst):
        return
    for one in plans:
        if one.source.name == one.target.name:
            message = "the table would be copied onto itself"
            raise Fault("OVERLAP", message, path=one.source.name.encode("utf-8"))


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
        self._rejects: Optional[Rejects] = None

    def run(self) -> Outcome:
        """The copy, proven as far as was chosen."""
        with self._sides.dst.open(makes=True) as session:
            owner, receipts = ledger.open_ledger(session, self._name)
            try:
                outcome = self._copied(session, owner, receipts)
            except BaseException:
                if self._job.key is None:
                    self._clear()
                raise
            finally:
                if self._rejects is not None:
                    self._rejects.close()
            if self._job.key is not None:
                noted = json.dumps({"data": outcome.data, "verify": outcome.verify})
                self._job.session.state.settle(self._job.key, noted)
            ledger.close_ledger(session, self._name)
        return outcome

    def _clear(self) -> None:
        """Removes what is half made; what the first error was is what is told."""
        made = {
            one.target.name: one.statements.drop
            for one in self._ready.plans
            if not one.stands or self._chosen.mode == "replace"
        }
        with contextlib.suppress(Exception), self._sides.dst.parting().open() as session:
            ledger.remove_leftovers(session, self._name, made)

    def _copied(
        self, session: Session, owner: ledger.LedgerJob, receipts: Sequence[Receipt]
    ) -> Outcome:
        plans, sides = self._ready.plans, self._sides
        self._job.items_total = len(plans)
        check_free(plans, self._chosen.mode, receipts)
        rejects = self._rejects = self._reject_file(receipts)
        ends = Ends(sides.instant, sides.dst, session)
        copied = Copy(self._job, self._chosen, ends, plans, rejects).run(owner, receipts)
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

    def _reject_file(self, receipts: Sequence[Receipt]) -> Rejects:
        before = sum(receipt.rejected for receipt in receipts)
        path = b""
        if self._chosen.reject_file is not None:
            path = os.fsencode(self._chosen.reject_file)
        elif self._chosen.reject_limit:
            report_path = self._job.session.state.report_path(self._job.name)
            path = os.fsencode(report_path[: -len(".jsonl")] + "-rejects.jsonl")
        return Rejects(path, self._chosen.reject_limit, before)
