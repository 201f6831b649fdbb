"""Finding the engine, starting it, and ending it for certain."""

from __future__ import annotations

import atexit
import collections
import contextlib
import json
import os
import shutil
import signal
import site
import subprocess
import sys
import sysconfig
import threading
import time
import warnings
from dataclasses import dataclass, field
from typing import Any, Callable, Deque, Dict, Iterator, List, Mapping, Optional, Set, Tuple

from .errors import EngineNotFound
from .paths import AnyPath

PROTOCOL = 1
BINARY = "migration-engine"
HELLO_TIMEOUT_S = 5.0
SHUTDOWN_S = 10.0
TERMINATE_S = 5.0
_STDERR_KEPT_BYTES = 64 << 10
_LINE_BYTES_MAX = 1 << 20
_PACKAGE_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Isolated and without site: the host's working directory and packages must not shadow anything.
_FALLBACK_START = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from migration_engine.__main__ import main; sys.exit(main())"
)

LineHandler = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class EngineConfig:
    """How an engine is found and started. It can be pickled; an engine cannot.

    ``backend`` is ``auto``, ``native`` or ``python`` (default: ``MIGRATION_ENGINE_BACKEND``, then
    ``auto``). ``env`` is added to the environment. With ``introduce`` false no ``hello`` command
    is sent, so that the host's own lines are the first.
    """

    binary: Optional[AnyPath] = None
    backend: Optional[str] = None
    state_dir: Optional[AnyPath] = None
    cwd: Optional[AnyPath] = None
    env: Mapping[str, str] = field(default_factory=dict)
    arguments: Tuple[str, ...] = ()
    progress_ms: int = 500
    events: Optional[Tuple[str, ...]] = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    introduce: bool = True


class Unusable(Exception):
    """Why the binary cannot be used: the only reasons for which the fallback stands in."""


def candidates() -> Iterator[str]:
    """Where the binary may be, in the order it is looked for, ``PATH`` excepted."""
    directories: List[Optional[str]] = [
        sysconfig.get_path("scripts"),
        sysconfig.get_path("scripts", vars={"base": sys.base_prefix}),
        _user_scripts(),
        os.path.join(_PACKAGE_ROOT, "bin"),
    ]
    seen: Set[str] = set()
    for directory in directories:
        if directory and directory not in seen:
            seen.add(directory)
            yield os.path.join(directory, BINARY)


def _user_scripts() -> Optional[str]:
    if site.ENABLE_USER_SITE is None:
        return None
    return sysconfig.get_path("scripts", scheme=os.name + "_user")


def find_binary(binary: Optional[AnyPath] = None) -> Tuple[Optional[str], Tuple[str, ...]]:
    """The binary, or ``None``, and every place that was tried.

    One that is named, as an argument or by ``MIGRATION_ENGINE_BIN``, must be there: its absence
    raises :class:`EngineNotFound`.
    """
    for name, value in (
        ("the binary argument", binary),
        ("MIGRATION_ENGINE_BIN", os.environ.get("MIGRATION_ENGINE_BIN") or None),
    ):
        if value is not None:
            path = os.fsdecode(value)
            if not _executable(path):
                tried = ("%s: %s" % (name, path),)
                raise EngineNotFound("%s names no executable file" % name, tried=tried)
            return path, ("%s: %s" % (name, path),)
    tried_paths: List[str] = []
    for path in candidates():
        tried_paths.append(path)
        if _executable(path):
            return path, tuple(tried_paths)
    found = shutil.which(BINARY)
    tried_paths.append("PATH: %s" % os.environ.get("PATH", ""))
    return found, tuple(tried_paths)


def _executable(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def is_named(config: EngineConfig) -> bool:
    """Whether the host named the binary; then nothing else stands in for it."""
    return config.binary is not None or bool(os.environ.get("MIGRATION_ENGINE_BIN"))


class Ring:
    """The end of a stream of bytes."""

    def __init__(self, kept_bytes: int) -> None:
        self._kept = kept_bytes
        self._parts: Deque[bytes] = collections.deque()
        self._length = 0
        self._lock = threading.Lock()

    def add(self, data: bytes) -> None:
        """Appends ``data`` and drops what is too old."""
        with self._lock:
            self._parts.append(data)
            self._length += len(data)
            while self._parts and self._length - len(self._parts[0]) >= self._kept:
                self._length -= len(self._parts.popleft())

    def text(self) -> str:
        """What is kept, as text."""
        with self._lock:
            return b"".join(self._parts)[-self._kept :].decode("utf-8", "replace")


class Process:
    """A running engine: its pipes, its threads, and the ladder by which it ends.

    ``on_line`` is called for each line after ``hello``, on the reader thread; ``on_end`` once,
    after the last line.
    """

    def __init__(self, argv: List[str], config: EngineConfig) -> None:
        self.argv = argv
        self.pid_of_host = os.getpid()
        self.bad_lines = 0
        self.stderr = Ring(_STDERR_KEPT_BYTES)
        self.hello: Dict[str, Any] = {}
        self._greeted = threading.Event()
        self._write_lock = threading.Lock()
        self._on_line: Optional[LineHandler] = None
        self._on_end: Optional[Callable[[], None]] = None
        self._handled = threading.Event()
        self._child = _spawn(argv, config)
        _LIVE.add(self)
        self._reader = _thread(self._read, "engine-stdout")
        self._drainer = _thread(self._drain, "engine-stderr")

    @property
    def pid(self) -> int:
        """The engine's process id."""
        return self._child.pid

    @property
    def returncode(self) -> Optional[int]:
        """Its exit code once it ended; negative for a signal."""
        return self._child.poll()

    def greet(self, timeout_s: float) -> Dict[str, Any]:
        """Waits for ``hello``; :class:`Unusable` without one, or with another protocol."""
        if not self._greeted.wait(timeout_s) or not self.hello:
            raise Unusable("it sent no hello")
        spoken, oldest = self.hello.get("protocol"), self.hello.get("protocol_min")
        if not (isinstance(spoken, int) and isinstance(oldest, int)):
            raise Unusable("its hello names no protocol")
        if not oldest <= PROTOCOL <= spoken:
            raise Unusable("it speaks protocol %d to %d, not %d" % (oldest, spoken, PROTOCOL))
        return self.hello

    def handle(self, on_line: LineHandler, on_end: Callable[[], None]) -> None:
        """Says where lines go; those that came earlier are kept until then."""
        self._on_line, self._on_end = on_line, on_end
        self._handled.set()

    def write(self, line: bytes) -> None:
        """Writes one line, newline included; ``OSError`` once the engine is gone."""
        with self._write_lock:
            if self._child.stdin is None or self._child.stdin.closed:
                raise BrokenPipeError("the engine's input is closed")
            self._child.stdin.write(line)
            self._child.stdin.flush()

    def close_input(self) -> None:
        """Ends the engine's input."""
        with self._write_lock:
            if self._child.stdin is not None and not self._child.stdin.closed:
                with contextlib.suppress(OSError):
                    self._child.stdin.close()

    def wait(self, timeout_s: Optional[float]) -> bool:
        """Waits for the end of the process and of its output; whether both came."""
        began = time.monotonic()
        try:
            self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        _LIVE.discard(self)
        left = None if timeout_s is None else max(0.1, timeout_s - (time.monotonic() - began))
        self._reader.join(left)
        self._drainer.join(1.0)
        return not self._reader.is_alive()

    def end(
        self, shutdown_s: Optional[float] = SHUTDOWN_S, terminate_s: float = TERMINATE_S
    ) -> None:
        """Closes the input and waits, then TERM to the group, then KILL.

        Output is drained all the while, since an engine whose lines nobody reads cannot end.
        """
        self._handled.set()
        threading.Thread(target=self.close_input, daemon=True).start()
        if self.wait(shutdown_s):
            return
        self._signal(signal.SIGTERM)
        if self.wait(terminate_s):
            return
        self.kill()

    def kill(self) -> None:
        """Ends the whole group at once."""
        self._handled.set()
        self._signal(signal.SIGKILL)
        self.wait(TERMINATE_S)

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self._child.pid, number)
        except (ProcessLookupError, PermissionError):
            if self._child.poll() is None:
                self._child.send_signal(number)

    def _read(self) -> None:
        stream = self._child.stdout
        try:
            if stream is not None:
                for raw in _lines(stream):
                    self._take(raw)
        except (OSError, ValueError):
            pass
        self._greeted.set()
        self._handled.wait()
        self._child.wait()
        _LIVE.discard(self)
        if stream is not None:
            stream.close()
        self.close_input()
        if self._on_end is not None:
            self._on_end()

    def _take(self, raw: bytes) -> None:
        line = _parse(raw)
        if line is None:
            self.bad_lines += 1
        elif not self._greeted.is_set():
            if line.get("type") == "hello":
                self.hello = line
            self._greeted.set()
        else:
            self._handled.wait()
            if self._on_line is not None:
                self._on_line(line)

    def _drain(self) -> None:
        stream = self._child.stderr
        if stream is None:
            return
        with stream:
            while True:
                data = os.read(stream.fileno(), 1 << 14)
                if not data:
                    return
                self.stderr.add(data)


def _parse(raw: bytes) -> Optional[Dict[str, Any]]:
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) else None


def _lines(stream: Any) -> Iterator[bytes]:
    """Lines of ``stream``; one beyond all bounds is dropped up to its newline."""
    while True:
        line: bytes = stream.readline(_LINE_BYTES_MAX)
        if not line:
            return
        if line.endswith(b"\n") or len(line) < _LINE_BYTES_MAX:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(_LINE_BYTES_MAX)
        yield b""


def _thread(target: Callable[[], None], name: str) -> threading.Thread:
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread


def _spawn(argv: List[str], config: EngineConfig) -> "subprocess.Popen[bytes]":
    environment = dict(os.environ)
    environment.update(config.env)
    if config.state_dir is not None:
        environment["MIGRATION_ENGINE_STATE_DIR"] = os.fsdecode(config.state_dir)
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=config.cwd,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise Unusable("it cannot be executed: %s" % error) from error


def start(config: EngineConfig) -> Process:
    """A process that said hello: the binary, or the fallback where the binary cannot be used.

    Decided here, once, for as long as the engine is open; what goes wrong later never leads to
    the other backend.
    """
    backend = config.backend or os.environ.get("MIGRATION_ENGINE_BACKEND") or "auto"
    if backend not in ("auto", "native", "python"):
        raise EngineNotFound("the backend %r is none of auto, native, python" % backend)
    required = os.environ.get("MIGRATION_ENGINE_REQUIRE") == "native"
    if backend == "python":
        if required:
            raise EngineNotFound("MIGRATION_ENGINE_REQUIRE=native forbids the python backend")
        return _start_fallback(config)
    path, tried = find_binary(config.binary)
    try:
        if path is None:
            raise Unusable("there is none")
        return _greeted([path, "serve"], config)
    except Unusable as error:
        if backend == "native" or required or is_named(config):
            message = "the binary %s cannot be used: %s" % (BINARY, error)
            raise EngineNotFound(message, tried=tried) from error
        warnings.warn(
            "migration-engine: the binary cannot be used (%s); pure Python stands in, which is "
            "slower" % error,
            RuntimeWarning,
            stacklevel=4,
        )
    return _start_fallback(config)


def _start_fallback(config: EngineConfig) -> Process:
    argv = [sys.executable, "-I", "-S", "-c", _FALLBACK_START, _PACKAGE_ROOT, "serve"]
    try:
        return _greeted(argv, config)
    except Unusable as error:
        raise EngineNotFound("the pure-Python server does not start: %s" % error) from error


def _greeted(argv: List[str], config: EngineConfig) -> Process:
    argv = [*argv, "--parent-pid", str(os.getpid()), *config.arguments]
    process = Process(argv, config)
    try:
        process.greet(HELLO_TIMEOUT_S)
    except BaseException:
        process.kill()
        raise
    return process


_LIVE: Set[Process] = set()


@atexit.register
def _end_all() -> None:
    for process in list(_LIVE):
        if process.pid_of_host == os.getpid():
            process.end(shutdown_s=2.0, terminate_s=1.0)
