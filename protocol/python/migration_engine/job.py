"""A handle on one command."""

from __future__ import annotations

import collections
import threading
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Deque,
    Generic,
    Iterator,
    List,
    Mapping,
    Optional,
    Tuple,
    Type,
    TypeVar,
)

from .errors import Cancelled, MigrationError, from_wire
from .messages import Data, Event, Id, Progress, Result, read_result

if TYPE_CHECKING:
    from .client import Engine

D = TypeVar("D", bound=Data)
Listener = Callable[[Event], None]
_EVENTS_KEPT = 1024


class Job(Generic[D]):
    """One command, from its sending to its result.

    Safe to use from any thread. ``children`` are the items of a batch, in its order.
    """

    def __init__(
        self,
        engine: "Engine",
        id_: Id,
        op: str,
        kind: Type[D],
        on_progress: Optional[Callable[[Progress], None]] = None,
    ) -> None:
        self._engine = engine
        self._kind = kind
        self._on_progress = on_progress
        self.id = id_
        self.op = op
        self.name: Optional[str] = None
        self.state = "sent"
        self.checkpoint: Optional[str] = None
        self.children: Tuple["Job[Any]", ...] = ()
        self._changed = threading.Condition()
        self._kept: Deque[Event] = collections.deque(maxlen=_EVENTS_KEPT)
        self._seen = 0
        self._line: Optional[Event] = None
        self._error: Optional[MigrationError] = None
        self._progress: Optional[Progress] = None
        self._done = False
        self._when_done: List[Callable[[], None]] = []
        self._listeners: List[Listener] = []

    # For the host.

    @property
    def done(self) -> bool:
        """Whether it has been answered, or its engine ended."""
        return self._done

    @property
    def progress(self) -> Optional[Progress]:
        """The newest progress, if any came."""
        return self._progress

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Waits for the end, at most ``timeout`` seconds; whether it came."""
        self._engine.check_process()
        with self._changed:
            return self._changed.wait_for(lambda: self._done, timeout)

    def outcome(self, timeout: Optional[float] = None) -> Result[D]:
        """The result whatever its status.

        Raises ``TimeoutError``, :class:`EngineCrashed` where the engine ended first, and
        :class:`Cancelled` where the command was taken back before it was sent.
        """
        if not self.wait(timeout):
            raise TimeoutError("%s %s has not ended" % (self.op, self.id))
        if self._line is None:
            raise self._error or MigrationError("no result")
        return read_result(self._line, self._kind.read(self._line.get("data") or {}))

    def result(self, timeout: Optional[float] = None, *, allow_partial: bool = False) -> Result[D]:
        """The result of a command that ended well.

        Raises by the error's class where it failed or was skipped, :class:`Cancelled` where it was
        cancelled, and :class:`PartialFailure` where some items failed, unless ``allow_partial``.
        Also what :meth:`outcome` raises.
        """
        outcome = self.outcome(timeout)
        if outcome.ok or (allow_partial and outcome.status == "partial"):
            return outcome
        raise from_wire(outcome.raw.get("error") or {}, outcome.raw)

    def exception(self, timeout: Optional[float] = None) -> Optional[MigrationError]:
        """What :meth:`result` would raise, ``None`` where it would not."""
        try:
            self.result(timeout)
        except MigrationError as error:
            return error
        return None

    def events(self, timeout: Optional[float] = None) -> Iterator[Event]:
        """All its lines, up to and including the result.

        Of those that came before they were read, the newest 1024 are kept. ``timeout`` bounds the
        wait for each line, in seconds, and raises ``TimeoutError``. Where the engine ends first,
        raises :class:`EngineCrashed`.
        """
        position = 0
        while True:
            with self._changed:
                if not self._changed.wait_for(
                    lambda at=position: self._seen > at or self._done,  # type: ignore[misc]
                    timeout,
                ):
                    raise TimeoutError("no event of %s %s" % (self.op, self.id))
                oldest = self._seen - len(self._kept)
                fresh = list(self._kept)[max(0, position - oldest) :]
                position = self._seen
                ended = self._done
            yield from fresh
            if ended:
                if self._line is None and self._error is not None:
                    raise self._error
                return

    def cancel(self, reason: Optional[str] = None) -> None:
        """Asks for its end; its own result then says ``cancelled``."""
        self._engine.cancel(self.id, reason)

    def pause(self) -> None:
        """Holds it before its next chunk."""
        self._engine.control("pause", {"target": self.id})

    def resume(self) -> None:
        """Lets it go on after :meth:`pause`."""
        self._engine.control("resume", {"target": self.id})

    def __repr__(self) -> str:
        return "<Job %s %r %s>" % (self.op, self.id, self.state)

    # For the engine.

    def add_done_callback(self, call: Callable[[], None]) -> None:
        """Calls ``call`` once the job is done, on any thread; it must be brief."""
        with self._changed:
            if not self._done:
                self._when_done.append(call)
                return
        call()

    def listen(self, listener: Listener) -> None:
        """Calls ``listener`` with each line, those kept included; it must be brief."""
        with self._changed:
            kept = list(self._kept)
            self._listeners.append(listener)
            for line in kept:
                listener(line)

    def deliver(self, line: Event) -> None:
        """Takes a line from the engine."""
        kind = line.get("type")
        with self._changed:
            self._kept.append(line)
            self._seen += 1
            self._note(kind, line)
            for listener in self._listeners:
                listener(line)
            self._changed.notify_all()
        if kind == "progress" and self._on_progress is not None and self._progress is not None:
            self._engine.call_back(self._on_progress, self._progress)
        if kind == "result":
            self._end()

    def _note(self, kind: Any, line: Mapping[str, Any]) -> None:
        if kind == "accepted":
            self.name = line.get("job")
            self.state = "queued"
        elif kind == "state":
            self.state = str(line.get("state"))
        elif kind == "progress":
            self._progress = Progress.read(line)
        elif kind == "checkpoint":
            self.checkpoint = line.get("token")
        elif kind == "result":
            self.name = line.get("job", self.name)
            self.state = "finished"
            self._line = line

    def fail(self, error: MigrationError) -> None:
        """The engine will not answer any more."""
        with self._changed:
            if self._done:
                return
            self._error = error
            self.state = "lost"
        self._end()

    def _end(self) -> None:
        with self._changed:
            self._done = True
            calls, self._when_done = self._when_done, []
            self._changed.notify_all()
        for call in calls:
            call()


def cancelled_error(id_: Id) -> Cancelled:
    """For a command that was never sent."""
    return Cancelled(
        "the engine was closed before %s was sent" % id_, code="CANCELLED", class_="config"
    )
