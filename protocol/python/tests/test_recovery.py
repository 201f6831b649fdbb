"""Death at any moment: what stands is whole, what is left is found, what goes on is not doubled."""

import os
import signal
import time
from pathlib import Path
from typing import Any, Callable, Dict

import pytest

from . import scratch, trees
from .backends import LIVENESS_S, Host

FILES = 150
SIZE = 24 << 10


def fill(directory: Path) -> None:
    (directory / "in").mkdir()
    for number in range(FILES):
        below = directory / "in" / ("d%d" % (number % 7))
        below.mkdir(exist_ok=True)
        (below / ("%03d" % number)).write_bytes(scratch.pattern(SIZE + number))


def temporaries(directory: Path) -> int:
    return sum(name.startswith(".mig-") for _, _, names in os.walk(directory) for name in names)


def kill_in_the_middle(make_host: Callable[..., Host], key: bool, after_files: int) -> Host:
    host = make_host()
    command: Dict[str, Any] = {
        "op": "copy",
        "id": "c",
        "src": "in",
        "dst": "out",
        "parallel_files": 2,
    }
    command.update(limits={"bytes_per_s": "512KiB"}, chunk_bytes="64KiB")
    if key:
        command["key"] = "k"
    host.send({"op": "hello", "id": "h", "progress_ms": 50})
    host.send(command)
    host.wait_for(
        lambda line: (
            (line["type"] == "progress" and line["bytes_done"] >= after_files * SIZE)
            or (line["type"] == "result" and line["id"] == "c")
        )
    )
    host.child.send_signal(signal.SIGKILL)
    host.child.wait(LIVENESS_S)
    return host


def whole(directory: Path) -> int:
    """Every file under a final name has all of its content; how many there are."""
    names = 0
    for above, _, files in os.walk(directory / "out"):
        for name in files:
            if not name.startswith(".mig-"):
                data = (Path(above) / name).read_bytes()
                assert data == scratch.pattern(SIZE + int(name))
                names += 1
    return names


@pytest.mark.parametrize("after_files", [1, 20, 50])
def test_kill_then_cleanup_leaves_nothing(
    make_host: Callable[..., Host], tmp_path: Path, after_files: int
) -> None:
    fill(tmp_path)
    kill_in_the_middle(make_host, False, after_files)
    assert whole(tmp_path) < FILES
    left = temporaries(tmp_path / "out")
    host = make_host()
    host.send({"op": "cleanup", "id": "dry", "dry_run": True})
    assert host.result("dry")["data"]["removed"] == left
    assert temporaries(tmp_path / "out") == left
    host.send({"op": "cleanup", "id": "u"})
    assert host.result("u")["data"]["removed"] == left
    assert temporaries(tmp_path / "out") == 0
    host.send({"op": "cleanup", "id": "again"})
    assert host.result("again")["data"]["removed"] == 0
    assert host.finish() == 0


@pytest.mark.parametrize("after_files", [1, 40])
def test_kill_then_the_same_key_goes_on(
    make_host: Callable[..., Host], tmp_path: Path, after_files: int
) -> None:
    fill(tmp_path)
    kill_in_the_middle(make_host, True, after_files)
    whole(tmp_path)
    host = make_host()
    command: Dict[str, Any] = {
        "op": "copy",
        "id": "c",
        "src": "in",
        "dst": "out",
        "parallel_files": 2,
    }
    command.update(limits={"bytes_per_s": "512KiB"}, chunk_bytes="64KiB", key="k")
    host.send({"op": "limits", "id": "l"})
    host.send(command)
    host.wait_for(lambda line: (line["type"], line.get("state")) == ("state", "running"))
    host.send({"op": "limits", "id": "fast", "target": "c", "bytes_per_s": None})
    result = host.result("c")
    assert result["status"] == "ok", result
    assert result["metrics"]["items_ok"] == FILES
    assert result["metrics"]["bytes"] == FILES * SIZE + sum(range(FILES))
    assert trees.facts(tmp_path / "in") == trees.facts(tmp_path / "out")
    assert host.finish() == 0


def test_what_another_one_wrote_meanwhile_is_not_taken_for_ours(
    make_host: Callable[..., Host], tmp_path: Path
) -> None:
    fill(tmp_path)
    kill_in_the_middle(make_host, True, 1)
    missing = [
        path
        for path in sorted((tmp_path / "in").rglob("*"))
        if path.is_file() and not (tmp_path / "out" / path.relative_to(tmp_path / "in")).exists()
    ]
    foreign = tmp_path / "out" / missing[-1].relative_to(tmp_path / "in")
    foreign.parent.mkdir(parents=True, exist_ok=True)
    foreign.write_text("theirs")
    host = make_host()
    host.send({"op": "resume", "id": "r", "key": "k"})
    host.wait_for(lambda line: (line["type"], line.get("state")) == ("state", "running"))
    host.send({"op": "limits", "id": "fast", "target": "r", "bytes_per_s": None})
    result = host.result("r")
    assert (result["op"], result["status"]) == ("copy", "partial")
    assert result["error"]["code"] == "DST_EXISTS"
    assert foreign.read_text() == "theirs"
    host.finish()


def test_a_key_in_use_by_another_process_is_locked(
    make_host: Callable[..., Host], tmp_path: Path
) -> None:
    (tmp_path / "big").write_bytes(scratch.pattern(4 << 20))
    command: Dict[str, Any] = {"op": "copy", "id": "c", "src": "big", "dst": "copy", "key": "k"}
    command.update(limits={"bytes_per_s": "64KiB"}, chunk_bytes="64KiB")
    first, second = make_host(), make_host()
    first.send({"op": "hello", "id": 0, "progress_ms": 50})
    first.send(command)
    first.wait_for(lambda line: line["type"] == "progress" and line["bytes_done"] > 0)
    second.send(command)
    assert second.result("c")["error"]["code"] == "LOCKED"
    assert second.finish() == 75
    first.send({"op": "cancel", "id": "x", "target": "c"})
    assert first.result("c")["status"] == "cancelled"
    assert temporaries(tmp_path) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_and_leaves_nothing(
    make_host: Callable[..., Host], tmp_path: Path, number: int
) -> None:
    (tmp_path / "big").write_bytes(scratch.pattern(4 << 20))
    host = make_host()
    command: Dict[str, Any] = {"op": "copy", "id": "c", "src": "big", "dst": "copy"}
    command.update(limits={"bytes_per_s": "64KiB"}, chunk_bytes="64KiB")
    host.send(command)
    host.state("c", "running")
    host.child.send_signal(number)
    assert host.result("c")["status"] == "cancelled"
    assert host.finish() == 128 + number
    assert sorted(os.listdir(tmp_path)) == ["big", "state"]


def test_the_end_of_the_parent_is_noticed(make_host: Callable[..., Host], tmp_path: Path) -> None:
    import subprocess

    parent = subprocess.Popen(["sleep", "600"])
    host = make_host("--parent-pid", str(parent.pid))
    host.send({"op": "monitor", "id": "m", "interval_ms": 60_000})
    host.state("m", "running")
    parent.kill()
    parent.wait(LIVENESS_S)
    host.result("m")
    assert host.child.wait(LIVENESS_S) is not None


def test_a_source_that_changes_is_never_torn(
    make_host: Callable[..., Host], tmp_path: Path
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"0" * (1 << 20))
    host = make_host()
    command: Dict[str, Any] = {"op": "copy", "id": "c", "src": "a", "dst": "b"}
    command.update(limits={"bytes_per_s": "4MiB"}, chunk_bytes="64KiB")
    host.send(command)
    host.state("c", "running")
    for turn in range(4):
        time.sleep(0.1)
        fresh = tmp_path / "fresh"
        fresh.write_bytes(b"%d" % (turn + 1) * (1 << 20))
        os.replace(fresh, path)
    result = host.result("c")
    if result["status"] == "ok":
        copied = (tmp_path / "b").read_bytes()
        assert len(copied) == 1 << 20 and len(set(copied)) == 1
    else:
        assert result["error"]["code"] == "SRC_CHANGED"
        assert not (tmp_path / "b").exists()
    assert temporaries(tmp_path) == 0
    host.finish()


def test_what_changed_at_the_destination_meanwhile_is_left(
    make_host: Callable[..., Host], tmp_path: Path
) -> None:
    host = make_host()
    (tmp_path / "src").write_bytes(os.urandom(1 << 20) * 24)
    (tmp_path / "dst").write_text("old")
    host.send({"op": "limits", "id": "slow", "bytes_per_s": "10MB"})
    host.send({"op": "copy", "id": "c", "src": "src", "dst": "dst", "on_exists": "replace"})
    end = time.monotonic() + LIVENESS_S
    while not any(name.startswith(".mig-") for name in os.listdir(tmp_path)):
        assert time.monotonic() < end, "the copy did not begin"
        time.sleep(0.01)
    (tmp_path / "new").write_text("somebody's")
    (tmp_path / "new").replace(tmp_path / "dst")
    host.send({"op": "limits", "id": "fast", "bytes_per_s": None})
    error = host.result("c")["error"]
    assert (error["code"], error["retryable"]) == ("DST_CHANGED", True)
    assert (tmp_path / "dst").read_text() == "somebody's"
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".mig-")]
