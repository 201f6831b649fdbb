"""Copies that keep a place in step: deletion, leases, other roots, names of one file."""

import os
import shutil
import signal
import stat
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

import pytest

from . import scratch, trees
from .backends import LIVENESS_S, Host, Line, argv_of, environment
from .normal import normal

SLOW: Dict[str, Any] = {"limits": {"ops_per_s": 40}}
KEYED = 700


def fill(root: Path, files: int) -> None:
    root.mkdir()
    for number in range(files):
        (root / ("%03d" % number)).write_bytes(scratch.pattern(2000 + number))


def copy(id_: str = "c", **more: Any) -> Dict[str, Any]:
    return {"op": "copy", "id": id_, "src": "in", "dst": "out", **more}


@pytest.fixture
def host_of(tmp_path: Path) -> Iterator[Callable[[str], Host]]:
    """Hosts of both servers at once, in one scratch directory."""
    hosts: List[Host] = []

    def make(backend: str) -> Host:
        hosts.append(Host(argv_of(backend), cwd=tmp_path, env=environment(tmp_path / "state")))
        return hosts[-1]

    yield make
    for host in hosts:
        host.kill()


def hold(host: Host, tmp_path: Path) -> None:
    """A copy that holds the lease on ``out`` for a while."""
    fill(tmp_path / "in", 120)
    host.send(copy(lock="fail", on_exists="update", **SLOW))
    host.state("c", "running")
    end = time.monotonic() + LIVENESS_S
    record = tmp_path / "out" / ".mig-lease"
    # The name comes before the record in it: it is taken once that is there.
    while not (record.exists() and record.stat().st_size):
        assert time.monotonic() < end, "no lease was taken"
        time.sleep(0.01)


@pytest.mark.parametrize("other", ["native", "python"])
def test_a_lease_is_respected_by_both_servers(
    host_of: Callable[[str], Host], backend: str, other: str, tmp_path: Path
) -> None:
    holder, second = host_of(backend), host_of(other)
    hold(holder, tmp_path)
    second.send(copy("l", lock="fail", on_exists="skip"))
    refused = second.result("l")["error"]
    assert (refused["code"], refused["retryable"]) == ("LOCKED", True)
    second.send(copy("w", lock="wait", lock_timeout="60s", on_exists="update"))
    holder.send({"op": "limits", "id": "fast", "target": "c", "ops_per_s": None})
    assert holder.result("c")["status"] == "ok"
    done = second.result("w")
    assert (done["status"], done["metrics"]["items_skipped"]) == ("ok", 120)
    assert not (tmp_path / "out" / ".mig-lease").exists()
    times = {os.stat(tmp_path / name).st_mtime_ns for name in ("in", "out")}
    assert len(times) == 1, "the record left a trace"


@pytest.mark.parametrize("other", ["native", "python"])
def test_the_lease_of_a_killed_engine_is_taken_over(
    host_of: Callable[[str], Host], backend: str, other: str, tmp_path: Path
) -> None:
    holder = host_of(backend)
    hold(holder, tmp_path)
    holder.child.send_signal(signal.SIGKILL)
    holder.child.wait(LIVENESS_S)
    second = host_of(other)
    second.send(copy(lock="fail", on_exists="update"))
    assert second.result("c")["status"] == "ok"
    assert not (tmp_path / "out" / ".mig-lease").exists()


@pytest.mark.parametrize("locations", [None, "."])
def test_a_clean_up_frees_the_lease_of_the_dead(
    make_host: Callable[..., Host], tmp_path: Path, locations: Optional[str]
) -> None:
    holder, cleaner = make_host(), make_host()
    hold(holder, tmp_path)
    cleaner.send({"op": "cleanup", "id": "live", "locations": "out"})
    assert cleaner.result("live")["data"]["removed"] == 0
    holder.child.send_signal(signal.SIGKILL)
    holder.child.wait(LIVENESS_S)
    if locations is not None:
        # Also one that no record leads to.
        shutil.rmtree(tmp_path / "state")
        cleaner = make_host()
    more = {} if locations is None else {"locations": locations}
    cleaner.send({"op": "cleanup", "id": "dead", **more})
    assert cleaner.result("dead")["data"]["removed"] >= 1
    assert not [name for name in os.listdir(tmp_path / "out") if name.startswith(".mig-")]


def test_a_lost_lease_ends_the_copy(make_host: Callable[..., Host], tmp_path: Path) -> None:
    host = make_host()
    hold(host, tmp_path)
    (tmp_path / "out" / ".mig-lease").unlink()
    host.send({"op": "limits", "id": "fast", "target": "c", "ops_per_s": None})
    lost = host.result("c")
    assert (lost["status"], lost["error"]["code"]) == ("failed", "LEASE_LOST")
    assert lost["error"]["retryable"] is True
    assert not [name for name in os.listdir(tmp_path / "out") if name.startswith(".mig-")]


# Keys.


def killed(make_host: Callable[..., Host], tmp_path: Path) -> Dict[str, Any]:
    """A keyed copy that was killed after some of its files had their names."""
    fill(tmp_path / "in", KEYED)
    command = copy(key="k", durability="crash", limits={"ops_per_s": 300})
    host = make_host()
    host.send(command)
    end = time.monotonic() + LIVENESS_S
    while not published(tmp_path):
        assert time.monotonic() < end, "nothing was published"
        time.sleep(0.02)
    host.child.send_signal(signal.SIGKILL)
    host.child.wait(LIVENESS_S)
    assert 0 < len(published(tmp_path)) < KEYED
    return command


def published(tmp_path: Path) -> List[str]:
    out = tmp_path / "out"
    names = os.listdir(out) if out.exists() else []
    return sorted(name for name in names if not name.startswith(".mig-"))


def again(make_host: Callable[..., Host], command: Dict[str, Any]) -> Line:
    host = make_host()
    host.send(command)
    host.wait_for(lambda line: line.get("state") == "running" or line["type"] == "result")
    host.send({"op": "limits", "id": "fast", "target": "c", "ops_per_s": None})
    return host.result("c")


@pytest.mark.parametrize("side", ["in", "out"])
def test_another_directory_under_the_same_name_is_refused(
    make_host: Callable[..., Host], tmp_path: Path, side: str
) -> None:
    command = killed(make_host, tmp_path)
    (tmp_path / side).rename(tmp_path / "moved")
    (tmp_path / side).mkdir()
    refused = again(make_host, command)
    assert (refused["status"], refused["error"]["code"]) == ("failed", "RESUME_REFUSED")
    (tmp_path / side).rmdir()
    (tmp_path / "moved").rename(tmp_path / side)
    result = again(make_host, command)
    assert result["status"] == "ok", result
    assert trees.facts(tmp_path / "in") == trees.facts(tmp_path / "out")


def test_what_was_written_over_is_not_taken_for_ours(
    make_host: Callable[..., Host], tmp_path: Path
) -> None:
    command = killed(make_host, tmp_path)
    theirs = tmp_path / "out" / published(tmp_path)[0]
    size = theirs.stat().st_size
    with open(theirs, "r+b") as file:
        file.write(b"THEIRS")
    assert theirs.stat().st_size == size
    result = again(make_host, command)
    assert (result["status"], result["error"]["code"]) == ("partial", "DST_EXISTS")
    assert result["failures"][0]["at"]["path"] == theirs.name
    assert theirs.read_bytes().startswith(b"THEIRS")


def test_a_source_that_changed_keeping_its_size_is_copied_anew(
    make_host: Callable[..., Host], tmp_path: Path
) -> None:
    command = killed(make_host, tmp_path)
    changed = tmp_path / "in" / published(tmp_path)[0]
    with open(changed, "r+b") as file:
        file.write(b"CHANGED")
    result = again(make_host, command)
    assert result["status"] == "ok", result
    assert (tmp_path / "out" / changed.name).read_bytes() == changed.read_bytes()


# Deletion.


def run(host: Host, command: Dict[str, Any]) -> Line:
    host.send(command)
    return host.result(command["id"])


def test_links_are_deleted_and_never_followed(
    make_host: Callable[..., Host], tmp_path: Path
) -> None:
    for name in ("in", "out", "safe"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "a").write_text("a")
    (tmp_path / "safe" / "kept").write_text("kept")
    (tmp_path / "out" / "away").symlink_to(tmp_path / "safe")
    result = run(make_host(), copy(delete=True, max_delete={"percent": 100}))
    assert (result["status"], result["data"]["deleted"]) == ("ok", 1)
    assert trees.facts(tmp_path / "in") == trees.facts(tmp_path / "out")
    assert (tmp_path / "safe" / "kept").exists()


def test_what_links_lead_to_counts_as_the_source_s_own(
    make_host: Callable[..., Host], tmp_path: Path
) -> None:
    (tmp_path / "in" / "real").mkdir(parents=True)
    (tmp_path / "in" / "real" / "a").write_text("a")
    (tmp_path / "in" / "link").symlink_to("real")
    host = make_host()
    assert run(host, copy("c1", symlinks="follow"))["status"] == "ok"
    (tmp_path / "out" / "link" / "extra").write_text("extra")
    command = copy("c2", symlinks="follow", on_exists="skip", delete=True)
    result = run(host, command)
    assert (result["status"], result["data"]["deleted"]) == ("ok", 1)
    assert (tmp_path / "out" / "link" / "a").exists()
    assert not (tmp_path / "out" / "link" / "extra").exists()


def test_directories_get_their_times_back_after_a_deletion(
    make_host: Callable[..., Host], tmp_path: Path
) -> None:
    (tmp_path / "in" / "d").mkdir(parents=True)
    (tmp_path / "in" / "d" / "a").write_text("a")
    host = make_host()
    run(host, copy("c1"))
    (tmp_path / "out" / "d" / "extra").write_text("extra")
    os.utime(tmp_path / "in" / "d", ns=(10**18, 10**18))
    result = run(host, copy("c2", on_exists="update", delete=True))
    assert result["data"]["deleted"] == 1
    assert (tmp_path / "out" / "d").stat().st_mtime_ns == 10**18


def test_items_tell_what_was_deleted(make_host: Callable[..., Host], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_text("a")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").write_text("x")
    host = make_host()
    host.send({"op": "hello", "id": "h", "events": ["item"]})
    run(host, copy(delete=True, max_delete={}))
    items = {line["path"]: line["status"] for line in host.lines if line["type"] == "item"}
    assert items == {"a": "ok", "x": "deleted"}


# Names of one file.


def test_names_are_joined_again_by_an_update(
    make_host: Callable[..., Host], tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_text("a")
    os.link(tmp_path / "in" / "a", tmp_path / "in" / "b")
    host = make_host()
    run(host, copy("c1", preserve=["mode", "times"]))
    assert (tmp_path / "out" / "a").stat().st_nlink == 1
    result = run(host, copy("c2", on_exists="update"))
    assert (result["metrics"]["items_ok"], result["metrics"]["items_skipped"]) == (1, 1)
    assert os.path.samefile(tmp_path / "out" / "a", tmp_path / "out" / "b")
    third = run(host, copy("c3", on_exists="update"))
    assert third["metrics"]["items_skipped"] == 2


def test_many_names_over_many_directories(make_host: Callable[..., Host], tmp_path: Path) -> None:
    first = tmp_path / "in" / "000"
    for number in range(150):
        (tmp_path / "in" / ("d%d" % number)).mkdir(parents=True)
        if number == 0:
            first.write_text("first")
        os.link(first, tmp_path / "in" / ("d%d" % number) / "name")
        (tmp_path / "in" / ("d%d" % number) / "own").write_text(str(number))
    result = run(make_host(), copy())
    assert (result["status"], result["metrics"]["items_ok"]) == ("ok", 301)
    inodes = {path.stat().st_ino for path in (tmp_path / "out").rglob("name")}
    assert len(inodes) == 1 and (tmp_path / "out" / "000").stat().st_nlink == 151


# Parity.

PARITY_SEEDS = range(8)


def rich(root: Path, seed: int) -> None:
    """A random tree with further names, holes and attributes."""
    trees.make(root, seed)
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    for number, path in enumerate(files[::3]):
        times = path.stat()
        os.link(path, root / ("again %d" % number))
        os.setxattr(path, "user.number", str(number).encode())
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with open(root / "holes", "wb") as file:
        file.truncate(400_000)
        file.seek(200_000)
        file.write(b"data")
    os.utime(root / "holes", ns=(10**18, 10**18))
    os.utime(root, ns=(10**18, 10**18))


def rich_facts(root: Path) -> Dict[bytes, Any]:
    facts: Dict[bytes, Any] = {}
    for path, fact in trees.facts(root).items():
        full = os.path.join(os.fsencode(root), path)
        status = os.lstat(full)
        named: Dict[str, bytes] = {}
        if not stat.S_ISLNK(status.st_mode):
            named = {one: os.getxattr(full, one) for one in os.listxattr(full)}
        sparse = status.st_blocks * 512 < status.st_size
        facts[path] = (fact, status.st_nlink, sparse, named)
    return facts


def commands(seed: int) -> List[Dict[str, Any]]:
    preserve = ["mode", "times", "holes", "hard_links", "xattrs", "acls", "specials"]
    everything = {"src": "in", "dst": "out", "preserve": preserve}
    mirror = {**everything, "on_exists": "update", "delete": True, "max_delete": {"percent": 90}}
    by = {"compare": "digest" if seed % 2 else "time"}
    return [
        {"op": "plan", "id": "plan", "command": {"op": "copy", **everything}},
        {"op": "copy", "id": "copy", **everything},
        {"op": "copy", "id": "update", **everything, "on_exists": "update", **by},
        {"op": "plan", "id": "plan mirror", "command": {"op": "copy", **mirror, **by}},
        {"op": "copy", "id": "mirror", **mirror, **by},
        {"op": "copy", "id": "mirror again", **mirror, **by},
    ]


def play(backend: str, seed: int, directory: Path) -> List[Line]:
    directory.mkdir()
    rich(directory / "in", seed)
    host = Host(argv_of(backend), cwd=directory, env=environment(directory / "state"))
    for command in commands(seed):
        if command["id"] == "plan mirror":
            spoil(directory / "out", times=seed % 2 == 0)
        host.send(command)
        host.result(command["id"])
    assert host.finish() == 0
    lines = normal(host.lines, str(directory), {})
    for line in lines:
        # The order in which a plan lists is the backend's own.
        line.get("data", {}).get("delete_sample", []).sort(key=str)
    return lines


def spoil(out: Path, times: bool) -> None:
    """Extra names, and with ``times`` another time for the same content."""
    (out / "extra" / "deep").mkdir(parents=True)
    (out / "extra" / "deep" / "x").write_text("x")
    (out / "extra link").symlink_to("nowhere")
    if times:
        os.utime(out / "holes", ns=(5, 5))


@pytest.mark.parametrize("seed", PARITY_SEEDS)
def test_both_backends_keep_a_place_in_step(seed: int, tmp_path: Path) -> None:
    answers = {one: play(one, seed, tmp_path / one) for one in ("native", "python")}
    assert answers["native"] == answers["python"]
    native, python = (rich_facts(tmp_path / one / "out") for one in ("native", "python"))
    assert native == python


@pytest.mark.parametrize("seed", PARITY_SEEDS)
def test_a_mirror_is_its_source(seed: int, backend: str, tmp_path: Path) -> None:
    play(backend, seed, tmp_path / "one")
    source, copied = (rich_facts(tmp_path / "one" / side) for side in ("in", "out"))
    for path, (fact, *rest) in source.items():
        if stat.S_ISREG(fact[0]):
            fact = (fact[0], fact[1] & 0o777, *fact[2:])
        assert copied.pop(path) == (fact, *rest), path
    assert not copied
