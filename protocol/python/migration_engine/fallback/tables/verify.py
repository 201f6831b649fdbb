"""What ``verify`` does where locations are databases: compares their tables, row by row."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from ..faults import Fault
from ..glob import Selection
from ..job import Job, Outcome
from . import catalog
from .catalog import Catalog, Table
from .cells import Cell
from .choices import Choices
from .compare import Difference, Side, differences, tally
from .copy import row_bytes_max
from .instant import Instant
from .mapping import Mapping as TableMapping
from .mapping import TablePlan
from .place import Place
from .report import sample
from .span import Read

_LIST_BYTES, _LIST_ENTRIES = 16 << 10, 1000


class _Found(NamedTuple):
    """How a table came out; ``rows`` of both sides, or of none where it is missing."""

    same: bool
    rows: Optional[Tuple[int, int]]
    differences: List[Difference]


def verify_tables(job: Job, params: Mapping[str, Any]) -> Outcome:
    """Any difference makes the command ``failed``."""
    choices = Choices(Selection(params["include"], params["exclude"]), indexes=False)
    src = Place(job, params["src"], writes=False)
    dst = Place(job, params["dst"], writes=True)
    here, there = catalog.of(src), catalog.of(dst)
    plans = TableMapping(here, there, choices).plan()
    job.items_total = len(plans)
    counts_only = params["level"] == "size"
    with Instant(src) as source, Instant(dst.reading()) as target:
        comparing = _Comparing(job, choices, source, target, there, counts_only)
        told = [comparing.table(plan) for plan in plans]
    counts = comparing.counts
    data = {
        **counts,
        "extra": 0,
        "level": "count" if counts_only else "rows",
        "tables": sample(told, _LIST_ENTRIES, _LIST_BYTES),
    }
    verified = {
        "level": "size" if counts_only else "compare",
        "algorithm": None,
        "items": counts["matched"],
        "bytes": 0,
        "mismatches": counts["mismatched"] + counts["missing"],
    }
    return _judged(job, data, verified)


def _judged(job: Job, data: Dict[str, Any], verified: Dict[str, Any]) -> Outcome:
    first = job.first_failure
    if first is None:
        return Outcome(data=data, verify=verified)
    message = first.message
    if job.items_done > 1:
        told = (job.items_failed, job.items_done, message)
        message = "%d of %d items failed; the first: %s" % told
    error = Fault("VERIFY_MISMATCH", message, path=first.path)
    return Outcome(data=data, verify=verified, status="failed", error=error)


class _Comparing:
    """Both instants, and what was found."""

    def __init__(
        self,
        job: Job,
        choices: Choices,
        source: Instant,
        target: Instant,
        there: Catalog,
        counts_only: bool,
    ) -> None:
        self._job = job
        self._choices = choices
        self._source = source
        self._target = target
        self._there = there
        self._counts_only = counts_only
        self.counts = {"matched": 0, "mismatched": 0, "missing": 0}

    def table(self, plan: TablePlan) -> Dict[str, Any]:
        """Compares a table, and tells how it came out."""
        name = plan.source.name
        self._job.begin_item(name.encode("utf-8"), 0)
        found = self._compared(plan)
        if found.same and found.rows is not None:
            self.counts["matched"] += 1
            self._job.item_ok(name.encode("utf-8"))
            return {"table": name, "same": True, "rows": found.rows[0]}
        if found.rows is None:
            self.counts["missing"] += 1
            self._fail(name, "the other database has no such table")
            return {"table": name, "same": False, "missing": True}
        self.counts["mismatched"] += 1
        self._fail(name, "the rows differ: %d here, %d there" % found.rows)
        return {
            "table": name,
            "same": False,
            "rows": found.rows[0],
            "rows_there": found.rows[1],
            "differences": [
                {"key": one.key, "what": one.what, "columns": list(one.columns)}
                for one in found.differences
            ],
        }

    def _fail(self, table: str, message: str) -> None:
        self._job.item_failed(table.encode("utf-8"), Fault("VERIFY_MISMATCH", message))

    def _compared(self, plan: TablePlan) -> _Found:
        there = self._there.table(plan.target.name)
        if there is None:
            return _Found(False, None, [])
        if any(there.column(cell.name) is None for cell in plan.write):
            return _Found(False, (0, 0), [])
        if self._counts_only:
            rows = self._source.count(plan.source.name), self._target.count(there.name)
            return _Found(rows[0] == rows[1], rows, [])
        left = Side(self._source, plan.source, self._read(plan.source, plan.read))
        right = Side(self._target, there, self._read(there, plan.write))
        spans = self._choices.span_rows
        one, other = tally(self._job, left, spans), tally(self._job, right, spans)
        same = (one.rows, one.digest) == (other.rows, other.digest)
        named = [] if same else differences(self._job, left, right)
        return _Found(same, (one.rows, other.rows), named)

    def _read(self, table: Table, cells: Tuple[Cell, ...]) -> Read:
        most = row_bytes_max(self._choices.parallel)
        return Read(table.name, cells, "", self._choices.batch_rows, most)
