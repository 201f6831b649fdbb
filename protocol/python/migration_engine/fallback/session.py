"""What all jobs of one process share: settings, output, state, and how results are put together."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
import traceback
from typing import Any, Dict, List, Mapping, Optional, Set, Union

from . import ops
from .faults import Fault
from .job import Cancelled, Id, Job, Outcome, cancelled_fault
from .limiter import Limiter
from .names import path_fields
from .scheduler import Scheduler
from .signed import written
from .state import FileLock, JobRecord, Root, State
from .writer import Writer

BACKEND = "python"
EVENT_KINDS = ("progress", "state", "warning", "checkpoint", "item", "sample", "log")
_DEFAULT_EVENTS = {"progress", "state", "warning", "checkpoint", "sample"}
_EXIT_ORDER = (0, 3, 75, 4, 2, 1)


class Session:
    """One process's conversation with its host."""

    def __init__(self, writer: Writer, state: State, job8: str) -> None:
        self.writer = writer
        self.state = state
        self.job8 = job8
        self.progress_s = 0.5
        self.events: Set[str] = set(_DEFAULT_EVENTS)
        self.on_eof = "finish"
        self.defaults: Dict[str, Any] = {}
        self.bytes_limit = Limiter("bytes_per_s")
        self.ops_limit = Limiter("ops_per_s")
        self.rows_limit = Limiter("rows_per_s")
        self.scheduler = Scheduler(self._run, self._skip)
        self.began = time.monotonic()
        self.bytes_done = 0
        self.errors = 0
        self._worst = 0
        self._lock = threading.Lock()
        self._jobs = 0
        self._temporaries = 0

    # Output.

    def emit(self, type_: str, fields: Dict[str, Any]) -> None:
        """Sends an event, unless the host did not ask for its kind."""
        if type_ not in EVENT_KINDS or type_ in self.events:
            self.writer.send(type_, fields)

    def wants(self, type_: str) -> bool:
        """Whether events of this kind are sent."""
        return type_ in self.events

    def answer(self, id_: Id, op: str, data: Dict[str, Any]) -> None:
        """The result of a control op that went well."""
        fields: Dict[str, Any] = {"id": id_, "op": op, "status": "ok", "backend": BACKEND}
        if data:
            fields["data"] = data
        self.writer.send("result", fields)

    def refuse(self, id_: Id, op: str, fault: Fault) -> None:
        """The result of a command that was not taken."""
        self.count_exit(2)
        fields = {"id": id_, "op": op, "status": "failed", "backend": BACKEND}
        self.writer.send("result", dict(fields, error=fault.wire()))

    def bad_line(self, line: int, fault: Fault) -> None:
        """The answer to a line that is no command."""
        self.count_exit(2)
        self.writer.send("error", {"line": line, "error": fault.wire()})

    def count_exit(self, code: int) -> None:
        """Takes ``code`` into the worst one."""
        with self._lock:
            self._worst = max(self._worst, code, key=_EXIT_ORDER.index)

    @property
    def exit_code(self) -> int:
        """The worst of all results so far."""
        return self._worst

    def bytes_seen(self) -> int:
        """Bytes read by all jobs so far."""
        return self.bytes_done + sum(job.bytes_seen for job in self.scheduler.all_jobs())

    def jobs_running(self) -> int:
        """Jobs at work now."""
        return sum(job.state == "running" for job in self.scheduler.all_jobs())

    # Names.

    def job_name(self) -> str:
        """A new job's name: 16 hex digits, unique across restarts."""
        with self._lock:
            self._jobs += 1
            return "%s%08x" % (self.job8, self._jobs)

    def temporary_number(self) -> int:
        """A new number for a temporary file."""
        with self._lock:
            self._temporaries += 1
            return self._temporaries

    def note_roots(self, job: Job, roots: List[Root]) -> None:
        """Records where ``job`` may leave temporary files.

        Without a usable state directory an unkeyed job goes on, with a warning.
        """
        absolute = [Root(os.path.abspath(root.path), root.deep) for root in roots]
        record = JobRecord(job.name, job.op, job.key, absolute)
        try:
            self.state.note_job(record)
            job.roots_noted = True
        except Fault as fault:
            if job.key is not None:
                raise
            job.warn(fault)

    def report(self, job: Job, entry: Dict[str, Any], kept: bool) -> None:
        """Writes every failure of a job to a file, from the first that its result leaves out."""
        if kept:
            return
        with contextlib.suppress(OSError, Fault):
            path = os.fsencode(self.state.report_path(job.name))
            earlier = [] if job.report_path else job.failures.entries
            with open(path, "a", encoding="utf-8") as file:
                for line in [*earlier, entry]:
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
            job.report_path = path

    def tick(self) -> None:
        """Sends the progress lines that are due."""
        if not self.wants("progress"):
            return
        now = time.monotonic()
        for job in self.scheduler.all_jobs():
            if job.op != "batch" and job.progress_due(now, self.progress_s):
                self.emit("progress", job.progress(now))

    # Running.

    def _run(self, job: Job) -> None:
        # Before the host hears that it runs: from then on another use of the key is refused.
        held = self._hold_key(job)
        job.begin()
        try:
            result = self._attempt(job, held)
        except Cancelled:
            result = self._result(job, Outcome(status="cancelled", error=cancelled_fault(job)))
        except Fault as fault:
            result = self._result(job, Outcome(status="failed", error=fault))
        except MemoryError:
            result = self._failed(job, "MEMORY", "out of memory")
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            result = self._failed(job, "INTERNAL", "unexpected %s" % type(error).__name__)
        finally:
            if isinstance(held, FileLock):
                held.release()
        self._conclude(job, result)

    def _hold_key(self, job: Job) -> Union[FileLock, Fault, None]:
        if job.key is None or job.op == "cleanup":
            return None
        try:
            return self.state.lock_key(job.key)
        except Fault as fault:
            return fault

    def _failed(self, job: Job, code: str, message: str) -> Dict[str, Any]:
        return self._result(job, Outcome(status="failed", error=Fault(code, message)))

    def _attempt(self, job: Job, held: Union[FileLock, Fault, None]) -> Dict[str, Any]:
        if isinstance(held, Fault):
            raise held
        op = ops.JOB_OPS[job.op]
        if held is None or job.key is None:
            return self._result(job, op.run(job, job.params))
        stored = self._open_key(job, job.key)
        if stored is not None:
            return dict(stored, id=job.id, replayed=True)
        result = self._result(job, op.run(job, job.params))
        if result["status"] == "ok":
            self.state.store_result(job.key, result)
        return result

    def _open_key(self, job: Job, key: str) -> Optional[Dict[str, Any]]:
        """The stored result of a key that is done; otherwise its earlier attempts are known."""
        command = canonical({"op": job.op, "fields": dict(job.raw)}, key)
        stored = self.state.command_of(key)
        if stored is not None and canonical(json.loads(stored[1]), key) != command:
            message = "the key was used with a different command"
            raise Fault("KEY_CONFLICT", message, field="key", detail={"op": stored[0]})
        if stored is not None and stored[2] is not None:
            result: Dict[str, Any] = json.loads(stored[2])
            return result
        job.prior_attempts = [
            record.name for record in self.state.jobs(key=key) if record.name != job.name
        ]
        self.state.store_command(key, job.op, command, job.name)
        return None

    def _skip(self, job: Job) -> None:
        if job.cancelled:
            outcome = Outcome(status="cancelled", error=cancelled_fault(job))
        else:
            message = "a command named in after did not end as asked for"
            outcome = Outcome(status="skipped", error=Fault("DEPENDENCY", message))
        self._conclude(job, self._result(job, outcome))

    def skip_item(self, job: Job) -> None:
        """Answers an item of a batch that ended before the item began."""
        if job.cancelled:
            self._skip(job)
            return
        fault = Fault("DEPENDENCY", "an earlier item of the batch failed")
        self._conclude(job, self._result(job, Outcome(status="skipped", error=fault)))

    def _conclude(self, job: Job, result: Dict[str, Any]) -> None:
        job.status = result["status"]
        job.finish()
        self.bytes_done += job.bytes_seen
        self.errors += job.items_failed
        with contextlib.suppress(Fault):
            if job.roots_noted and (job.key is None or job.status == "ok"):
                self.state.drop_job(job.name)
        self.count_exit(_exit_code(result))
        self.writer.send("result", result)
        self.scheduler.finished(job)

    def _result(self, job: Job, outcome: Outcome) -> Dict[str, Any]:
        status, error = _judge(job, outcome)
        job.fault = error
        result: Dict[str, Any] = {
            "id": job.id,
            "op": job.op,
            "status": status,
            "backend": BACKEND,
            "job": job.name,
        }
        if error is not None:
            result["error"] = error.wire()
        if outcome.data is not None:
            result["data"] = outcome.data
        result["metrics"] = job.metrics()
        if outcome.verify is not None:
            result["verify"] = outcome.verify
        if job.failures.total:
            result["failures"] = job.failures.entries
            result["failures_total"] = job.failures.total
        if job.warnings:
            result["warnings_total"] = job.warnings
        if job.report_path is not None:
            result["report"] = path_fields(job.report_path)
        if job.advice:
            result["advice"] = list(job.advice)
        if status in ("partial", "failed", "cancelled") and job.resume_token is not None:
            result["resume"] = job.resume_token
        return result


def canonical(command: Mapping[str, Any], key: str) -> str:
    """A command as comparable text, which ``resume`` can read again where nothing was left out."""
    return json.dumps(written(command, key), sort_keys=True)


def _judge(job: Job, outcome: Outcome) -> "tuple[str, Optional[Fault]]":
    if outcome.status is not None:
        return outcome.status, outcome.error
    first = job.first_failure
    if first is None:
        return "ok", None
    total = job.items_done
    whole = job.items_ok + job.items_skipped == 0
    if total == 1:
        return "failed", first
    message = "%d of %d items failed; the first: %s" % (job.items_failed, total, first.message)
    summary = Fault(
        first.code,
        message,
        path=first.path,
        offset=first.offset,
        hint=first.hint,
        cause=first.cause,
    )
    return ("failed" if whole else "partial"), summary


def _exit_code(result: Mapping[str, Any]) -> int:
    status = result["status"]
    if status == "ok":
        return 0
    if status != "failed":
        return 3
    error = result["error"]
    if error["code"] == "INTERNAL":
        return 1
    return 75 if error["retryable"] else 4
