"""``batch``: several commands, each with its own result under ``ID/INDEX``."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any, Deque, Dict, List, Mapping, NamedTuple

from .. import fields as f
from ..faults import Fault
from ..fields import Field
from ..job import Job, Outcome, cancelled_fault

_STATUSES = ("ok", "partial", "failed", "cancelled", "skipped")
_WAIT_S = 0.05


class Item(NamedTuple):
    """One command of a batch, checked."""

    op: str
    params: Dict[str, Any]
    raw: Dict[str, Any]
    labels: Dict[str, str]


def _item(value: Any, field: str) -> Item:
    if not isinstance(value, dict):
        raise f.invalid(field, "a command")
    from . import JOB_OPS

    raw = {
        name: item for name, item in value.items() if name != "_meta" and not name.startswith("x_")
    }
    for name in ("id", "after", "after_status", "key"):
        if name in raw:
            raise f.invalid("%s.%s" % (field, name), "an item of a batch without it")
    op = raw.pop("op", None)
    if op is None:
        raise Fault("MISSING_FIELD", "the command has no op", field=field + ".op")
    if not isinstance(op, str):
        raise f.invalid(field + ".op", "a string")
    if op in ("batch", "resume"):
        raise Fault("UNSUPPORTED", "%s is not built inside a batch" % op, field=field + ".op")
    if op not in JOB_OPS:
        hint = f.suggestion(op, JOB_OPS)
        raise Fault("UNKNOWN_OP", "no job op of this name", field=field + ".op", hint=hint)
    labels = _labels(raw.pop("labels", {}), field + ".labels")
    return Item(op, f.within(field, JOB_OPS[op].read, raw), raw, labels)


def _labels(value: Any, field: str) -> Dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise f.invalid(field, "names and texts")
    return value


FIELDS: Dict[str, Field] = {
    "mode": Field(f.choice("parallel", "sequence"), default="parallel"),
    "max_parallel": Field(f.integer(1, 256)),
    "on_error": Field(f.choice("continue", "stop"), default="continue"),
    "items": Field(f.one_or_more(_item), required=True),
}


def run(job: Job, params: Mapping[str, Any]) -> Outcome:
    """Runs the items and counts how they ended."""
    return _Batch(job, params).run()


class _Batch:
    def __init__(self, job: Job, params: Mapping[str, Any]) -> None:
        self._job = job
        self._stop_on_error = params["on_error"] == "stop"
        width = 1 if params["mode"] == "sequence" else params["max_parallel"]
        self._width: int = width or max(1, len(params["items"]))
        self._waiting: Deque[Job] = deque(job.children)
        self._running: List[Job] = []
        self._counts = dict.fromkeys(_STATUSES, 0)
        self._changed = threading.Condition()
        self._stopped = False

    def run(self) -> Outcome:
        """Starts items as others end, until all are answered."""
        self._job.phase = "batch"
        while True:
            self._start()
            with self._changed:
                if not self._running:
                    break
                self._changed.wait(_WAIT_S)
            if self._job.cancelled:
                self._cancel_running()
        for child in self._waiting:
            self._answer_waiting(child)
        if self._job.cancelled:
            fault = cancelled_fault(self._job)
            return Outcome(data=dict(self._counts), status="cancelled", error=fault)
        return self._outcome()

    def _start(self) -> None:
        job = self._job
        while self._waiting and not self._stopped and not job.cancelled:
            with self._changed:
                if len(self._running) >= self._width:
                    return
                child = self._waiting.popleft()
                self._running.append(child)
            job.session.scheduler.start_child(child, self._ended)

    def _ended(self, child: Job) -> None:
        with self._changed:
            self._running.remove(child)
            self._count(child)
            if self._stop_on_error and child.status not in ("ok", "skipped"):
                self._stopped = True
            self._changed.notify_all()

    def _count(self, child: Job) -> None:
        self._counts[child.status or "failed"] += 1
        job = self._job
        job.bytes += child.bytes
        job.items_ok += child.items_ok
        job.items_failed += child.items_failed
        job.items_skipped += child.items_skipped

    def _cancel_running(self) -> None:
        with self._changed:
            running = list(self._running)
        for child in running:
            self._job.session.scheduler.cancel(child, self._job.cancel_reason)

    def _answer_waiting(self, child: Job) -> None:
        if self._job.cancelled:
            child.cancel(self._job.cancel_reason)
        self._job.session.skip_item(child)
        self._count(child)

    def _outcome(self) -> Outcome:
        counts = self._counts
        total = sum(counts.values())
        if counts["ok"] == total:
            return Outcome(data=dict(counts), status="ok")
        none = counts["ok"] + counts["partial"] == 0
        return Outcome(
            data=dict(counts), status="failed" if none else "partial", error=self._error(total)
        )

    def _error(self, total: int) -> Fault:
        bad = total - self._counts["ok"]
        message = "%d of %d items of the batch did not end with ok" % (bad, total)
        hint = "see the results of the items, and mend the first that failed"
        return Fault("DEPENDENCY", message, hint=hint)
