"""Drives the binary under test: lines in, events out, and its death at a chosen moment."""

import contextlib
import json
import os
import queue
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence

Event = Dict[str, Any]
# Longest wait for anything that must come.
PATIENCE_S = 120.0
PROGRESS_MS = 50
HELLO = {
    "op": "hello",
    "id": "hello",
    "progress_ms": PROGRESS_MS,
    "events": ["progress", "warning", "checkpoint"],
}


def binary() -> str:
    """The binary under test: `MIGRATION_ENGINE_BIN`."""
    return os.environ["MIGRATION_ENGINE_BIN"]


class Hung(Exception):
    """Nothing came for too long."""


class Engine:
    """One running engine with its own state directory, working in `place`."""

    def __init__(
        self, place: Path, flags: Sequence[str] = (), wrapper: Sequence[str] = ()
    ) -> None:
        words = [*wrapper, binary(), "serve", "--state-dir", str(place / "state"), *flags]
        self.events: List[Event] = []
        self._lines: "queue.Queue[Optional[bytes]]" = queue.Queue()
        self.process = subprocess.Popen(
            words, cwd=place, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def send(self, *commands: Event) -> None:
        """Writes commands; an engine that is dead takes none."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"".join(json.dumps(c).encode() + b"\n" for c in commands))
        self.process.stdin.flush()

    def next(self, patience: float) -> Optional[Event]:
        """The next event; `None` once the output ended.

        Raises `Hung` when nothing comes.
        """
        try:
            line = self._lines.get(timeout=max(patience, 0.0))
        except queue.Empty:
            raise Hung(f"no event in {patience:.1f} s") from None
        if line is None:
            self._lines.put(None)
            return None
        event: Event = json.loads(line)
        self.events.append(event)
        return event

    def until(
        self, wanted: Callable[[Event], bool], patience: float = PATIENCE_S
    ) -> Optional[Event]:
        """The next event that is wanted; `None` once the output ended."""
        end = time.monotonic() + patience
        while True:
            event = self.next(end - time.monotonic())
            if event is None or wanted(event):
                return event

    def call(self, command: Event) -> Event:
        """Sends a command and waits for its result."""
        self.send(command)
        result = self.until(lambda e: e["type"] == "result" and e["id"] == command["id"])
        if result is None:
            raise Hung(f"the engine ended without a result: {self.ending()}")
        return result

    def kill(self) -> None:
        """Ends it as a power switch would, and waits until it is gone."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def ending(self) -> str:
        """How it ended, for people."""
        code = self.process.wait()
        assert self.process.stderr is not None
        return f"exit {code}, {self.process.stderr.read()[-300:]!r}"

    def peak_bytes(self) -> int:
        """The most memory it ever held (VmHWM)."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in text.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
