"""Random trees through both backends: the same results, the same trees."""

import os
import stat
from pathlib import Path
from typing import Any, Dict, List

import pytest

from . import trees
from .backends import Host, Line, argv_of, environment
from .normal import normal

SEEDS = range(12)


def commands(seed: int) -> List[Dict[str, Any]]:
    on_exists = ("fail", "skip", "update", "replace")[seed % 4]
    checksum = ("crc64nvme", "crc32c", "sha256", "md5")[seed % 4]
    selection: Dict[str, Any] = [
        {},
        {"exclude": ["*a*"]},
        {"include": ["*b*", "a*/**"]},
        {"include": ["?*"], "exclude": ["/b*"]},
    ][seed // 4 % 4]
    copy = {"op": "copy", "src": "in", "dst": "out", "checksum": checksum, **selection}
    return [
        {"op": "inspect", "id": "inspect", "src": "in", **selection},
        {"op": "plan", "id": "plan", "command": copy},
        {"id": "copy", **copy},
        {"op": "verify", "id": "verify", "src": "in", "dst": "out", **selection},
        {"op": "checksum", "id": "sum", "src": "out", "algorithm": "md5", "manifest": "SUMS"},
        {"op": "checksum", "id": "check", "src": "out", "check": "SUMS"},
        {"id": "again", **copy, "on_exists": on_exists},
        {"op": "plan", "id": "plan again", "command": {**copy, "on_exists": on_exists}},
    ]


def first_failure_is_any(line: Line) -> Line:
    """With several failures, which one comes first is the backend's business."""
    if line.get("failures_total", 0) > 1:
        line["error"] = None
        line["failures"] = None
    return line


def run(backend: str, seed: int, directory: Path) -> List[Line]:
    directory.mkdir()
    trees.make(directory / "in", seed)
    host = Host(argv_of(backend), cwd=directory, env=environment(directory / "state"))
    for command in commands(seed):
        host.send(command)
        host.result(command["id"])
    host.finish()
    lines = normal(host.lines, str(directory), {})
    return [first_failure_is_any(line) for line in lines]


@pytest.mark.parametrize("seed", SEEDS)
def test_both_backends_agree(seed: int, tmp_path: Path) -> None:
    answers = {one: run(one, seed, tmp_path / one) for one in ("native", "python")}
    assert answers["native"] == answers["python"]
    native, python = (trees.facts(tmp_path / one / "out") for one in ("native", "python"))
    assert native == python
    read = {one: (tmp_path / one / "SUMS").read_bytes() for one in ("native", "python")}
    assert read["native"] == read["python"]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_copy_holds_what_its_source_holds(seed: int, backend: str, tmp_path: Path) -> None:
    trees.make(tmp_path / "in", seed)
    host = Host(argv_of(backend), cwd=tmp_path, env=environment(tmp_path / "state"))
    host.send({"op": "copy", "id": "c", "src": "in", "dst": "out"})
    host.result("c")
    host.finish()
    source, copied = trees.facts(tmp_path / "in"), trees.facts(tmp_path / "out")
    for path, fact in source.items():
        kind = os.lstat(os.path.join(os.fsencode(tmp_path / "in"), path)).st_mode
        if stat.S_ISFIFO(kind):
            assert path not in copied
        elif len(fact) == 4:
            mode = fact[1]
            assert isinstance(mode, int)
            assert copied.pop(path) == (fact[0], mode & 0o777, *fact[2:])
        else:
            assert copied.pop(path) == fact
    assert not copied


def test_a_plan_says_that_files_are_coded_by_one_thread(backend: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        (tmp_path / "in" / name).write_text(name)
    host = Host(argv_of(backend), cwd=tmp_path, env=environment(tmp_path / "state"))
    command = {"op": "copy", "src": "in", "dst": "out", "compress": "gzip"}
    host.send({"op": "plan", "id": "p", "command": command})
    data = host.result("p")["data"]
    host.finish()
    assert data["why"].endswith("2 are compressed or decompressed, each by one thread")
