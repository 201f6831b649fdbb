"""The servers under test, and a host that knows nothing of the package: pipes and JSON."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import pytest

PACKAGE_ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = PACKAGE_ROOT.parents[1]
SCHEMA = PACKAGE_ROOT.parent / "schema" / "v1"
LIVENESS_S = 60.0

Line = Dict[str, Any]


def native_binary() -> str:
    """The binary under test; its absence is a failure, since both servers must agree."""
    path = os.environ.get("MIGRATION_ENGINE_BIN")
    if not path:
        pytest.fail("MIGRATION_ENGINE_BIN is not set: build the engine and name its binary")
    if not os.access(path, os.X_OK):
        pytest.fail("MIGRATION_ENGINE_BIN names no executable: %s" % path)
    return path


def argv_of(backend: str) -> List[str]:
    if backend == "native":
        return [native_binary(), "serve"]
    start = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); "
        "from migration_engine.__main__ import main; sys.exit(main())"
    )
    return [sys.executable, "-I", "-c", start, str(PACKAGE_ROOT), "serve"]


class Host:
    """A host process: sends lines, keeps every line that comes back."""

    def __init__(
        self,
        argv: List[str],
        cwd: Optional[Path] = None,
        env: Optional[Dict[str, str]] = None,
        read: bool = True,
    ) -> None:
        self.lines: List[Line] = []
        self.raw: List[bytes] = []
        self._came: "queue.Queue[Optional[Line]]" = queue.Queue()
        self._ended = False
        self.child = subprocess.Popen(
            argv,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._errors = threading.Thread(target=self._read_errors, daemon=True)
        self.stderr = b""
        self._errors.start()
        if read:
            self.start_reading()

    def start_reading(self) -> None:
        self._reader.start()

    def _read(self) -> None:
        assert self.child.stdout is not None
        for raw in self.child.stdout:
            self.raw.append(raw)
            self._came.put(json.loads(raw))
        self._came.put(None)

    def _read_errors(self) -> None:
        assert self.child.stderr is not None
        for raw in self.child.stderr:
            self.stderr += raw

    def send(self, line: Any) -> None:
        self.send_raw(json.dumps(line).encode() + b"\n")

    def send_raw(self, data: bytes) -> None:
        assert self.child.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.child.stdin.write(data)
            self.child.stdin.flush()

    def close_input(self) -> None:
        assert self.child.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.child.stdin.close()

    def wait_for(self, matches: Callable[[Line], bool]) -> Line:
        """The first line, also among those that came already, for which ``matches`` holds."""
        for line in self.lines:
            if matches(line):
                return line
        while True:
            try:
                came = self._came.get(timeout=LIVENESS_S)
            except queue.Empty:
                raise AssertionError("the line did not come; stderr: %r" % self.stderr) from None
            if came is None:
                self._ended = True
                raise AssertionError("output ended before the line; stderr: %r" % self.stderr)
            self.lines.append(came)
            if matches(came):
                return came

    def result(self, id_: Any) -> Line:
        return self.wait_for(lambda line: line["type"] == "result" and line["id"] == id_)

    def state(self, id_: Any, state: str) -> Line:
        return self.wait_for(
            lambda line: (line["type"], line.get("id"), line.get("state")) == ("state", id_, state)
        )

    def finish(self) -> int:
        """Ends the input, takes all that is left; the exit code."""
        self.close_input()
        while not self._ended:
            try:
                came = self._came.get(timeout=LIVENESS_S)
            except queue.Empty:
                self.child.kill()
                raise AssertionError("the server did not end") from None
            if came is None:
                break
            self.lines.append(came)
        return self.child.wait(LIVENESS_S)

    def kill(self) -> None:
        self.child.kill()
        self.child.wait(LIVENESS_S)


def environment(state: Path, **more: str) -> Dict[str, str]:
    return {"MIGRATION_ENGINE_STATE_DIR": str(state), **more}
