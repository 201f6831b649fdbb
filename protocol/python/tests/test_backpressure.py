"""Slow readers, many commands, and a reader that goes away."""

import os
from pathlib import Path
from typing import Any, Callable, Dict

from . import scratch
from .backends import LIVENESS_S, Host
from .schema import check_line


def test_a_reader_that_stalls_holds_up_nothing(
    make_host: Callable[..., Host], tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3000):
        (tmp_path / "in" / ("%04d-%s" % (number, "x" * 100))).write_bytes(b"x")
    host = make_host(read=False)
    host.send({"op": "hello", "id": 0, "progress_ms": 50, "events": ["item", "progress", "state"]})
    host.send({"op": "copy", "id": "c", "src": "in", "dst": "out", "durability": "crash"})
    last = tmp_path / "out" / ("2999-%s" % ("x" * 100))
    wait_until(lambda: last.exists() and len(os.listdir(tmp_path / "out")) >= 3000)
    host.start_reading()
    result = host.result("c")
    assert result["metrics"]["items_ok"] == 3000
    assert host.finish() == 0
    for raw in host.raw:
        check_line(raw)
    items = [line for line in host.lines if line["type"] == "item"]
    assert len(items) + sum(line["dropped_before"] for line in items) <= 3000
    assert len(items) < 3000
    seqs = [line["seq"] for line in host.lines]
    assert seqs == sorted(set(seqs))


def wait_until(holds: Callable[[], bool]) -> None:
    import time

    end = time.monotonic() + LIVENESS_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_many_commands_through_one_pipe(make_host: Callable[..., Host], tmp_path: Path) -> None:
    host = make_host()
    count = 20_000
    host.send_raw(b"".join(b'{"op":"ping","id":%d}\n' % number for number in range(count)))
    assert host.finish() == 0
    answered = [line["id"] for line in host.lines if line["type"] == "result"]
    assert answered == list(range(count))


def test_commands_beyond_the_bound_wait_in_the_pipe(
    make_host: Callable[..., Host], tmp_path: Path
) -> None:
    host = make_host()
    (tmp_path / "a").write_text("a")
    count = 3000
    text = b'{"op":"inspect","id":%d,"src":"a"}\n'
    host.send_raw(b"".join(text % number for number in range(count)))
    assert host.finish() == 0
    results = {line["id"]: line for line in host.lines if line["type"] == "result"}
    assert len(results) == count and all(line["status"] == "ok" for line in results.values())


def test_a_reader_that_is_gone_ends_the_engine(
    make_host: Callable[..., Host], tmp_path: Path
) -> None:
    (tmp_path / "big").write_bytes(scratch.pattern(4 << 20))
    host = make_host(read=False)
    command: Dict[str, Any] = {"op": "copy", "id": "c", "src": "big", "dst": "copy"}
    command.update(limits={"bytes_per_s": "64KiB"}, chunk_bytes="64KiB")
    host.send(command)
    assert host.child.stdout is not None
    host.child.stdout.close()
    host.send({"op": "ping", "id": 1})
    assert host.child.wait(LIVENESS_S) == 74
    assert sorted(os.listdir(tmp_path)) == ["big", "state"]


def test_results_stay_bounded_with_the_longest_names(
    make_host: Callable[..., Host], tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    base = os.fsencode(tmp_path / "in")
    for number in range(60):
        os.mkfifo(os.path.join(base, b"%03d" % number + b"\xff" * 240))
    host = make_host()
    host.send({"op": "copy", "id": "c", "src": "in", "dst": "out"})
    result = host.result("c")
    assert result["failures_total"] == 60 and 0 < len(result["failures"]) <= 20
    assert len(Path(result["report"]["path"]).read_text().splitlines()) == 60
    host.finish()
    for raw in host.raw:
        check_line(raw)


def test_a_deep_path_does_not_break_the_line(
    make_host: Callable[..., Host], tmp_path: Path
) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    os.mkdir("in", dir_fd=here)
    name = b"\xff" * 250
    fd = os.open("in", os.O_RDONLY, dir_fd=here)
    for _ in range(15):
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    for number in range(5):
        os.mkfifo(b"%d" % number + name[1:], dir_fd=fd)
    os.close(fd)
    os.close(here)
    host = make_host()
    host.send({"op": "copy", "id": "c", "src": "in", "dst": "out"})
    assert host.result("c")["failures_total"] == 5
    host.finish()
    for raw in host.raw:
        check_line(raw)
