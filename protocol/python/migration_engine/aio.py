"""The engine for asyncio: a facade over the threads of :class:`Engine`.

Pipes and processes stay with threads, so that it works with every event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
from typing import (
    TYPE_CHECKING,
    Any,
    AsyncIterator,
    Callable,
    Generator,
    Generic,
    Iterable,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
    Tuple,
    TypeVar,
    Union,
)

from .client import Engine, OnProgress, Target
from .errors import MigrationError
from .job import Job
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
    Result,
    TablesData,
    VerifyData,
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
from .paths import AnyPath, Location
from .process import SHUTDOWN_S

if TYPE_CHECKING:
    if sys.version_info >= (3, 11):
        from typing import Unpack
    else:
        from typing_extensions import Unpack

D = TypeVar("D", bound=Data)
T = TypeVar("T")


class AsyncJob(Generic[D]):
    """A job that can be awaited: ``await job`` is :meth:`result`."""

    def __init__(self, job: Job[D], loop: asyncio.AbstractEventLoop) -> None:
        self._job = job
        self._loop = loop
        self._done = asyncio.Event()
        job.add_done_callback(lambda: _soon(loop, self._done.set))

    @property
    def id(self) -> Id:
        """The command's id."""
        return self._job.id

    @property
    def op(self) -> str:
        """The command's op."""
        return self._job.op

    @property
    def state(self) -> str:
        """Where it stands."""
        return self._job.state

    @property
    def progress(self) -> Optional[Progress]:
        """The newest progress, if any came."""
        return self._job.progress

    @property
    def children(self) -> Tuple["AsyncJob[Any]", ...]:
        """The items of a batch, in its order."""
        return tuple(AsyncJob(child, self._loop) for child in self._job.children)

    def __await__(self) -> Generator[Any, None, Result[D]]:
        return self.result().__await__()

    async def outcome(self) -> Result[D]:
        """As :meth:`Job.outcome`."""
        await self._done.wait()
        return self._job.outcome(0)

    async def result(self, *, allow_partial: bool = False) -> Result[D]:
        """As :meth:`Job.result`."""
        await self._done.wait()
        return self._job.result(0, allow_partial=allow_partial)

    async def events(self) -> AsyncIterator[Event]:
        """As :meth:`Job.events`."""
        lines: "asyncio.Queue[Optional[Event]]" = asyncio.Queue()
        loop = self._loop
        self._job.listen(lambda line: _soon(loop, functools.partial(lines.put_nowait, line)))
        self._job.add_done_callback(lambda: _soon(loop, lambda: lines.put_nowait(None)))
        while True:
            line = await lines.get()
            if line is None:
                # Raises where the engine ended without an answer.
                self._job.outcome(0)
                return
            yield line

    async def cancel(self, reason: Optional[str] = None) -> None:
        """As :meth:`Job.cancel`."""
        await _in_thread(self._loop, self._job.cancel, reason)

    async def pause(self) -> None:
        """As :meth:`Job.pause`."""
        await _in_thread(self._loop, self._job.pause)

    async def resume(self) -> None:
        """As :meth:`Job.resume`."""
        await _in_thread(self._loop, self._job.resume)


class AsyncEngine:
    """A session with an engine, for ``async with``.

    ``on_progress`` callbacks run on the event loop. Arguments are those of :class:`Engine`.
    """

    def __init__(self, binary: Optional[AnyPath] = None, **settings: Any) -> None:
        self._settings = dict(settings, binary=binary)
        self._opened: Optional[Engine] = None
        self._loop: Optional[asyncio.AbstractEventLoop] = None

    async def open(self) -> "AsyncEngine":
        """Starts the engine."""
        self._loop = asyncio.get_running_loop()
        self._opened = await _in_thread(self._loop, lambda: Engine(**self._settings))
        return self

    async def __aenter__(self) -> "AsyncEngine":
        return await self.open()

    async def __aexit__(self, *error: Any) -> None:
        await self.close()

    def __reduce__(self) -> Any:
        raise TypeError("an AsyncEngine cannot be pickled; pickle an EngineConfig")

    @property
    def _engine(self) -> Engine:
        if self._opened is None:
            raise MigrationError("the engine is not open", code="CLOSED", class_="config")
        return self._opened

    @property
    def info(self) -> Info:
        """Who answers."""
        return self._engine.info

    async def close(self, *, drain: bool = False, timeout: Optional[float] = SHUTDOWN_S) -> None:
        """As :meth:`Engine.close`."""
        if self._opened is not None:
            await self._run(lambda: self._engine.close(drain=drain, timeout=timeout))

    def copy(
        self,
        src: Location,
        dst: Location,
        *,
        on_progress: OnProgress = None,
        **options: "Unpack[CopyOptions]",
    ) -> AsyncJob[CopyData]:
        """As :meth:`Engine.copy`."""
        shown = self._on_loop(on_progress)
        return self._wrap(self._engine.copy(src, dst, on_progress=shown, **options))

    def checksum(
        self,
        src: Union[Location, Sequence[Location]],
        *,
        on_progress: OnProgress = None,
        **options: "Unpack[ChecksumOptions]",
    ) -> AsyncJob[ChecksumData]:
        """As :meth:`Engine.checksum`."""
        shown = self._on_loop(on_progress)
        return self._wrap(self._engine.checksum(src, on_progress=shown, **options))

    def verify(
        self,
        src: Location,
        dst: Location,
        *,
        on_progress: OnProgress = None,
        **options: "Unpack[VerifyOptions]",
    ) -> AsyncJob[VerifyData]:
        """As :meth:`Engine.verify`."""
        shown = self._on_loop(on_progress)
        return self._wrap(self._engine.verify(src, dst, on_progress=shown, **options))

    def inspect(
        self, src: Location, **options: "Unpack[SelectionOptions]"
    ) -> AsyncJob[InspectData]:
        """As :meth:`Engine.inspect`."""
        return self._wrap(self._engine.inspect(src, **options))

    def plan(
        self, command: Mapping[str, Any], **options: "Unpack[EnvelopeOptions]"
    ) -> AsyncJob[PlanData]:
        """As :meth:`Engine.plan`."""
        return self._wrap(self._engine.plan(command, **options))

    def tables(
        self,
        src: Location,
        dst: Location,
        *,
        on_progress: OnProgress = None,
        **options: "Unpack[TablesOptions]",
    ) -> AsyncJob[TablesData]:
        """As :meth:`Engine.tables`."""
        shown = self._on_loop(on_progress)
        return self._wrap(self._engine.tables(src, dst, on_progress=shown, **options))

    def compress(
        self,
        src: Location,
        dst: Location,
        *,
        on_progress: OnProgress = None,
        **options: "Unpack[CompressOptions]",
    ) -> AsyncJob[CompressData]:
        """As :meth:`Engine.compress`."""
        shown = self._on_loop(on_progress)
        return self._wrap(self._engine.compress(src, dst, on_progress=shown, **options))

    def decompress(
        self,
        src: Location,
        dst: Location,
        *,
        on_progress: OnProgress = None,
        **options: "Unpack[DecompressOptions]",
    ) -> AsyncJob[DecompressData]:
        """As :meth:`Engine.decompress`."""
        shown = self._on_loop(on_progress)
        return self._wrap(self._engine.decompress(src, dst, on_progress=shown, **options))

    def monitor(self, **options: "Unpack[MonitorOptions]") -> AsyncJob[MonitorData]:
        """As :meth:`Engine.monitor`."""
        return self._wrap(self._engine.monitor(**options))

    def cleanup(self, **options: "Unpack[CleanupOptions]") -> AsyncJob[CleanupData]:
        """As :meth:`Engine.cleanup`."""
        return self._wrap(self._engine.cleanup(**options))

    def batch(
        self, commands: Sequence[Mapping[str, Any]], **options: "Unpack[BatchOptions]"
    ) -> AsyncJob[BatchData]:
        """As :meth:`Engine.batch`."""
        return self._wrap(self._engine.batch(commands, **options))

    def command(self, command: Mapping[str, Any]) -> AsyncJob[Any]:
        """As :meth:`Engine.command`."""
        return self._wrap(self._engine.command(command))

    async def map(
        self, commands: Iterable[Mapping[str, Any]], max_outstanding: int = 64
    ) -> AsyncIterator[AsyncJob[Any]]:
        """As :meth:`Engine.map`."""
        under_way: Set["asyncio.Task[AsyncJob[Any]]"] = set()
        for command in commands:
            if len(under_way) >= max_outstanding:
                done, under_way = await _first(under_way)
                for task in done:
                    yield task.result()
            under_way.add(asyncio.ensure_future(_until_done(self.command(command))))
        while under_way:
            done, under_way = await _first(under_way)
            for task in done:
                yield task.result()

    async def ping(self) -> None:
        """As :meth:`Engine.ping`."""
        await self._run(self._engine.ping)

    async def limits(
        self, target: Optional[Target] = None, **changes: "Unpack[ChangeOptions]"
    ) -> Limits:
        """As :meth:`Engine.limits`."""
        return await self._run(lambda: self._engine.limits(target, **changes))

    async def jobs(self, state: Optional[Sequence[str]] = None) -> List[JobInfo]:
        """As :meth:`Engine.jobs`."""
        return await self._run(lambda: self._engine.jobs(state))

    async def cancel(self, target: Target, reason: Optional[str] = None) -> List[Mapping[str, Any]]:
        """As :meth:`Engine.cancel`."""
        return await self._run(lambda: self._engine.cancel(target, reason))

    def _wrap(self, job: Job[D]) -> AsyncJob[D]:
        return AsyncJob(job, self._running_loop())

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise MigrationError("the engine is not open", code="CLOSED", class_="config")
        return self._loop

    async def _run(self, call: Callable[[], T]) -> T:
        return await _in_thread(self._running_loop(), call)

    def _on_loop(self, on_progress: OnProgress) -> OnProgress:
        if on_progress is None:
            return None
        loop = self._running_loop()
        return lambda progress: _soon(loop, functools.partial(on_progress, progress))


async def _until_done(job: AsyncJob[Any]) -> AsyncJob[Any]:
    with contextlib.suppress(MigrationError):
        await job.outcome()
    return job


async def _first(
    tasks: Set["asyncio.Task[AsyncJob[Any]]"],
) -> Tuple[Set["asyncio.Task[AsyncJob[Any]]"], Set["asyncio.Task[AsyncJob[Any]]"]]:
    return await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


async def _in_thread(loop: asyncio.AbstractEventLoop, call: Callable[..., T], *arguments: Any) -> T:
    return await loop.run_in_executor(None, functools.partial(call, *arguments))


def _soon(loop: asyncio.AbstractEventLoop, call: Callable[[], Any]) -> None:
    # A loop that is closed has nobody left to tell.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(call)
