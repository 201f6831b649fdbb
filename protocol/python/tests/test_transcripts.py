"""Every golden transcript against the binary, the binary through the client, and the fallback.

With ``MIGRATION_ENGINE_TRANSCRIPTS=write`` the answers of the fallback are written down instead of
compared: for new cases, to be read before they are committed.
"""

import base64
import contextlib
import json
import os
import re
import sys
import threading
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Protocol, Tuple

import pytest

from migration_engine import Engine, EngineConfig

from . import scratch
from .backends import LIVENESS_S, REPOSITORY, Host, Line, argv_of, environment, native_binary
from .normal import normal
from .schema import check_line

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TRANSCRIPTS = REPOSITORY / "fixtures" / "transcripts"
CASES = sorted(path.parent.name for path in TRANSCRIPTS.glob("*/case.toml"))
BACKENDS = ("native", "client", "python")
_LINES = re.MULTILINE | re.DOTALL
WRITE = os.environ.get("MIGRATION_ENGINE_TRANSCRIPTS") == "write"


class Player(Protocol):
    def send_raw(self, data: bytes) -> None: ...

    def wait_for(self, matches: Callable[[Line], bool]) -> Line: ...

    def finish(self) -> Tuple[int, List[Line]]: ...


class PipePlayer:
    """Plays through plain pipes."""

    def __init__(self, backend: str, case: Dict[str, Any], directory: Path) -> None:
        argv = [*argv_of(backend), *case.get("args", [])]
        env = {**environment(directory / "state"), **case.get("env", {})}
        self._host = Host(argv, cwd=directory, env=env)

    def send_raw(self, data: bytes) -> None:
        self._host.send_raw(data)

    def wait_for(self, matches: Callable[[Line], bool]) -> Line:
        return self._host.wait_for(matches)

    def finish(self) -> Tuple[int, List[Line]]:
        code = self._host.finish()
        for raw in self._host.raw:
            check_line(raw)
        return code, self._host.lines


class ClientPlayer:
    """Plays through the package's own engine, by its interface for hosts that have lines."""

    def __init__(self, case: Dict[str, Any], directory: Path) -> None:
        self._lines: List[Line] = []
        self._came = threading.Condition()
        config = EngineConfig(
            binary=native_binary(),
            cwd=directory,
            state_dir=directory / "state",
            env=case.get("env", {}),
            arguments=tuple(case.get("args", [])),
            introduce=False,
        )
        self._engine = Engine(config=config, on_event=self._take)

    def _take(self, line: Any) -> None:
        with self._came:
            self._lines.append(line)
            self._came.notify_all()

    def send_raw(self, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._engine.send_line(data)

    def wait_for(self, matches: Callable[[Line], bool]) -> Line:
        with self._came:
            found: Optional[Line] = self._came.wait_for(
                lambda: next((line for line in self._lines if matches(line)), None), LIVENESS_S
            )
        assert found is not None, "the line did not come"
        return found

    def finish(self) -> Tuple[int, List[Line]]:
        self._engine.end_input()
        assert self._engine.wait_closed(LIVENESS_S), "the engine did not end"
        self._engine.close()
        code = self._engine.returncode
        assert code is not None
        return code, self._lines


def player(backend: str, case: Dict[str, Any], directory: Path) -> Player:
    if backend == "client":
        return ClientPlayer(case, directory)
    return PipePlayer(backend, case, directory)


def inserted(spec: Dict[str, Any]) -> bytes:
    """Bytes that no line of JSON text can hold, or too many of them."""
    if "raw_b64" in spec:
        return base64.b64decode(spec["raw_b64"])
    text = str(spec["repeat"]).encode() * int(spec["count"])
    return str(spec.get("before", "")).encode() + text + str(spec.get("after", "")).encode()


def _of(
    kind: str, id_: Any, holds: Callable[[Line], bool] = lambda _: True
) -> Callable[[Line], bool]:
    return lambda line: line["type"] == kind and line.get("id") == id_ and holds(line)


def _state(id_: Any, state: str) -> Callable[[Line], bool]:
    return _of("state", id_, lambda line: line["state"] == state)


def play(case: Dict[str, Any], script: List[str], one: Player) -> Tuple[int, List[Line]]:
    """Sends the script's lines.

    ``$wait`` (its result), ``$state``, ``$moved`` (first bytes) and ``$insert`` steer the playing.
    """
    for text in script:
        step = json.loads(text) if text.startswith('{"$') else {}
        if "$wait" in step:
            one.wait_for(_of("result", step["$wait"]))
        elif "$state" in step:
            one.wait_for(_state(*step["$state"]))
        elif "$moved" in step:
            one.wait_for(_of("progress", step["$moved"], lambda line: line["bytes_done"] > 0))
        elif "$insert" in step:
            one.send_raw(inserted(case["insert"][step["$insert"]]))
        else:
            one.send_raw(text.encode() + b"\n")
    return one.finish()


def read_case(name: str) -> Tuple[Dict[str, Any], List[str]]:
    with open(TRANSCRIPTS / name / "case.toml", "rb") as file:
        case = tomllib.load(file)
    return case, (TRANSCRIPTS / name / "in.jsonl").read_text().splitlines()


def test_there_are_transcripts() -> None:
    assert len(CASES) >= 45


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CASES)
def test_transcript(name: str, backend: str, tmp_path: Path) -> None:
    case, script = read_case(name)
    if ("python" if backend == "python" else "native") not in case.get("servers", BACKENDS):
        pytest.skip("what only the other server answers so")
    directory = tmp_path / "scratch"
    directory.mkdir()
    scratch.make(directory, case)
    code, lines = play(case, script, player(backend, case, directory))
    got = normal(lines, str(directory), case)
    after = scratch.listing(directory, case)
    if WRITE:
        write(name, case, got, code, after)
        return
    expected = [json.loads(line) for line in (TRANSCRIPTS / name / "out.jsonl").open()]
    assert show(got) == show(expected)
    assert code == case.get("exit", 0)
    assert after == case["after"]


def show(lines: List[Line]) -> List[str]:
    return [json.dumps(line, ensure_ascii=False, sort_keys=True) for line in lines]


def write(name: str, case: Dict[str, Any], got: List[Line], code: int, after: List[str]) -> None:
    """Keeps what was answered, as the expectation of a new case."""
    where = TRANSCRIPTS / name
    (where / "out.jsonl").write_text("".join(line + "\n" for line in show(got)))
    title, _, rest = re.sub(
        r"^(exit = \d+|after = \[.*?^\])\n", "", (where / "case.toml").read_text(), flags=_LINES
    ).partition("\n")
    listed = "".join("    %s,\n" % json.dumps(line, ensure_ascii=False) for line in after)
    top = "%s\nexit = %d\nafter = [\n%s]\n" % (title, code, listed)
    (where / "case.toml").write_text(top + rest)
