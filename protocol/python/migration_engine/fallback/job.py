"""One running command: what an operation may touch, and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import threading
import time
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    Optional,
    Tuple,
    Union,
)

from .faults import Fault
from .limiter import Limiter
from .metadata import Losses
from .names import path_fields

if TYPE_CHECKING:
    from .session import Session

Id = Union[str, int]

SAMPLE_MAX = 20
SAMPLE_MAX_BYTES = 8 << 10
_WAIT_S = 0.05
_CAUSES = (
    "source_read_ms",
    "hash_ms",
    "compress_ms",
    "network_ms",
    "throttle_ms",
    "destination_write_ms",
    "sync_ms",
)


class Cancelled(Exception):
    """Unwinds an operation whose job was cancelled."""


class Outcome:
    """What an operation answers beside the counts that its job keeps."""

    def __init__(
        self,
        data: Optional[Dict[str, Any]] = None,
        verify: Optional[Dict[str, Any]] = None,
        status: Optional[str] = None,
        error: Optional[Fault] = None,
    ) -> None:
        self.data = data
        self.verify = verify
        self.status = status
        self.error = error


class Sample:
    """The first entries of a list in a result, bounded in number and bytes."""

    def __init__(self) -> None:
        self.entries: List[Dict[str, Any]] = []
        self.total = 0
        self._bytes = 0

    def add(self, entry: Dict[str, Any]) -> bool:
        """Counts ``entry``; whether it was also kept."""
        self.total += 1
        length = len(json.dumps(entry, ensure_ascii=False).encode("utf-8"))
        if len(self.entries) >= SAMPLE_MAX or self._bytes + length > SAMPLE_MAX_BYTES:
            return False
        self._bytes += length
        self.entries.append(entry)
        return True


class Job:
    """A command that was taken: its state, its counts, its bounds."""

    def __init__(
        self,
        session: "Session",
        id_: Id,
        name: str,
        op: str,
        params: Mapping[str, Any],
        envelope: Mapping[str, Any],
    ) -> None:
        self.session = session
        self.id = id_
        self.name = name
        self.op = op
        self.params = params
        self.key: Optional[str] = envelope.get("key")
        self.raw: Mapping[str, Any] = envelope.get("raw") or {}
        self.labels: Dict[str, str] = envelope.get("labels") or {}
        self.state = "queued"
        self.status: Optional[str] = None
        bounds = params.get("limits") or {}
        table = bounds.get("timetable")
        self.bytes_limit = Limiter("bytes_per_s", bounds.get("bytes_per_s"), table)
        self.ops_limit = Limiter("ops_per_s", bounds.get("ops_per_s"), table)
        self.rows_limit = Limiter("rows_per_s", bounds.get("rows_per_s"), table)
        self.cancel_reason: Optional[str] = None
        self._gate = threading.Condition()
        self._cancelled = False
        self._paused = False
        self._cut: List[Callable[[], None]] = []
        self.bytes = 0
        self.bytes_seen = 0
        self.bytes_wire = 0
        self.bytes_total: Optional[int] = None
        self.items_ok = 0
        self.items_failed = 0
        self.items_skipped = 0
        self.items_new = 0
        self.rows = 0
        self.rows_rejected = 0
        self.items_total: Optional[int] = None
        self.retries = 0
        self.warnings = 0
        self.phase = "survey"
        self.active: Optional[Tuple[bytes, int]] = None
        self.active_bytes = 0
        self.failures = Sample()
        self.first_failure: Optional[Fault] = None
        self.report_path: Optional[bytes] = None
        self.losses = Losses()
        self.prior_attempts: List[str] = []
        self.resume_token: Optional[str] = None
        self.advice: List[str] = []
        self.roots_noted = False
        self.children: List["Job"] = []
        self.fault: Optional[Fault] = None
        self._spent: Dict[str, float] = dict.fromkeys(_CAUSES, 0.0)
        self._began = time.monotonic()
        self._cpu_began = time.process_time()
        self._last_progress = self._began
        self._last_counts: Tuple[int, int] = (-1, -1)
        self._last_bytes = 0

    # How a job is steered.

    def cancel(self, reason: Optional[str] = None) -> None:
        """Asks the job to stop; it stops at its next step."""
        with self._gate:
            if self._cancelled or self.state == "finished":
                return
            self._cancelled = True
            self.cancel_reason = reason
            if self.state != "queued":
                self._enter("cancelling")
            self._gate.notify_all()
            cut = list(self._cut)
        for one in cut:
            one()

    def on_cancel(self, call: Callable[[], None]) -> None:
        """Has ``call`` end what the job waits for, once it is cancelled."""
        with self._gate:
            self._cut.append(call)

    def no_cancel(self, call: Callable[[], None]) -> None:
        """Takes back :meth:`on_cancel`."""
        with self._gate:
            if call in self._cut:
                self._cut.remove(call)

    def pause(self) -> None:
        """Holds the job at its next step."""
        with self._gate:
            if self.state in ("queued", "running") and not self._cancelled:
                self._paused = True
                if self.state == "running":
                    self._enter("paused")

    def resume(self) -> None:
        """Lets a paused job go on."""
        with self._gate:
            self._paused = False
            if self.state == "paused":
                self._enter("running")
            self._gate.notify_all()

    @property
    def cancelled(self) -> bool:
        """Whether a cancel was asked for."""
        return self._cancelled

    def _enter(self, state: str) -> None:
        self.state = state
        self.session.emit("state", {"id": self.id, "state": state})

    def begin(self) -> None:
        """Marks the start of the work; queueing is not counted in its time."""
        with self._gate:
            self._began = self._last_progress = time.monotonic()
            self._cpu_began = time.process_time()
            self._enter("running")
            if self._cancelled:
                self._enter("cancelling")
            elif self._paused:
                self._enter("paused")

    def finish(self) -> None:
        """Marks the end of the work."""
        with self._gate:
            self.state = "finished"

    # What an operation calls.

    def step(self) -> None:
        """Waits while the job is paused; raises :class:`Cancelled` once it is cancelled."""
        with self._gate:
            while self._paused and not self._cancelled:
                self._gate.wait()
            if self._cancelled:
                raise Cancelled

    def sleep(self, seconds: float) -> None:
        """Waits; raises :class:`Cancelled` as soon as the job is cancelled."""
        end = time.monotonic() + seconds
        with self._gate:
            while not self._cancelled:
                left = end - time.monotonic()
                if left <= 0:
                    break
                self._gate.wait(left)
        self.step()

    def begin_item(self, path: bytes, size: int) -> None:
        """Pays for one item under ``ops_per_s`` and shows it as active."""
        self.active, self.active_bytes = (path, size), 0
        self.step()
        self._pay(self.ops_limit, 1)
        self._pay(self.session.ops_limit, 1)

    def read(self, count: int) -> None:
        """Accounts for ``count`` bytes read and waits for the byte limits."""
        self.bytes_seen += count
        self.active_bytes += count
        self.pay(count)

    def pay(self, count: int) -> None:
        """Waits for the byte limits of ``count`` bytes that are read once more."""
        self.step()
        self._pay(self.bytes_limit, count)
        self._pay(self.session.bytes_limit, count)

    def pay_rows(self, count: int) -> None:
        """Waits for the bounds on rows of tables."""
        self.step()
        self._pay(self.rows_limit, count)
        self._pay(self.session.rows_limit, count)

    @property
    def rows_per_s(self) -> Optional[int]:
        """The least of the bounds on rows each second."""
        bounds = (self.rows_limit.per_s, self.session.rows_limit.per_s)
        return min((bound for bound in bounds if bound is not None), default=None)

    def skim(self, count: int) -> None:
        """Accounts for ``count`` bytes of a hole, which cost nothing to read."""
        self.bytes_seen += count
        self.active_bytes += count
        self.step()

    def _pay(self, limiter: Limiter, amount: int) -> None:
        until = limiter.pay(amount)
        while limiter.waiting(until):
            with self.timed("throttle_ms"):
                self.sleep(min(_WAIT_S, max(0.0, until - time.monotonic())))

    @contextlib.contextmanager
    def timed(self, cause: str) -> Iterator[None]:
        """Accounts the time of its body to ``cause``."""
        began = time.monotonic()
        try:
            yield
        finally:
            with self._gate:
                self._spent[cause] += time.monotonic() - began

    def sent(self, count: int) -> None:
        """Bytes went one way or the other over a network, by any thread."""
        with self._gate:
            self.bytes_wire += count

    def repeats(self) -> None:
        """A request is sent again, by any thread."""
        with self._gate:
            self.retries += 1

    def item_ok(
        self, path: bytes, count: int = 0, digests: Optional[Dict[str, str]] = None
    ) -> None:
        """One item is done."""
        self.items_ok += 1
        self.bytes += count
        self._item(path, "ok", count, digests=digests)

    def item_skipped(self, path: bytes, count: int = 0) -> None:
        """One item was left alone by rule."""
        self.items_skipped += 1
        self._item(path, "skipped", count)

    def deleted(self, path: bytes) -> None:
        """One name was removed from the destination, since the source does not have it."""
        self._item(path, "deleted", 0)

    def item_failed(self, path: bytes, fault: Fault) -> None:
        """One item was not done; the rest goes on."""
        fault.at(path)
        self.items_failed += 1
        if self.first_failure is None:
            self.first_failure = fault
        entry = {"at": path_fields(path), "code": fault.code, "message": fault.message}
        kept = self.failures.add(entry)
        self.session.report(self, entry, kept)
        self._item(path, "failed", 0, error=fault)

    def _item(
        self,
        path: bytes,
        status: str,
        count: int,
        digests: Optional[Dict[str, str]] = None,
        error: Optional[Fault] = None,
    ) -> None:
        if not self.session.wants("item"):
            return
        line: Dict[str, Any] = {"id": self.id}
        line.update(path_fields(path))
        line.update(status=status, bytes=count)
        if digests:
            line["digests"] = digests
        if error is not None:
            line["error"] = error.wire()
        self.session.emit("item", line)

    def warn(self, fault: Fault) -> None:
        """Something a person should look at; the job goes on."""
        self.warnings += 1
        wire = fault.wire()
        line = {"id": self.id, "code": fault.code, "message": fault.message}
        if "at" in wire:
            line["at"] = wire["at"]
        self.session.emit("warning", line)

    def advise(self, text: str) -> None:
        """Something that the result says to its reader, once."""
        if text not in self.advice:
            self.advice.append(text)

    def log(self, message: str) -> None:
        """A line of the log, for hosts that ask for it."""
        if self.session.wants("log"):
            line = {"id": self.id, "level": "info", "target": self.op, "message": message}
            self.session.emit("log", line)

    # What is said about it.

    def progress_due(self, now: float, every_s: float) -> bool:
        """Whether a progress line is due: enough time passed, and a change or a second."""
        passed = now - self._last_progress
        if self.state not in ("running", "paused") or passed < every_s:
            return False
        return passed >= 1.0 or self._last_counts != (self.bytes_seen, self.items_done)

    @property
    def items_done(self) -> int:
        """Items ended, failed and skipped ones included."""
        return self.items_ok + self.items_failed + self.items_skipped

    def progress(self, now: float) -> Dict[str, Any]:
        """The fields of a progress line."""
        passed = max(now - self._last_progress, 1e-3)
        elapsed = max(now - self._began, 1e-3)
        rate = int((self.bytes_seen - self._last_bytes) / passed)
        self._last_progress, self._last_bytes = now, self.bytes_seen
        self._last_counts = (self.bytes_seen, self.items_done)
        average = int(self.bytes_seen / elapsed)
        return {
            "id": self.id,
            "phase": self.phase,
            "bytes_done": self.bytes_seen,
            "bytes_total": self.bytes_total,
            "total_is_estimate": self.bytes_total is None,
            "items_done": self.items_done,
            "items_total": self.items_total,
            "bytes_per_s": rate,
            "bytes_per_s_avg": average,
            "eta_s": self._eta_s(average),
            "elapsed_ms": int(elapsed * 1000),
            "retries": self.retries,
            "errors": self.items_failed,
            "throttled": self._throttled(elapsed),
            "active": self._active(),
        }

    def _eta_s(self, average: int) -> Optional[float]:
        if self.bytes_total is None or not average:
            return None
        return round(max(0, self.bytes_total - self.bytes_seen) / average, 1)

    def _throttled(self, elapsed: float) -> Optional[Dict[str, Any]]:
        if self._paused:
            return {"by": "pause", "ratio": 1.0, "bytes_per_s_limit": None}
        limit = self.bytes_limit.per_s or self.session.bytes_limit.per_s
        waited = self._spent["throttle_ms"]
        if not waited:
            return None
        ratio = round(min(1.0, waited / elapsed), 3)
        by = "bytes_per_s" if limit else "rows_per_s" if self.rows_per_s else "ops_per_s"
        return {"by": by, "ratio": ratio, "bytes_per_s_limit": limit}

    def _active(self) -> List[Dict[str, Any]]:
        active = self.active
        if active is None:
            return []
        entry: Dict[str, Any] = dict(path_fields(active[0]))
        entry.update(bytes_done=self.active_bytes, bytes_total=active[1])
        return [entry]

    def elapsed_ms(self) -> int:
        """Milliseconds since the work began; 0 while it has not."""
        return 0 if self.state == "queued" else int((time.monotonic() - self._began) * 1000)

    def metrics(self) -> Dict[str, Any]:
        """What the job cost and moved."""
        elapsed = time.monotonic() - self._began
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "bytes": self.bytes,
            "bytes_wire": self.bytes_wire,
            "items_ok": self.items_ok,
            "items_failed": self.items_failed,
            "items_skipped": self.items_skipped,
            "rows": self.rows,
            "rows_rejected": self.rows_rejected,
            "elapsed_ms": int(elapsed * 1000),
            "bytes_per_s_avg": int(self.bytes / max(elapsed, 1e-3)),
            "cpu_ms": int((time.process_time() - self._cpu_began) * 1000),
            "peak_rss_bytes": usage.ru_maxrss * _MAXRSS_UNIT,
            "retries": self.retries,
            "throttled_ms": int(self._spent["throttle_ms"] * 1000),
            "bottleneck": {name: int(s * 1000) for name, s in self._spent.items()},
        }


def cancelled_fault(job: Job) -> Fault:
    """Why a cancelled job ended."""
    detail = {"reason": job.cancel_reason} if job.cancel_reason else None
    return Fault("CANCELLED", "cancelled before it finished", detail=detail)


# Linux and the BSDs count in KiB, Darwin in bytes.
_MAXRSS_UNIT = 1 if os.uname().sysname == "Darwin" else 1024
