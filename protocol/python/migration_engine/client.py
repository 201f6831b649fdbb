"""The engine for threads: one process, many commands."""

from __future__ import annotations

import collections
import itertools
import json
import logging
import os
import queue
import sys
import threading
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Deque,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Type,
    TypeVar,
    Union,
)

from .errors import EngineCrashed, MigrationError, from_wire
from .job import Job, cancelled_error
from .messages import (
    BatchData,
    ChecksumData,
    CleanupData,
    CompressData,
    CopyData,
    Data,
    DecompressData,
    Event,
    Id,
    Info,
    InspectData,
    JobInfo,
    Limits,
    MonitorData,
    PlanData,
    Progress,
    TablesData,
    VerifyData,
    read_job_info,
)
from .options import (
    BatchOptions,
    ChangeOptions,
    ChecksumOptions,
    CleanupOptions,
    CompressOptions,
    CopyOptions,
    DecompressOptions,
    EnvelopeOptions,
    MonitorOptions,
    SelectionOptions,
    TablesOptions,
    VerifyOptions,
)
from .paths import AnyPath, Location, to_wire
from .process import SHUTDOWN_S, EngineConfig, start

if TYPE_CHECKING:
    if sys.version_info >= (3, 11):
        from typing import Unpack
    else:
        from typing_extensions import Unpack

D = TypeVar("D", bound=Data)
OnProgress = Optional[Callable[[Progress], None]]
Target = Union[Id, "Job[Any]", Mapping[str, str]]

CONTROL_TIMEOUT_S = 30.0
# Commands kept free below the engine's bound, so that a cancel always gets through.
_KEPT_FREE = 64
_LAST_WORD_S = 1.0
_DATA: Dict[str, Type[Data]] = {
    "batch": BatchData,
    "checksum": ChecksumData,
    "cleanup": CleanupData,
    "compress": CompressData,
    "copy": CopyData,
    "decompress": DecompressData,
    "inspect": InspectData,
    "monitor": MonitorData,
    "plan": PlanData,
    "tables": TablesData,
    "verify": VerifyData,
}
_CONTROL = ("hello", "ping", "cancel", "pause", "limits", "jobs", "shutdown")
_LOCATIONS = ("src", "dst", "manifest", "check", "locations")
_LOG = logging.getLogger("migration_engine")


def encode(command: Mapping[str, Any]) -> bytes:
    """A command as a line; ``ValueError`` for what JSON does not hold, such as NaN."""
    text = json.dumps(command, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8") + b"\n"


class _Unsent(NamedTuple):
    """A command that waits to be sent, and its turn."""

    turn: int
    job: Job[Any]
    line: bytes


class Engine:
    """A session with an engine: the binary, or pure Python where it is absent.

    A context manager; all methods may be called from any thread. Job methods return at once with
    a :class:`Job`. An engine belongs to the process that opened it: it can neither be pickled
    (an :class:`EngineConfig` can) nor be used after a fork.

    ``on_event`` hears of every line, on the callback thread.
    """

    def __init__(
        self,
        binary: Optional[AnyPath] = None,
        *,
        config: Optional[EngineConfig] = None,
        on_event: Optional[Callable[[Event], None]] = None,
        **settings: Any,
    ) -> None:
        """``settings`` are fields of :class:`EngineConfig`, unless a whole ``config`` is given.

        Raises :class:`EngineNotFound` where no engine can be used.
        """
        if config is None:
            config = EngineConfig(binary=binary, **settings)
        self.config = config
        self._on_event = on_event
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._room = threading.Condition(self._lock)
        self._jobs: Dict[Id, Job[Any]] = {}
        self._counted: Set[Id] = set()
        self._urgent: Deque[_Unsent] = collections.deque()
        self._ordinary: Deque[_Unsent] = collections.deque()
        self._writing = False
        self._numbers = itertools.count(1)
        self._turns = itertools.count()
        self._closing = False
        self._ended = threading.Event()
        self._calls: "queue.SimpleQueue[Optional[Callable[[], None]]]" = queue.SimpleQueue()
        self._process = start(config)
        self.info = Info.read(self._process.hello)
        self._bound = max(1, self.info.outstanding - _KEPT_FREE)
        self._caller = self._start_thread(self._call, "engine-callbacks")
        self._sender = self._start_thread(self._send, "engine-stdin")
        if on_event is not None:
            hello = self._process.hello
            self._calls.put(lambda: on_event(hello))
        self._process.handle(self._deliver, self._end)
        if config.introduce:
            self._introduce()

    def _introduce(self) -> None:
        config = self.config
        fields: Dict[str, Any] = {
            "protocol": [1],
            "client": {"name": "migration_engine (Python)", "version": self.info.version},
            "on_eof": "cancel",
            "progress_ms": config.progress_ms,
        }
        if config.events is not None:
            fields["events"] = list(config.events)
        if config.defaults:
            fields["defaults"] = dict(config.defaults)
        try:
            self.control("hello", fields)
        except BaseException:
            self._process.kill()
            raise

    # Life.

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def __reduce__(self) -> Any:
        raise TypeError("an Engine cannot be pickled; pickle its EngineConfig and open another")

    def check_process(self) -> None:
        """Raises ``RuntimeError`` in any process but the one that opened the engine."""
        if os.getpid() != self._pid:
            raise RuntimeError("an Engine cannot be used after a fork; open another one")

    @property
    def closed(self) -> bool:
        """Whether the engine has ended."""
        return self._ended.is_set()

    @property
    def returncode(self) -> Optional[int]:
        """The engine's exit code once it ended; negative for a signal."""
        return self._process.returncode

    @property
    def stderr(self) -> str:
        """The end of what the engine said on standard error."""
        return self._process.stderr.text()

    def close(self, *, drain: bool = False, timeout: Optional[float] = SHUTDOWN_S) -> None:
        """Ends the engine; jobs that are not done are cancelled, or with ``drain`` finished.

        After ``timeout`` seconds, which with ``drain`` begin once all is finished, its process
        group gets TERM, and KILL five seconds later.
        """
        self.check_process()
        with self._lock:
            first = not self._closing
            self._closing = True
            unsent = [] if drain else list(self._ordinary)
            if not drain:
                self._ordinary.clear()
        for one in unsent:
            one.job.fail(cancelled_error(one.job.id))
        if first and not self.closed:
            self._post_shutdown(drain)
        if drain:
            # The input stays open: its end would cancel what is being finished.
            self._process.wait(None)
        self._process.end(timeout)
        self._ended.wait(1.0)
        self._calls.put(None)
        if threading.current_thread() is not self._caller:
            self._caller.join(timeout)

    def _post_shutdown(self, drain: bool) -> None:
        mode = "drain" if drain else "cancel"
        if drain:
            with self._room:
                self._room.wait_for(lambda: not self._ordinary or self.closed)
        job: Job[Data] = Job(self, self._new_id(), "shutdown", Data)
        self._queue(job, {"op": "shutdown", "id": job.id, "mode": mode}, urgent=True)
        with self._room:
            # The end of input must not overtake it.
            self._room.wait_for(self._all_sent, _LAST_WORD_S)

    def _all_sent(self) -> bool:
        return self.closed or not (self._urgent or self._ordinary or self._writing)

    # Jobs.

    def copy(
        self,
        src: Location,
        dst: Location,
        *,
        on_progress: OnProgress = None,
        **options: "Unpack[CopyOptions]",
    ) -> Job[CopyData]:
        """Copies a file, link or tree; ``dst`` names the copy itself."""
        return self._job("copy", CopyData, dict(options, src=src, dst=dst), on_progress)

    def checksum(
        self,
        src: Union[Location, Sequence[Location]],
        *,
        on_progress: OnProgress = None,
        **options: "Unpack[ChecksumOptions]",
    ) -> Job[ChecksumData]:
        """Digests files and trees, or compares them with a manifest."""
        return self._job("checksum", ChecksumData, dict(options, src=src), on_progress)

    def verify(
        self,
        src: Location,
        dst: Location,
        *,
        on_progress: OnProgress = None,
        **options: "Unpack[VerifyOptions]",
    ) -> Job[VerifyData]:
        """Compares two files or trees; differences make it fail."""
        return self._job("verify", VerifyData, dict(options, src=src, dst=dst), on_progress)

    def inspect(self, src: Location, **options: "Unpack[SelectionOptions]") -> Job[InspectData]:
        """Says what is there."""
        return self._job("inspect", InspectData, dict(options, src=src))

    def plan(
        self, command: Mapping[str, Any], **options: "Unpack[EnvelopeOptions]"
    ) -> Job[PlanData]:
        """Says what ``command`` would do, and touches nothing."""
        return self._job("plan", PlanData, dict(options, command=_wire(command)))

    def tables(
        self,
        src: Location,
        dst: Location,
        *,
        on_progress: OnProgress = None,
        **options: "Unpack[TablesOptions]",
    ) -> Job[TablesData]:
        """Copies tables from one database to another."""
        return self._job("tables", TablesData, dict(options, src=src, dst=dst), on_progress)

    def compress(
        self,
        src: Location,
        dst: Location,
        *,
        on_progress: OnProgress = None,
        **options: "Unpack[CompressOptions]",
    ) -> Job[CompressData]:
        """Compresses a file, or makes an archive of a directory."""
        return self._job("compress", CompressData, dict(options, src=src, dst=dst), on_progress)

    def decompress(
        self,
        src: Location,
        dst: Location,
        *,
        on_progress: OnProgress = None,
        **options: "Unpack[DecompressOptions]",
    ) -> Job[DecompressData]:
        """Decompresses a file to the file ``dst``, or an archive into the directory ``dst``."""
        return self._job("decompress", DecompressData, dict(options, src=src, dst=dst), on_progress)

    def monitor(self, **options: "Unpack[MonitorOptions]") -> Job[MonitorData]:
        """Measures once, or with ``interval_ms`` sends samples until it is cancelled."""
        return self._job("monitor", MonitorData, dict(options))

    def cleanup(self, **options: "Unpack[CleanupOptions]") -> Job[CleanupData]:
        """Removes what dead jobs left behind."""
        return self._job("cleanup", CleanupData, dict(options))

    def batch(
        self, commands: Sequence[Mapping[str, Any]], **options: "Unpack[BatchOptions]"
    ) -> Job[BatchData]:
        """Runs several commands; ``children`` of the job are theirs, in the same order."""
        items = [_wire(command) for command in commands]
        return self._job("batch", BatchData, dict(options, items=items))

    def map(
        self, commands: Iterable[Mapping[str, Any]], max_outstanding: int = 64
    ) -> Iterator[Job[Any]]:
        """Runs any number of commands; yields each job once it is done, as they end.

        At most ``max_outstanding`` are under way, so that an endless ``commands`` needs bounded
        memory. Nothing is raised for a failed one: see :meth:`Job.result`.
        """
        done: "queue.SimpleQueue[Job[Any]]" = queue.SimpleQueue()
        under_way = 0
        for command in commands:
            if under_way >= max_outstanding:
                yield done.get()
                under_way -= 1
            job = self.command(command)
            job.add_done_callback(lambda job=job: done.put(job))  # type: ignore[misc]
            under_way += 1
        for _ in range(under_way):
            yield done.get()

    def command(self, command: Mapping[str, Any], *, on_progress: OnProgress = None) -> Job[Any]:
        """Sends any command as the wire has it; an ``id`` is given where it has none."""
        fields = dict(command)
        op = str(fields.pop("op"))
        return self._job(op, _DATA.get(op, Data), fields, on_progress)

    def send_line(self, line: bytes) -> None:
        """Sends a line as it is, newline included: for hosts that have lines already.

        Its events reach only ``on_event``.
        """
        self.check_process()
        self._process.write(line)

    def end_input(self) -> None:
        """Ends the engine's input after what was sent; it finishes or cancels by ``on_eof``."""
        self._process.close_input()

    def wait_closed(self, timeout: Optional[float] = None) -> bool:
        """Waits for the end of the engine, at most ``timeout`` seconds; whether it came."""
        return self._ended.wait(timeout)

    # Control.

    def ping(self, timeout: float = CONTROL_TIMEOUT_S) -> None:
        """Returns once the engine answered."""
        self.control("ping", {}, timeout)

    def limits(self, target: Optional[Target] = None, **changes: "Unpack[ChangeOptions]") -> Limits:
        """Changes bounds of a job, or of the whole engine; answers those in force."""
        fields: Dict[str, Any] = dict(changes)
        if target is not None:
            fields["target"] = _target(target)
        data = self.control("limits", fields)
        return Limits(
            data.get("bytes_per_s"),
            data.get("ops_per_s"),
            int(data["jobs"]),
            data.get("rows_per_s"),
        )

    def jobs(self, state: Optional[Sequence[str]] = None) -> List[JobInfo]:
        """All jobs in one of the states ``state``; by default those that are not finished."""
        listed: List[JobInfo] = []
        cursor: Optional[str] = None
        while True:
            fields: Dict[str, Any] = {} if state is None else {"state": list(state)}
            if cursor is not None:
                fields["cursor"] = cursor
            data = self.control("jobs", fields)
            listed.extend(read_job_info(one) for one in data["jobs"])
            cursor = data.get("cursor")
            if cursor is None:
                return listed

    def cancel(self, target: Target, reason: Optional[str] = None) -> List[Mapping[str, Any]]:
        """Cancels jobs; the list of those found. One that has ended is no error."""
        if not isinstance(target, Mapping) and self._withdraw(_target(target)):
            return []
        fields: Dict[str, Any] = {"target": _target(target)}
        if reason is not None:
            fields["reason"] = reason
        found: List[Mapping[str, Any]] = self.control("cancel", fields).get("jobs", [])
        return found

    def pause(self, target: Target) -> List[Mapping[str, Any]]:
        """Holds jobs; the list of those found."""
        found: List[Mapping[str, Any]] = self.control("pause", {"target": _target(target)})["jobs"]
        return found

    def resume(self, target: Target) -> List[Mapping[str, Any]]:
        """Lets paused jobs go on; the list of those found."""
        fields = {"target": _target(target)}
        found: List[Mapping[str, Any]] = self.control("resume", fields)["jobs"]
        return found

    def resume_stored(self, *, token: Optional[str] = None, key: Optional[str] = None) -> Job[Any]:
        """Runs a stored keyed command again, by a checkpoint's token or by its key."""
        fields = {name: v for name, v in (("token", token), ("key", key)) if v is not None}
        return self._job("resume", Data, fields)

    def control(
        self, op: str, fields: Mapping[str, Any], timeout: float = CONTROL_TIMEOUT_S
    ) -> Mapping[str, Any]:
        """Sends a control op and waits for its ``data``; raises as :meth:`Job.result` does."""
        outcome = self._job(op, Data, fields, urgent=True).outcome(timeout)
        if not outcome.ok:
            raise from_wire(outcome.raw.get("error") or {}, outcome.raw)
        return outcome.data.raw

    # Sending.

    def _new_id(self) -> str:
        return "py-%d" % next(self._numbers)

    def _job(
        self,
        op: str,
        kind: Type[D],
        fields: Mapping[str, Any],
        on_progress: OnProgress = None,
        urgent: bool = False,
    ) -> Job[D]:
        self.check_process()
        command = _wire(fields)
        id_ = command.setdefault("id", self._new_id())
        job: Job[D] = Job(self, id_, op, kind, on_progress)
        if op == "batch":
            job.children = tuple(
                Job(self, "%s/%d" % (id_, at), str(item.get("op")), _data_of(item))
                for at, item in enumerate(command["items"])
            )
        line = dict({"op": op}, **command)
        encode(line)
        with self._room:
            if self._closing or self.closed:
                raise MigrationError("the engine is closed", code="CLOSED", class_="config")
            self._register(job)
            self._queue(job, line, urgent or op in _CONTROL)
        return job

    def _queue(self, job: Job[Any], command: Mapping[str, Any], urgent: bool) -> None:
        with self._room:
            unsent = _Unsent(next(self._turns), job, encode(command))
            (self._urgent if urgent else self._ordinary).append(unsent)
            self._room.notify_all()

    def _withdraw(self, id_: Id) -> bool:
        """Takes back a command that was not sent yet; whether there was one."""
        with self._room:
            found = [one for one in self._ordinary if one.job.id == id_]
            for one in found:
                self._ordinary.remove(one)
                self._forget(one.job)
        for one in found:
            one.job.fail(cancelled_error(id_))
        return bool(found)

    def _register(self, job: Job[Any]) -> None:
        for each in (job, *job.children):
            if each.id in self._jobs:
                raise MigrationError(
                    "the id %r is in use" % each.id, code="DUPLICATE_ID", class_="config"
                )
        for each in (job, *job.children):
            self._jobs[each.id] = each

    def _send(self) -> None:
        while True:
            with self._room:
                self._room.wait_for(self._sendable)
                if self.closed:
                    return
                line = self._next().line
                self._writing = True
            try:
                self._process.write(line)
            except (OSError, ValueError):
                # The reader sees the end of the engine and fails what is open.
                return
            finally:
                with self._room:
                    self._writing = False
                    self._room.notify_all()

    def _sendable(self) -> bool:
        return self.closed or bool(self._urgent) or self._has_room()

    def _has_room(self) -> bool:
        return bool(self._ordinary) and len(self._counted) < self._bound

    def _next(self) -> "_Unsent":
        """In the order they came; what is urgent overtakes only what must wait for room."""
        urgent = self._urgent[0] if self._urgent else None
        if urgent is not None and not (self._has_room() and self._ordinary[0].turn < urgent.turn):
            return self._urgent.popleft()
        unsent = self._ordinary.popleft()
        self._counted.update(each.id for each in (unsent.job, *unsent.job.children))
        return unsent

    # Receiving: on the reader thread, which runs no code of the host.

    def _deliver(self, line: Event) -> None:
        on_event = self._on_event
        if on_event is not None:
            self._calls.put(lambda: on_event(line))
        id_ = line.get("id")
        job = self._jobs.get(id_) if isinstance(id_, (str, int)) else None
        if job is None:
            return
        if line.get("type") == "result":
            with self._room:
                self._forget(job)
        job.deliver(line)
        if line.get("type") == "result":
            for child in job.children:
                # The items of a batch that was refused never ran.
                child.fail(from_wire(line.get("error") or {}, None))

    def _forget(self, job: Job[Any]) -> None:
        for each in (job, *job.children):
            self._jobs.pop(each.id, None)
            self._counted.discard(each.id)
        self._room.notify_all()

    def _end(self) -> None:
        with self._room:
            jobs = list(self._jobs.values())
            self._jobs.clear()
            self._ordinary.clear()
            self._urgent.clear()
            self._ended.set()
            self._room.notify_all()
        for job in jobs:
            job.fail(self._crash(job))
        self._calls.put(None)

    def _crash(self, job: Job[Any]) -> MigrationError:
        if self._closing:
            return cancelled_error(job.id)
        code = self._process.returncode
        how = (
            "by signal %d" % -code if code is not None and code < 0 else "with exit code %s" % code
        )
        return EngineCrashed(
            "the engine ended %s before it answered %s %s" % (how, job.op, job.id),
            stderr=self.stderr,
            returncode=code,
            checkpoint=job.checkpoint,
            hint="see stderr; with a key, or resume_stored(token=checkpoint), it goes on",
        )

    # Callbacks.

    def call_back(self, call: Callable[[Progress], None], progress: Progress) -> None:
        """Runs a callback of the host on the callback thread."""
        self._calls.put(lambda: call(progress))

    def _call(self) -> None:
        while True:
            call = self._calls.get()
            if call is None:
                return
            try:
                call()
            except Exception:
                _LOG.exception("a callback raised")

    def _start_thread(self, target: Callable[[], None], name: str) -> threading.Thread:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        return thread


def _data_of(command: Mapping[str, Any]) -> Type[Data]:
    return _DATA.get(str(command.get("op")), Data)


def _target(target: Target) -> Any:
    if isinstance(target, Job):
        return target.id
    return {"label": dict(target)} if isinstance(target, Mapping) else target


def _wire(fields: Mapping[str, Any]) -> Dict[str, Any]:
    """``fields`` with every location as the wire takes it."""
    return {
        name: _locations(value) if name in _LOCATIONS else value for name, value in fields.items()
    }


def _locations(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [to_wire(one) for one in value]
    return to_wire(value)
