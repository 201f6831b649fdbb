"""The engine for threads, on both backends."""

import json
import os
import threading
from pathlib import Path
from typing import Any, Callable, List

import pytest

from migration_engine import (
    Cancelled,
    ConfigError,
    DataError,
    Engine,
    IntegrityError,
    MigrationError,
    PartialFailure,
    Progress,
    SourceNotFound,
)

from . import scratch

WAIT_S = 60.0
SLOW: Any = {"limits": {"bytes_per_s": "64KiB"}, "chunk_bytes": "64KiB"}


def big(directory: Path, size: int = 4 << 20) -> Path:
    path = directory / "big"
    path.write_bytes(scratch.pattern(size))
    return path


def test_hello_is_known(engine: Engine, backend: str) -> None:
    assert engine.info.backend == backend
    assert engine.info.protocol == 1
    assert "copy" in engine.info.ops


def test_a_copy_and_its_result(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("123456789")
    result = engine.copy("a", "b", checksum="crc32c").result(WAIT_S)
    assert (tmp_path / "b").read_text() == "123456789"
    assert result.ok and result.metrics.bytes == 9 and result.metrics.items_ok == 1
    assert result.data.digests == {"crc32c": "e3069283"}
    assert result.data.dst is not None and os.fspath(result.data.dst) == "b"
    assert result.verify is not None and result.verify.level == "stream"


def test_every_op_has_a_method(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_text("alpha")
    plan = engine.plan({"op": "copy", "src": "in", "dst": "out"}).result(WAIT_S).data
    assert (plan.new, plan.items, plan.bytes) == (1, 1, 5)
    engine.copy("in", "out").result(WAIT_S)
    assert engine.verify("in", "out").result(WAIT_S).data.matched == 1
    assert engine.inspect("out").result(WAIT_S).data.files == 1
    digests = engine.checksum("out", algorithm=["md5"]).result(WAIT_S).data.digests
    assert [str(one.path) for one in digests] == ["a"]
    packed = engine.compress("in/a", "a.gz").result(WAIT_S).data
    assert packed.original_bytes == 5
    assert engine.monitor().result(WAIT_S).data.cpu["count"] >= 1
    assert engine.cleanup().result(WAIT_S).data.removed == 0
    engine.ping()
    assert engine.jobs() == []
    limits = engine.limits(bytes_per_s="1MB", jobs=3)
    assert (limits.bytes_per_s, limits.jobs) == (1_000_000, 3)
    assert engine.limits(bytes_per_s=None).bytes_per_s is None


def test_paths_of_every_kind(engine: Engine, tmp_path: Path) -> None:
    name = b"caf\xe9"
    with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
        file.write(b"x")
    engine.copy(name, Path("one")).result(WAIT_S)
    data = engine.copy(os.fsdecode(name), b"to\xff").result(WAIT_S).data
    assert data.dst is not None and data.dst.raw == b"to\xff"
    again = engine.copy(data.dst, "again").result(WAIT_S)
    assert again.ok
    assert os.path.exists(os.path.join(os.fsencode(tmp_path), b"to\xff"))


def test_errors_are_raised_by_class(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    with pytest.raises(FileNotFoundError) as missing:
        engine.copy("nowhere", "x").result(WAIT_S)
    assert isinstance(missing.value, SourceNotFound)
    with pytest.raises(DataError) as exists:
        engine.copy("a", "b").result(WAIT_S)
    assert exists.value.code == "DST_EXISTS" and exists.value.hint
    with pytest.raises(IntegrityError):
        engine.verify("a", "b").result(WAIT_S)
    with pytest.raises(ConfigError) as unknown:
        engine.command({"op": "copy", "src": "a", "dst": "c", "overwrite": True}).result(WAIT_S)
    assert unknown.value.code == "UNKNOWN_FIELD" and unknown.value.at == {"field": "overwrite"}
    assert not unknown.value.retryable


def test_partial_raises_unless_allowed(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_text("a")
    os.mkfifo(tmp_path / "in" / "f")
    with pytest.raises(PartialFailure) as partial:
        engine.copy("in", "out").result(WAIT_S)
    assert partial.value.code == "SRC_SPECIAL"
    assert partial.value.result is not None and partial.value.result["failures_total"] == 1
    job = engine.copy("in", "out2")
    result = job.result(WAIT_S, allow_partial=True)
    assert result.status == "partial"
    assert [(str(one.path), one.code) for one in result.failures] == [("f", "SRC_SPECIAL")]


def test_json_that_is_not_is_refused_before_it_is_sent(engine: Engine) -> None:
    with pytest.raises(ValueError):
        engine.command({"op": "ping", "x_note": float("nan")})


def test_cancel(engine: Engine, tmp_path: Path) -> None:
    big(tmp_path)
    job = engine.copy("big", "copy", **SLOW)
    next(line for line in job.events(WAIT_S) if line.get("state") == "running")
    job.cancel("enough")
    with pytest.raises(Cancelled):
        job.result(WAIT_S)
    assert sorted(os.listdir(tmp_path)) == ["big", "state"]
    assert [line["type"] for line in job.events(WAIT_S)][-1] == "result"


def test_pause_and_resume(engine: Engine, tmp_path: Path) -> None:
    big(tmp_path)
    job = engine.copy("big", "copy", limits={"bytes_per_s": "8MiB"}, chunk_bytes="64KiB")
    next(line for line in job.events(WAIT_S) if line.get("state") == "running")
    job.pause()
    assert not job.wait(0.3)
    assert [one.state for one in engine.jobs()] == ["paused"]
    job.resume()
    assert job.result(WAIT_S).ok


def test_progress_reaches_the_callback_and_errors_in_it_do_no_harm(
    make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    big(tmp_path)
    seen: List[Progress] = []
    threads = set()

    def note(progress: Progress) -> None:
        seen.append(progress)
        threads.add(threading.current_thread())
        raise RuntimeError("a mistake of the host")

    engine = make_engine(progress_ms=50)
    engine.copy(
        "big", "copy", on_progress=note, limits={"bytes_per_s": "8MiB"}, chunk_bytes="64KiB"
    ).result(WAIT_S)
    engine.ping()
    assert len(seen) >= 2 and len(threads) == 1
    assert threading.current_thread() not in threads
    done = [one.bytes_done for one in seen]
    assert done == sorted(done) and done[-1] <= 4 << 20


def test_a_callback_may_use_the_engine(engine: Engine, tmp_path: Path) -> None:
    big(tmp_path)
    answered = threading.Event()

    def ask(_: Progress) -> None:
        engine.ping()
        answered.set()

    engine.copy(
        "big", "copy", on_progress=ask, limits={"bytes_per_s": "4MiB"}, chunk_bytes="64KiB"
    ).result(WAIT_S)
    assert answered.wait(WAIT_S)


def test_batch_has_children(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    job = engine.batch(
        [{"op": "checksum", "src": Path("a")}, {"op": "inspect", "src": "nowhere"}], id="b"
    )
    assert [child.id for child in job.children] == ["b/0", "b/1"]
    with pytest.raises(PartialFailure):
        job.result(WAIT_S)
    assert [child.outcome(WAIT_S).status for child in job.children] == ["ok", "failed"]
    assert job.outcome().data.failed == 1


def test_a_refused_batch_fails_its_children(engine: Engine) -> None:
    job = engine.batch([{"op": "inspect"}])
    assert job.exception(WAIT_S) is not None
    assert job.children[0].exception(WAIT_S) is not None


def test_map_runs_more_than_fit_at_once(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    commands = ({"op": "inspect", "src": "a"} for _ in range(3000))
    jobs = list(engine.map(commands, max_outstanding=16))
    assert len(jobs) == 3000 and all(job.outcome().ok for job in jobs)


def test_more_commands_than_the_engine_takes_leave_room_for_control(engine: Engine) -> None:
    jobs = [engine.command({"op": "inspect", "src": "."}) for _ in range(4000)]
    engine.ping()
    assert all(job.outcome(WAIT_S).ok for job in jobs)


def test_a_reused_id_is_refused_at_once(engine: Engine, tmp_path: Path) -> None:
    big(tmp_path)
    job = engine.copy("big", "copy", id="x", **SLOW)
    with pytest.raises(MigrationError) as refused:
        engine.inspect("big", id="x")
    assert refused.value.code == "DUPLICATE_ID"
    job.cancel()
    assert isinstance(job.exception(WAIT_S), Cancelled)
    assert engine.inspect("big", id="x").result(WAIT_S).ok


def test_after_and_labels(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    first = engine.copy("a", "b", id="first", labels={"batch": "7"})
    second = engine.copy("b", "c", after=[first.id])
    third = engine.copy("c", "d", after=["first"], after_status=["failed"])
    assert second.result(WAIT_S).ok
    with pytest.raises(ConfigError) as skipped:
        third.result(WAIT_S)
    assert skipped.value.code == "DEPENDENCY"
    assert engine.cancel({"batch": "7"}) == []


def test_many_threads_share_an_engine(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    failed: List[BaseException] = []

    def use(number: int) -> None:
        try:
            for turn in range(10):
                assert engine.copy("a", "%d-%d" % (number, turn), durability="crash").result(WAIT_S)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert not failed
    assert len(os.listdir(tmp_path)) == 82


def test_lines_of_the_host_pass_as_they_are(
    make_engine: Callable[..., Engine],
) -> None:
    seen: List[Any] = []
    engine = make_engine(introduce=False, on_event=seen.append)
    engine.send_line(b'{"op":"ping","id":"mine"}\nnonsense\n')
    engine.end_input()
    assert engine.wait_closed(WAIT_S)
    engine.close()
    assert [line["type"] for line in seen] == ["hello", "result", "error"]
    assert engine.returncode == 2


def test_defaults_and_events_of_the_config(
    make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    (tmp_path / "a").write_text("a")
    engine = make_engine(defaults={"checksum": "md5"}, events=("item",))
    job = engine.copy("a", "b")
    assert list(job.result(WAIT_S).data.digests) == ["md5"]
    assert [line["type"] for line in job.events(WAIT_S)] == ["accepted", "item", "result"]
    assert json.dumps(job.outcome().raw)


def test_a_closed_engine_takes_nothing(engine: Engine) -> None:
    engine.close()
    engine.close()
    assert engine.closed
    with pytest.raises(MigrationError) as closed:
        engine.inspect(".")
    assert closed.value.code == "CLOSED"
