"""The second server: reads commands, hands them on, and decides when the process ends."""

from __future__ import annotations

import json
import os
import queue
import resource
import secrets
import signal
import sys
import threading
import time
from typing import Any, Dict, List, NamedTuple, Optional

from . import fields as f
from . import ops
from .control import (
    CONTROL_NAMES,
    CONTROL_OPS,
    FEATURES,
    PROTOCOL,
    RESUME_FIELDS,
    SHUTDOWN_FIELDS,
    id_,
    labels_,
    name_,
    stored_job,
)
from .faults import Fault
from .fields import Field, read_fields
from .frame import LINE_IN_MAX_BYTES, LINE_OUT_MAX_BYTES, LineSplitter, parse
from .job import Id, Job
from .parent import Parent
from .session import BACKEND, Session
from .state import State
from .writer import Writer

OUTSTANDING_MAX = 1024
ECHOED_LINES_MAX = 100
MEMORY_CAP_BYTES = 256 << 20
_TICK_S = 0.05
_READ_BYTES = 64 << 10
_LAST_LINES_S = 5.0
_STATUSES = ("ok", "skipped", "partial", "cancelled", "failed")

_ENVELOPE: Dict[str, Field] = {
    "op": Field(f.text, required=True),
    "id": Field(id_),
    "after": Field(f.many(id_), default=()),
    "after_status": Field(f.many(f.choice(*_STATUSES)), default=("ok",)),
    "labels": Field(labels_, default={}),
    "key": Field(name_),
}


class Options(NamedTuple):
    """What the command line says."""

    state_dir: str
    on_eof: Optional[str] = None
    parent_pid: Optional[int] = None


class _Event(NamedTuple):
    """What the supervisor hears of: ``eof``, ``signal``, ``echo``, ``broken`` or ``done``."""

    what: str
    number: int = 0


class _Shutdown(NamedTuple):
    id: Id
    mode: str
    grace_ms: Optional[int]


class Server:
    """One process's work from its first line to its exit code."""

    def __init__(self, options: Options, version: str) -> None:
        self._options = options
        self._version = version
        self._events: "queue.SimpleQueue[_Event]" = queue.SimpleQueue()
        self._outstanding = 0
        self._room = threading.Condition()
        self._line = 0
        self._echoed = 0
        self._shutting: Optional[_Shutdown] = None
        self._signals: List[int] = []
        # Before a line is read: a command must not begin while nobody watches.
        self._parent = Parent(options.parent_pid)
        out = _take_over_stdout()
        self._writer = Writer(out, self._answered, lambda: self._events.put(_Event("broken")))
        state = State(options.state_dir)
        self._id = _session_id(state)
        self._session = Session(self._writer, state, self._id[:8])
        if options.on_eof is not None:
            self._session.on_eof = options.on_eof

    def run(self) -> int:
        """Serves until the work is done; the exit code."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        self._writer.send("hello", self._hello())
        self._writer.start()
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        try:
            return self._supervise()
        finally:
            self._session.state.end()

    def _hello(self) -> Dict[str, Any]:
        return {
            "protocol": PROTOCOL,
            "protocol_min": PROTOCOL,
            "session": self._id,
            "pid": os.getpid(),
            "engine": {"name": "migration-engine", "version": self._version},
            "backend": BACKEND,
            "features": list(FEATURES),
            "limits": {
                "line_in": LINE_IN_MAX_BYTES,
                "line_out": LINE_OUT_MAX_BYTES,
                "outstanding": OUTSTANDING_MAX,
                "memory_cap": MEMORY_CAP_BYTES,
            },
            "ops": sorted({*ops.JOB_OPS, *CONTROL_NAMES}),
        }

    # The supervisor: the main thread, where signals arrive.

    def _supervise(self) -> int:
        ending = False
        while True:
            event = self._next_event()
            self._session.tick()
            if event is None:
                if not ending and self._parent.gone():
                    ending = self._end(cancel=True)
            elif event.what == "done":
                return self._leave()
            elif event.what == "broken":
                self._cancel_all("the reader of the output is gone")
                self._session.scheduler.wait_idle(_LAST_LINES_S)
                return 74
            elif event.what == "signal":
                if len(self._signals) > 1:
                    self._exit_at_once(event.number)
                ending = self._end(cancel=True)
            elif event.what == "echo":
                self._session.count_exit(2)
                ending = self._end(cancel=True)
            elif not ending:
                ending = self._end(cancel=self._session.on_eof == "cancel")

    def _next_event(self) -> Optional[_Event]:
        try:
            return self._events.get(timeout=_TICK_S)
        except queue.Empty:
            return None

    def _on_signal(self, number: int, _: Any) -> None:
        self._signals.append(number)
        self._events.put(_Event("signal", number))

    def _exit_at_once(self, number: int) -> None:
        os._exit(128 + number)

    def _end(self, cancel: bool) -> bool:
        """Begins the end: from here on the process leaves once no job is unfinished."""
        if cancel:
            self._cancel_all("the session ends")
        else:
            for job in self._session.scheduler.all_jobs():
                job.resume()
        threading.Thread(target=self._await_idle, daemon=True).start()
        return True

    def _await_idle(self) -> None:
        self._session.scheduler.wait_idle(None)
        self._events.put(_Event("done"))

    def _cancel_all(self, reason: str) -> None:
        for job in self._session.scheduler.all_jobs():
            self._session.scheduler.cancel(job, reason)

    def _leave(self) -> int:
        if self._shutting is not None:
            self._session.answer(self._shutting.id, "shutdown", {})
        self._writer.close(None if not self._signals else _LAST_LINES_S)
        if self._signals:
            return 128 + self._signals[0]
        return self._session.exit_code

    # The reader.

    def _read(self) -> None:
        splitter = LineSplitter()
        while True:
            try:
                data = os.read(0, _READ_BYTES)
            except BlockingIOError:
                time.sleep(_TICK_S)
                continue
            except OSError:
                data = b""
            lines = splitter.push(data) if data else splitter.end()
            if not all(self._take(line) for line in lines):
                self._events.put(_Event("echo"))
                return
            if not data:
                self._events.put(_Event("eof"))
                return

    def _take(self, line: Optional[bytes]) -> bool:
        """Handles one line; false once too many in a row were events of an engine."""
        self._line += 1
        try:
            if line is None:
                message = "a line of more than %d bytes" % LINE_IN_MAX_BYTES
                raise Fault("LINE_TOO_LONG", message)
            command = parse(line)
            if command is None:
                return True
            echo = "type" in command and "seq" in command
            self._echoed = self._echoed + 1 if echo else 0
            self._wait_for_room()
            self._command(command)
        except Fault as fault:
            self._wait_for_room()
            self._session.bad_line(self._line, fault)
        return self._echoed < ECHOED_LINES_MAX

    def _wait_for_room(self) -> None:
        with self._room:
            while self._outstanding >= OUTSTANDING_MAX:
                self._room.wait()
            self._outstanding += 1

    def _answered(self) -> None:
        with self._room:
            self._outstanding -= 1
            self._room.notify()

    def _command(self, raw: Dict[str, Any]) -> None:
        fields = {
            name: value
            for name, value in raw.items()
            if name != "_meta" and not name.startswith("x_")
        }
        own = {name: fields.pop(name) for name in list(fields) if name in _ENVELOPE}
        identity = self._identity(own)
        op = own["op"] if isinstance(own.get("op"), str) else ""
        try:
            envelope = read_fields(own, _ENVELOPE)
            if self._session.scheduler.unfinished(identity):
                raise _Duplicate
            self._dispatch(identity, envelope, fields)
        except _Duplicate:
            self._release_room()
            fault = Fault("DUPLICATE_ID", "the id belongs to an unfinished command")
            raise fault from None
        except Fault as fault:
            if "id" not in own and not op:
                self._release_room()
                raise
            self._session.refuse(identity, op, fault)

    def _release_room(self) -> None:
        with self._room:
            self._outstanding -= 1

    def _identity(self, own: Dict[str, Any]) -> Id:
        if "id" not in own:
            return "auto-%d" % self._line
        try:
            return id_(own["id"], "id")
        except Fault:
            self._release_room()
            raise

    def _dispatch(self, identity: Id, envelope: Dict[str, Any], raw: Dict[str, Any]) -> None:
        op: str = envelope["op"]
        session = self._session
        is_job = op in ops.JOB_OPS or (op == "resume" and "target" not in raw)
        if self._shutting is not None and is_job:
            raise Fault("SHUTTING_DOWN", "the engine is shutting down")
        if op == "shutdown":
            self._shut_down(identity, read_fields(raw, SHUTDOWN_FIELDS))
        elif op == "resume" and (envelope["key"] is not None or "token" in raw):
            self._resume(identity, envelope, raw)
        elif op in CONTROL_OPS:
            control = CONTROL_OPS[op]
            session.answer(identity, op, control.run(session, read_fields(raw, control.fields)))
        elif op in ops.JOB_OPS:
            self._submit(identity, op, envelope, self._with_defaults(op, raw))
        else:
            raise _unknown_op(op)

    def _with_defaults(self, op: str, raw: Dict[str, Any]) -> Dict[str, Any]:
        known = ops.JOB_OPS[op].fields
        filled = {name: v for name, v in self._session.defaults.items() if name in known}
        filled.update(raw)
        return filled

    def _submit(self, identity: Id, op: str, envelope: Dict[str, Any], raw: Dict[str, Any]) -> None:
        session, scheduler = self._session, self._session.scheduler
        params = ops.JOB_OPS[op].read(raw)
        for other in envelope["after"]:
            if not scheduler.known(other):
                raise Fault("UNKNOWN_JOB", "after names an unknown command", field="after")
        job = Job(session, identity, session.job_name(), op, params, dict(envelope, raw=raw))
        if op == "batch":
            job.children = _children(session, job)
        ahead = scheduler.ahead()
        try:
            scheduler.register([job, *job.children])
        except Fault:
            raise _Duplicate from None
        with self._room:
            self._outstanding += len(job.children)
        for position, each in enumerate([job, *job.children]):
            session.emit("accepted", self._accepted(each, ahead + position))
        scheduler.enqueue(job, envelope["after"], envelope["after_status"])

    def _accepted(self, job: Job, ahead: int) -> Dict[str, Any]:
        return {
            "id": job.id,
            "job": job.name,
            "line": self._line,
            "state": "queued",
            "queue_position": ahead,
        }

    def _resume(self, identity: Id, envelope: Dict[str, Any], raw: Dict[str, Any]) -> None:
        params = read_fields(raw, RESUME_FIELDS)
        if params["target"] is not None or (params["token"] and envelope["key"]):
            message = "give one of target, token and key"
            raise Fault("INVALID_FIELD", message, field="target" if params["target"] else "token")
        key, command = stored_job(self._session, envelope["key"], params["token"])
        if key is None:
            self._submit(identity, "resume", dict(envelope, key=None), {})
            return
        stored = json.loads(command)
        self._submit(identity, stored["op"], dict(envelope, key=key), stored["fields"])

    def _shut_down(self, identity: Id, params: Dict[str, Any]) -> None:
        again = self._shutting is not None
        shutdown = _Shutdown(identity, params["mode"], params["grace_ms"])
        if again:
            self._session.answer(identity, "shutdown", {})
        else:
            self._shutting = shutdown
        if params["mode"] == "cancel":
            self._cancel_all("shutdown")
        threading.Thread(target=self._drain, args=(shutdown,), daemon=True).start()

    def _drain(self, shutdown: _Shutdown) -> None:
        grace = None if shutdown.grace_ms is None else shutdown.grace_ms / 1000
        if not self._session.scheduler.wait_idle(grace):
            self._cancel_all("the grace time of shutdown is over")
            self._session.scheduler.wait_idle(None)
        self._events.put(_Event("done"))


class _Duplicate(Exception):
    """A second use of an id; a result would end the first one, so it is an error line."""


def _unknown_op(op: str) -> Fault:
    hint = f.suggestion(op, [*ops.JOB_OPS, *CONTROL_NAMES])
    return Fault("UNKNOWN_OP", "no op of this name", field="op", hint=hint)


def _children(session: Session, parent: Job) -> List[Job]:
    return [
        Job(
            session,
            "%s/%d" % (parent.id, index),
            session.job_name(),
            item.op,
            item.params,
            {"labels": item.labels, "raw": item.raw},
        )
        for index, item in enumerate(parent.params["items"])
    ]


def _take_over_stdout() -> int:
    """A private descriptor for the output; whatever else prints goes to standard error."""
    out = os.dup(1)
    os.dup2(2, 1)
    return out


def _session_id(state: State) -> str:
    """16 hex digits whose first 8 no session of this state directory has or had in use."""
    for _ in range(16):
        candidate = secrets.token_hex(8)
        try:
            if state.begin(candidate[:8]):
                return candidate
        except Fault as fault:
            print("migration-engine: %s" % fault.message, file=sys.stderr)
            return candidate
    return secrets.token_hex(8)


def raise_handle_limit() -> None:
    """Takes as many file handles as the system allows: a walk holds one per level."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def serve(options: Options, version: str) -> int:
    """Runs a server on the standard streams; the exit code."""
    raise_handle_limit()
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    return Server(options, version).run()
