"""Copies tables: the target's tables first, then spans, then indexes, keys and statistics."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence, Set, Tuple

from ..faults import Fault
from ..job import Job
from ..publish import Checkpoints
from . import catalog, ledger
from .choices import Choices
from .instant import Instant
from .ledger import LedgerJob
from .mapping import TablePlan
from .place import Place, Session
from .rejects import Rejects
from .resume import Resume
from .span import Range, Read, Receipt, Tally, Write
from .writing import SpanCopier

MEMORY_CAP_BYTES = 256 << 20
# Rows stand in memory as read, as taken and as written, and one of these grows.
_ROW_SHARE = 8


class Task(NamedTuple):
    """A table on its way."""

    plan: TablePlan
    read: Read
    write: Write
    spans: Tuple[Receipt, ...]
    is_own: bool
    """Whether the job made it, in this attempt or an earlier one."""
    was_gone: bool = False
    """Whether it was gone that an earlier attempt had filled: nothing of it is kept."""


class Copied:
    """What became of a table."""

    def __init__(self, spans: int) -> None:
        self.tally = Tally()
        self.rejected = 0
        self.spans = spans
        self.kept = 0
        self.redone = 0

    def count(self, receipt: Receipt) -> None:
        """Counts a span that is committed."""
        self.tally = self.tally.plus(receipt.written)
        self.rejected += receipt.rejected


class Ends(NamedTuple):
    """Both sides of a copy."""

    instant: Instant
    place: Place
    writer: Session


def row_bytes_max(parallel: int) -> int:
    """Bytes of one row at most, as the binary bounds them."""
    return MEMORY_CAP_BYTES // parallel // _ROW_SHARE


def reading(choices: Choices, plan: TablePlan, rows_per_s: Optional[int] = None) -> Read:
    """What is read of a table: where rows are bounded, in batches that are not waited for long."""
    most = row_bytes_max(choices.parallel)
    rows = min(choices.batch_rows, rows_per_s or choices.batch_rows)
    return Read(plan.source.name, plan.read, plan.filter, rows, most)


def check_free(plans: Sequence[TablePlan], mode: str, receipts: Sequence[Receipt]) -> None:
    """``DST_EXISTS`` where mode ``create`` meets a table that this job did not make."""
    ours = {receipt.table for receipt in receipts if receipt.planned}
    for plan in plans:
        if mode == "create" and plan.stands and plan.target.name not in ours:
            raise Fault(
                "DST_EXISTS",
                "a table of this name stands at the target",
                path=plan.target.name.encode("utf-8"),
                hint='choose "mode": append, replace or merge',
            )


class Copy:
    """Copies everything that the ledger does not have."""

    def __init__(
        self,
        job: Job,
        choices: Choices,
        ends: Ends,
        plans: Sequence[TablePlan],
        rejects: Rejects,
        made: Set[str],
    ) -> None:
        self._job = job
        self._choices = choices
        self._ends = ends
        self._plans = plans
        self._rejects = rejects
        self._made = made

    def run(self, owner: LedgerJob, receipts: Sequence[Receipt]) -> List[Copied]:
        """What became of each table. What is committed stays, and the ledger knows it."""
        self._job.phase = "prepare"
        tasks = []
        for plan in self._plans:
            self._job.step()
            tasks.append(self._prepared(owner, plan, receipts))
        copied = [Copied(len(task.spans)) for task in tasks]
        done: List[Set[int]] = []
        resume = Resume(self._job, self._choices, self._ends.instant, self._ends.writer, owner)
        for task, count in zip(tasks, copied):
            earlier = [one for one in receipts if one.table == task.write.table and not one.planned]
            standing = [] if task.was_gone else earlier
            held = resume.committed(task.plan, task.read, standing, task.is_own)
            for receipt in held:
                count.count(receipt)
            count.kept, count.redone = len(held), len(earlier) - len(held)
            done.append({receipt.number for receipt in held})
        if receipts:
            held_spans = {
                (task.write.table, number) for task, held in zip(tasks, done) for number in held
            }
            self._rejects.resume(sum(count.rejected for count in copied), held_spans)
        self._job.phase = "copy"
        self._spans(owner, tasks, done, copied)
        self._job.phase = "index"
        self._finish([task.plan for task in tasks if task.is_own])
        return copied

    def _prepared(self, owner: LedgerJob, plan: TablePlan, receipts: Sequence[Receipt]) -> Task:
        """Makes the table where it is this job's to make, and settles its spans."""
        name, replaces = plan.target.name, self._choices.mode == "replace"
        makes = not plan.stands or replaces
        is_own = makes or any(one.makes and one.table == name for one in receipts)
        spans = [one for one in receipts if one.planned and one.table == name]
        spans.sort(key=lambda one: one.number)
        was_gone = False
        if not spans:
            if plan.stands and replaces:
                self._execute(plan.statements.drop)
            spans = [
                Receipt(name, at, part, planned=True, makes=makes) for at, part in self._split(plan)
            ]
            ledger.note(self._ends.writer, owner, spans)
            if makes:
                try:
                    self._make(plan)
                except Fault:
                    # Somebody else's table may stand there: the next attempt must not take it for
                    # its own.
                    ledger.forget(self._ends.writer, owner, spans, [])
                    raise
        elif not plan.stands:
            self._forget_gone(owner, plan, receipts)
            self._make(plan)
            was_gone = True
        merges = self._choices.mode == "merge"
        write = Write(name, plan.write, plan.target.primary_key, merges, is_own)
        read = reading(self._choices, plan, self._job.rows_per_s)
        return Task(plan, read, write, tuple(spans), is_own, was_gone)

    def _forget_gone(self, owner: LedgerJob, plan: TablePlan, receipts: Sequence[Receipt]) -> None:
        """What was committed into a table that is gone is to be copied again."""
        name = plan.target.name
        done = [one for one in receipts if one.table == name and not one.planned]
        if done:
            message = "the table was gone that an earlier attempt had made: it is made anew"
            self._job.warn(Fault("DST_CHANGED", message, path=name.encode("utf-8")))
            ledger.forget(self._ends.writer, owner, done, [])

    def _make(self, plan: TablePlan) -> None:
        self._execute(plan.statements.create)
        self._made.add(plan.target.name)

    def _split(self, plan: TablePlan) -> List[Tuple[int, Range]]:
        rows = self._choices.span_rows
        return list(enumerate(self._ends.instant.split(plan.source.name, plan.filter, rows)))

    def _execute(self, statement: str) -> None:
        with self._ends.place.told("run a statement"):
            self._ends.writer.run(statement)

    def _spans(
        self,
        owner: LedgerJob,
        tasks: Sequence[Task],
        done: Sequence[Set[int]],
        copied: Sequence[Copied],
    ) -> None:
        ends = self._ends
        checkpoints = Checkpoints(self._job, durable=True)
        copier = SpanCopier(self._job, ends.instant, ends.place, ends.writer, self._rejects, owner)
        for task, held, count in zip(tasks, done, copied):
            name = task.plan.source.name.encode("utf-8")
            self._job.begin_item(name, 0)
            before = self._job.bytes_seen
            for span in task.spans:
                if span.number in held:
                    continue
                try:
                    receipt = copier.copy(task.read, task.write, span)
                except Fault as fault:
                    fault.at(name)
                    raise
                count.count(receipt)
                self._job.rows += receipt.written.rows
                self._job.rows_rejected += receipt.rejected
                checkpoints.send()
            self._job.item_ok(name, self._job.bytes_seen - before)

    def _finish(self, own: Sequence[TablePlan]) -> None:
        """Indexes of all tables, then foreign keys of all, then what comes last.

        What an earlier attempt made stands.
        """
        there = catalog.read(self._ends.writer)
        for plan in own:
            table = there.table(plan.target.name)
            has = {index.name for index in table.indexes} if table else set()
            for index in plan.statements.indexes:
                if index.name not in has:
                    self._job.step()
                    self._execute(index.sql)
        for plan in own:
            if plan.statements.checks_keys:
                self._job.step()
                self._check_keys(plan)
        for plan in own:
            self._job.step()
            for statement in plan.statements.finish:
                self._execute(statement)

    def _check_keys(self, plan: TablePlan) -> None:
        """Each answer is a row that points nowhere."""
        sql = plan.statements.foreign_key_check(plan.target.name)
        with self._ends.place.told("check foreign keys"):
            found: Optional[Tuple[object, ...]] = self._ends.writer.each(sql).fetchone()
        if found is None:
            return
        which = "" if found[1] is None else " (rowid %s)" % found[1]
        raise Fault(
            "ROW_REFUSED",
            "a row%s points to no row of %s" % (which, found[2]),
            path=str(found[0]).encode("utf-8"),
            hint="the rows are there; mend what keeps it from being made: the foreign keys of %s"
            % plan.target.name,
        )
