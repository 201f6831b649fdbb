"""What an earlier attempt committed, compared with the source as it is now.

The instant that was read then is gone.
"""

from __future__ import annotations

from typing import List, Optional, Sequence

from ..faults import Fault
from ..job import Job
from . import ledger
from .choices import Choices
from .instant import Instant
from .ledger import LedgerJob
from .mapping import TablePlan
from .place import Session
from .span import DIGEST_MASK, Read, Receipt, Tally
from .sql import quote
from .writing import digest, misfit_digest


class Resume:
    """Finds the receipts that still hold."""

    def __init__(
        self, job: Job, choices: Choices, instant: Instant, session: Session, owner: LedgerJob
    ) -> None:
        self._job = job
        self._choices = choices
        self._instant = instant
        self._session = session
        self._owner = owner

    def committed(
        self, plan: TablePlan, read: Read, receipts: Sequence[Receipt], is_own: bool
    ) -> List[Receipt]:
        """Those that hold; what changed since is removed from target and ledger, to be redone.

        ``is_own``: the job made the table.
        """
        if receipts:
            self._job.phase = "compare"
        holding: List[Receipt] = []
        changed: List[Receipt] = []
        for receipt in receipts:
            self._job.step()
            now = self._read_again(read, receipt)
            # Which rows were refused cannot be told from those that are read: all are compared.
            before = Tally(receipt.rejected, 0, receipt.refused).plus(receipt.written)
            same = (now.rows, now.digest) == (before.rows, before.digest)
            (holding if same else changed).append(receipt)
        if not changed:
            return holding
        message = "rows of %d spans changed since they were copied; they are copied anew"
        name = plan.source.name.encode("utf-8")
        self._job.warn(Fault("SRC_CHANGED", message % len(changed), path=name))
        return self._undo(plan, holding, changed, is_own)

    def _read_again(self, read: Read, receipt: Receipt) -> Tally:
        reader = self._instant.reader(read, receipt.range)
        tally = Tally()
        for batch in reader.batches():
            self._job.read(batch.bytes)
            tally = tally.plus(Tally(len(batch.canonical), 0, digest(batch.canonical)))
        refused = sum(map(misfit_digest, reader.rejected)) & DIGEST_MASK
        return tally.plus(Tally(len(reader.rejected), 0, refused))

    def _undo(
        self, plan: TablePlan, holding: List[Receipt], changed: List[Receipt], is_own: bool
    ) -> List[Receipt]:
        if not is_own and self._choices.mode == "merge":
            ledger.forget(self._session, self._owner, changed, [])
            return holding
        if not is_own and self._choices.mode == "append":
            raise Fault(
                "RESUME_REFUSED",
                "rows changed that were added to a table that held others before",
                path=plan.source.name.encode("utf-8"),
                hint="remove the rows that were added, and send the command under another key",
            )
        removals = [_removal(plan, receipt) for receipt in changed]
        known = [removal for removal in removals if removal is not None]
        if len(known) == len(changed):
            ledger.forget(self._session, self._owner, changed, known)
            return holding
        everything = [*holding, *changed]
        ledger.forget(self._session, self._owner, everything, [plan.statements.clear])
        return []


def _removal(plan: TablePlan, receipt: Receipt) -> Optional[str]:
    """What removes the rows of a range; ``None`` where the target cannot tell them apart.

    Only whole numbers have one order in the file and as the kind they travel as.
    """
    part = receipt.range
    names = {read.name: write for read, write in zip(plan.read, plan.write)}
    cell = names.get(part.column or "")
    source = plan.source.column(part.column or "")
    if cell is None or source is None or source.kind != cell.kind or not cell.kind.is_integer:
        return None
    name, parts = quote(cell.name), []
    for end, sign in ((part.from_, ">="), (part.to, "<")):
        if end is not None:
            if not end.lstrip("-").isdigit():
                return None
            parts.append("%s %s %d" % (name, sign, int(end)))
    null = " OR %s IS NULL" % name if part.from_ is None else ""
    condition = " AND ".join(parts) or "1"
    return "DELETE FROM %s WHERE %s%s" % (quote(plan.target.name), condition, null)
