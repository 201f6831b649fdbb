"""Finding, starting and ending: discovery, the fallback decision, the close ladder."""

import os
import pickle
import signal
import stat
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any, Callable, List

import pytest

from migration_engine import Engine, EngineConfig, EngineCrashed, EngineNotFound, MigrationError
from migration_engine import process as engine_process
from migration_engine.errors import SourceNotFound, from_wire
from migration_engine.process import BINARY, candidates, find_binary

from . import scratch
from .backends import PACKAGE_ROOT

WAIT_S = 60.0


def script(path: Path, text: str) -> Path:
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No binary anywhere."""
    monkeypatch.delenv("MIGRATION_ENGINE_BIN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(engine_process, "candidates", lambda: iter([str(tmp_path / "none")]))


# Discovery.


def test_an_argument_goes_before_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = script(tmp_path / "one", ""), script(tmp_path / "two", "")
    monkeypatch.setenv("MIGRATION_ENGINE_BIN", str(two))
    assert find_binary(one)[0] == str(one)
    assert find_binary()[0] == str(two)


def test_a_named_binary_that_is_bad_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EngineNotFound) as given:
        Engine(tmp_path / "none")
    assert str(tmp_path / "none") in str(given.value)
    monkeypatch.setenv("MIGRATION_ENGINE_BIN", str(tmp_path / "none"))
    with pytest.raises(EngineNotFound) as named:
        Engine()
    assert "MIGRATION_ENGINE_BIN" in str(named.value)


def test_the_environment_goes_before_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIGRATION_ENGINE_BIN", raising=False)
    on_path = tmp_path / "path"
    on_path.mkdir()
    script(on_path / BINARY, "")
    monkeypatch.setenv("PATH", str(on_path))
    own = script(tmp_path / "own", "")
    places = [str(tmp_path / "none"), str(own)]
    monkeypatch.setattr(engine_process, "candidates", lambda: iter(places))
    assert find_binary() == (str(own), tuple(places))
    own.unlink()
    assert find_binary()[0] == str(on_path / BINARY)


def test_scripts_of_this_environment_come_first() -> None:
    places = list(candidates())
    assert places[0] == os.path.join(os.path.dirname(sys.executable), BINARY)
    assert os.path.join(str(PACKAGE_ROOT), "bin", BINARY) in places
    assert len(places) == len(set(places))


@pytest.mark.usefixtures("nothing_installed")
def test_every_place_that_was_tried_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineNotFound) as error:
        Engine(backend="native")
    assert str(tmp_path / "none") in str(error.value)
    assert "PATH: %s" % (tmp_path / "empty") in str(error.value)
    assert pickle.loads(pickle.dumps(error.value)).tried == error.value.tried


# The fallback.


def open_with_warning(tmp_path: Path, **settings: Any) -> List[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with Engine(state_dir=tmp_path / "state", **settings) as engine:
            assert engine.info.backend == "python"
    return [str(one.message) for one in caught if one.category is RuntimeWarning]


@pytest.mark.usefixtures("nothing_installed")
def test_absent_falls_back_with_one_warning(tmp_path: Path) -> None:
    assert len(open_with_warning(tmp_path)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "exit 0",
        "echo nonsense; sleep 60",
        """echo '{"type":"hello","protocol":9,"protocol_min":8}'; cat >/dev/null""",
    ],
    ids=["no hello", "no hello but noise", "another protocol"],
)
@pytest.mark.usefixtures("nothing_installed")
def test_a_binary_that_does_not_greet_falls_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    bad = script(tmp_path / "bad", text)
    monkeypatch.setattr(engine_process, "candidates", lambda: iter([str(bad)]))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert len(open_with_warning(tmp_path)) == 1


@pytest.mark.usefixtures("nothing_installed")
def test_a_binary_of_another_machine_falls_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(57))
    other.chmod(other.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(engine_process, "candidates", lambda: iter([str(other)]))
    assert "cannot be executed" in open_with_warning(tmp_path)[0]


@pytest.mark.usefixtures("nothing_installed")
def test_python_by_choice_gives_no_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_with_warning(tmp_path, backend="python") == []
    monkeypatch.setenv("MIGRATION_ENGINE_BACKEND", "python")
    assert open_with_warning(tmp_path) == []


@pytest.mark.usefixtures("nothing_installed")
def test_required_native_makes_it_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIGRATION_ENGINE_REQUIRE", "native")
    for backend in ("auto", "native", "python"):
        with pytest.raises(EngineNotFound):
            Engine(backend=backend)


def test_an_unknown_backend_is_an_error() -> None:
    with pytest.raises(EngineNotFound):
        Engine(backend="rust")


def test_a_named_binary_never_falls_back(tmp_path: Path) -> None:
    with pytest.raises(EngineNotFound) as error:
        Engine(script(tmp_path / "bad", "exit 0"))
    assert "no hello" in str(error.value)


def test_an_error_of_an_operation_never_falls_back(
    make_engine: Callable[..., Engine], backend: str
) -> None:
    engine = make_engine()
    assert engine.command({"op": "copy", "src": "none", "dst": "x"}).exception(WAIT_S)
    assert engine.inspect(".").result(WAIT_S).backend == backend


# A crash.


def test_a_crash_is_raised_with_what_is_known(
    make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(200):
        (tmp_path / "in" / ("%03d" % number)).write_bytes(scratch.pattern(16 << 10))
    engine = make_engine()
    job = engine.copy("in", "out", key="k", limits={"bytes_per_s": "1MiB"}, parallel_files=1)
    next(line for line in job.events(WAIT_S) if line.get("state") == "running")
    os.kill(engine.info.pid, signal.SIGKILL)
    with pytest.raises(EngineCrashed) as crash:
        job.result(WAIT_S)
    assert crash.value.returncode == -signal.SIGKILL
    assert crash.value.checkpoint == job.checkpoint
    with pytest.raises(EngineCrashed):
        list(job.events(WAIT_S))
    with pytest.raises(MigrationError):
        engine.inspect(".")
    again = pickle.loads(pickle.dumps(crash.value))
    assert (again.returncode, again.code) == (-signal.SIGKILL, "ENGINE_CRASHED")


def test_the_end_of_stderr_is_kept(tmp_path: Path) -> None:
    hello = (
        '{"type":"hello","seq":0,"protocol":1,"protocol_min":1,"session":"0","pid":1,'
        '"engine":{"name":"x","version":"0"},"backend":"native"}'
    )
    noisy = script(
        tmp_path / "noisy",
        "head -c 300000 /dev/zero | tr '\\0' x >&2; echo the end >&2\n"
        "echo '%s'; echo nonsense; read line; exit 1" % hello,
    )
    engine = Engine(noisy, introduce=False)
    job = engine.inspect(".")
    with pytest.raises(EngineCrashed) as crash:
        job.result(WAIT_S)
    engine.close()
    assert crash.value.stderr.endswith("x" * 100 + "the end\n")
    assert len(crash.value.stderr) <= 64 << 10
    assert crash.value.returncode == 1


# The end.


def gone(pid: int) -> bool:
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_close_cancels_what_is_not_done(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(scratch.pattern(4 << 20))
    job = engine.copy("big", "copy", limits={"bytes_per_s": "64KiB"}, chunk_bytes="64KiB")
    next(line for line in job.events(WAIT_S) if line.get("state") == "running")
    engine.close()
    assert job.outcome(1).status == "cancelled"
    assert gone(engine.info.pid)
    assert sorted(os.listdir(tmp_path)) == ["big", "state"]


def test_close_with_drain_finishes_it(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(scratch.pattern(1 << 20))
    jobs = [engine.copy("a", "copy-%d" % number) for number in range(20)]
    engine.close(drain=True)
    assert all(job.outcome(1).ok for job in jobs)


HELLO = (
    '{"type":"hello","seq":0,"protocol":1,"protocol_min":1,"session":"0","pid":1,'
    '"engine":{"name":"x","version":"0"},"backend":"native"}'
)


@pytest.mark.parametrize("trap", ["", "trap '' TERM\n"], ids=["TERM", "KILL"])
def test_a_process_that_does_not_leave_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trap: str
) -> None:
    monkeypatch.setattr(engine_process, "TERMINATE_S", 0.5)
    monkeypatch.setattr(engine_process.Process.end, "__defaults__", (10.0, 0.5))
    stubborn = script(
        tmp_path / "stubborn", "%secho '%s'\nwhile :; do sleep 0.1; done" % (trap, HELLO)
    )
    engine = Engine(stubborn, introduce=False)
    engine.close(timeout=0.3)
    assert engine.closed
    assert engine.returncode == (-signal.SIGKILL if trap else -signal.SIGTERM)


def test_output_is_drained_while_it_closes(tmp_path: Path) -> None:
    chatty = script(
        tmp_path / "chatty",
        "echo '%s'\nread line\nhead -c 3000000 /dev/zero | tr '\\0' x; echo; exit 0" % HELLO,
    )
    engine = Engine(chatty, introduce=False)
    engine.close()
    assert engine.returncode == 0


def test_the_engine_ends_with_its_host(tmp_path: Path, backend: str) -> None:
    from .backends import native_binary

    binary = native_binary() if backend == "native" else None
    text = (
        "import os, sys; sys.path.insert(0, %r)\n"
        "from migration_engine import Engine\n"
        "engine = Engine(%r, backend=%r, state_dir=%r)\n"
        "engine.command({'op': 'monitor', 'interval_ms': 1000})\n"
        "print(engine.info.pid, flush=True)\n"
        "%s\n"
    )
    for last in ("", "os._exit(0)", "os.kill(os.getpid(), 9)"):
        code = text % (str(PACKAGE_ROOT), binary, backend, str(tmp_path / "state"), last)
        ran = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=False)
        assert gone(int(ran.stdout)), last


# Forks and pickles.


def test_an_engine_is_not_used_after_a_fork(engine: Engine) -> None:
    job = engine.inspect(".")
    job.result(WAIT_S)
    child = os.fork()
    if child == 0:
        refused = 0
        for use in (engine.ping, engine.close, job.wait):
            try:
                use()
            except RuntimeError:
                refused += 1
        os._exit(refused)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 3
    engine.ping()


def test_engines_are_not_pickled_and_configs_are(engine: Engine) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(engine)
    config = EngineConfig(backend="python", defaults={"checksum": "md5"})
    assert pickle.loads(pickle.dumps(config)) == config


def test_errors_and_results_are_pickled(engine: Engine) -> None:
    error = engine.inspect("nowhere").exception(WAIT_S)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is SourceNotFound and str(again) == str(error)
    assert again.result == (error.result if error else None)
    result = engine.inspect(".").result(WAIT_S)
    assert pickle.loads(pickle.dumps(result)) == result


@pytest.mark.parametrize(
    "class_", ["config", "auth", "data", "transient", "resource", "integrity", "internal"]
)
def test_each_class_has_its_exception(class_: str) -> None:
    error = from_wire({"code": "X", "class": class_, "message": "m", "retryable": True}, None)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and again.class_ == class_ and again.retryable
    assert type(error).__name__.lower().startswith(class_)
