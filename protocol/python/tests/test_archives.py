"""What one server packs the other unpacks, and no archive writes outside of its destination."""

import gzip
import os
import socket
import stat
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

from migration_engine import Engine, PartialFailure
from migration_engine.errors import ConfigError, DataError

from . import scratch, trees
from .backends import Host, Line, argv_of, environment

MEMBERS: List[Dict[str, Any]] = [
    {"path": "../out_of_it", "content": "evil"},
    {"path": "/absolute", "content": "evil"},
    {"path": "d/../../up", "content": "evil"},
    {"path": "l", "link": "../safe"},
    {"path": "l/through", "content": "evil"},
    {"path": "victim", "again": "l/kept"},
    {"path": ".mig-00000000-1.part", "content": "kept name"},
    {"path": "good", "content": "good"},
]


def run(host: Host, **command: Any) -> Line:
    command.setdefault("id", "c%d" % len(host.lines))
    host.send(command)
    return host.result(command["id"])


def one_shot(backend: str, directory: Path, **command: Any) -> Line:
    host = Host(argv_of(backend), cwd=directory, env=environment(directory / "state"))
    result = run(host, **command)
    host.finish()
    return result


def plain_facts(root: Path) -> Dict[bytes, Any]:
    """As an archive keeps them: modes without special bits, no sockets."""
    facts: Dict[bytes, Any] = {}
    for path, fact in trees.facts(root).items():
        if len(fact) == 4 and isinstance(fact[1], int):
            fact = (fact[0], fact[1] & 0o777, *fact[2:])
        facts[path] = fact
    return facts


@pytest.mark.parametrize("other", ["native", "python"])
@pytest.mark.parametrize("form", ["tar", "tar_gzip"])
@pytest.mark.parametrize("seed", range(4))
def test_a_tree_survives_an_archive(
    seed: int, form: str, backend: str, other: str, tmp_path: Path
) -> None:
    trees.make(tmp_path / "in", seed)
    first = next((p for p in sorted((tmp_path / "in").iterdir()) if p.is_file()), None)
    if first is not None and not first.is_symlink():
        os.link(first, tmp_path / "in" / "again")
        os.utime(tmp_path / "in", ns=(10**18, 10**18))
    packed = one_shot(
        backend, tmp_path, op="compress", src="in", dst="a", format=form, verify="decode"
    )
    assert packed["status"] == "ok", packed
    restored = one_shot(other, tmp_path, op="decompress", src="a", dst="out", format=form)
    assert restored["status"] == "ok", restored
    assert restored["data"]["items"] == packed["data"]["items"]
    assert plain_facts(tmp_path / "in") == plain_facts(tmp_path / "out")
    assert (tmp_path / "out").stat().st_mtime_ns == (tmp_path / "in").stat().st_mtime_ns
    if first is not None and not first.is_symlink():
        assert os.path.samefile(tmp_path / "out" / first.name, tmp_path / "out" / "again")


# The mask lets user 1000 write and run; the owning group may only read.
LIST = bytes.fromhex(
    "0200000001000600ffffffff02000700e803000004000400ffffffff10000700ffffffff20000400ffffffff"
)


@pytest.mark.parametrize("form", ["tar", "tar_gzip"])
def test_the_mask_of_an_access_list_is_not_the_groups_mode(
    form: str, backend: str, tmp_path: Path
) -> None:
    source = tmp_path / "in"
    (source / "dir").mkdir(parents=True)
    for path in (source / "a", source / "b"):
        path.write_text("x")
    try:
        for path in (source / "a", source / "dir"):
            os.setxattr(path, "system.posix_acl_access", LIST)
        os.setxattr(source / "b", "user.one", b"1")
    except OSError as error:
        pytest.skip("no access lists here: %s" % error)
    os.link(source / "a", source / "name")
    assert stat.S_IMODE((source / "a").stat().st_mode) == 0o674
    packed = one_shot(backend, tmp_path, op="compress", src="in", dst="a", format=form)
    lost = [{"what": "xattrs", "items": 1}, {"what": "acls", "items": 2}]
    assert (packed["data"]["lost"], packed["warnings_total"]) == (lost, 2), packed
    restored = one_shot(backend, tmp_path, op="decompress", src="a", dst="out", format=form)
    assert restored["status"] == "ok", restored
    for name in ("a", "name", "dir"):
        assert stat.S_IMODE((tmp_path / "out" / name).stat().st_mode) == 0o644


@pytest.mark.parametrize("other", ["native", "python"])
def test_a_file_survives_both_servers(backend: str, other: str, tmp_path: Path) -> None:
    plain = scratch.pattern(3_000_000) + bytes(500_000)
    (tmp_path / "a").write_bytes(plain)
    packed = one_shot(backend, tmp_path, op="compress", src="a", dst="a.gz", level=1)
    restored = one_shot(other, tmp_path, op="decompress", src="a.gz", dst="b")
    assert packed["data"]["digests"] == restored["data"]["digests"]
    assert (
        (tmp_path / "b").read_bytes() == plain == gzip.decompress((tmp_path / "a.gz").read_bytes())
    )


@pytest.mark.parametrize("packed", [False, True])
def test_no_member_leads_out_of_the_destination(
    make_host: Callable[..., Host], tmp_path: Path, packed: bool
) -> None:
    (tmp_path / "safe").mkdir()
    (tmp_path / "safe" / "kept").write_text("kept")
    name = "evil.tar.gz" if packed else "evil.tar"
    (tmp_path / name).write_bytes(scratch.content({"tar": MEMBERS, "packed": packed}))
    before = sorted(os.listdir(tmp_path))
    result = run(make_host(), op="decompress", src=name, dst="jail")
    assert result["status"] == "partial", result
    assert {entry["code"] for entry in result["failures"]} >= {"NAME_REFUSED"}
    assert sorted(set(os.listdir(tmp_path)) - {"state"}) == sorted({*before, "jail"} - {"state"})
    assert os.listdir(tmp_path / "safe") == ["kept"]
    assert (tmp_path / "safe" / "kept").stat().st_nlink == 1
    jail = tmp_path / "jail"
    assert (jail / "good").read_text() == "good" and not (jail / "victim").exists()
    assert not stat.S_ISDIR(os.lstat(jail / "l").st_mode) or not os.path.islink(jail / "l")


def test_a_bomb_of_an_archive_leaves_nothing(
    make_host: Callable[..., Host], tmp_path: Path
) -> None:
    bomb = scratch.tar([{"path": "a", "content": "\0" * (4 << 20)}])
    (tmp_path / "bomb.tgz").write_bytes(gzip.compress(bomb))
    command: Dict[str, Any] = {"op": "decompress", "src": "bomb.tgz", "dst": "out"}
    host = make_host()
    for cap in ({"max_bytes": "1MiB"}, {"max_ratio": 20}):
        assert run(host, **command, **cap)["error"]["code"] == "OUTPUT_LIMIT"
        assert not (tmp_path / "out").exists() or os.listdir(tmp_path / "out") == []
    done = run(host, **command, max_ratio=2000)
    assert done["status"] == "ok", done


def test_packed_on_the_way_and_back(make_host: Callable[..., Host], tmp_path: Path) -> None:
    trees.make(tmp_path / "in", 3)
    for path in [*(tmp_path / "in").rglob("*")]:
        if stat.S_ISFIFO(os.lstat(path).st_mode):
            path.unlink()
    host = make_host()
    first = run(
        host, op="copy", id="p", src="in", dst="packed", compress={"format": "gzip", "level": 1}
    )
    assert first["status"] == "ok", first
    again = run(
        host, op="copy", id="u", src="in", dst="packed", compress="gzip", on_exists="update"
    )
    assert again["metrics"]["items_ok"] == 0, again
    back = run(host, op="copy", id="b", src="packed", dst="back", decompress=True)
    assert back["status"] == "ok", back
    assert first["verify"] == back["verify"]
    left = {path for path, fact in plain_facts(tmp_path / "in").items()}
    assert left == set(plain_facts(tmp_path / "back"))
    files = [p for p in (tmp_path / "in").rglob("*") if p.is_file() and not p.is_symlink()]
    for path in files:
        relative = path.relative_to(tmp_path / "in")
        assert (tmp_path / "back" / relative).read_bytes() == path.read_bytes()
        stored = tmp_path / "packed" / relative
        stored = stored.with_name(stored.name + ".gz")
        assert gzip.decompress(stored.read_bytes()) == path.read_bytes()


def test_two_items_of_one_name_are_not_mixed(
    make_host: Callable[..., Host], tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_text("plain")
    (tmp_path / "in" / "a.gz").write_bytes(gzip.compress(b"packed"))
    result = run(make_host(), op="copy", src="in", dst="out", decompress=True, on_exists="replace")
    assert result["status"] == "partial", result
    assert (tmp_path / "out" / "a").read_text() == "plain"


# The typed client.


def test_the_client_says_it_all_typed(make_engine: Callable[..., Engine], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_text("alpha")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").write_text("extra")
    engine = make_engine()
    mirror = engine.copy(
        "in", "out", on_exists="update", compare="digest", delete=True,
        max_delete={"count": 5, "percent": 100}, lock="wait", lock_timeout="5s",
        preserve=["mode", "times", "xattrs"], parallel_chunks=2,
        limits={"timetable": [{"at": "00:00", "bytes_per_s": None}]},
    ).result()  # fmt: skip
    assert (mirror.data.deleted, mirror.data.lost, mirror.data.method) == (1, (), "batches")
    packed = engine.compress("in", "in.tar.gz", level=1, verify="decode", include=["a"]).result()
    assert (packed.data.format, packed.data.items) == ("tar_gzip", 1)
    restored = engine.decompress("in.tar.gz", "back", max_bytes="1GiB", max_ratio=9).result()
    assert (restored.data.items, restored.data.original_bytes) == (1, 5)
    assert (tmp_path / "back" / "a").read_text() == "alpha"
    plan = engine.plan({"op": "copy", "src": "in", "dst": "out", "delete": True}).result()
    assert plan.data.delete == 0
    with pytest.raises(ConfigError, match="max_delete"):
        (tmp_path / "out" / "y").write_text("extra")
        engine.copy("in", "out", on_exists="skip", delete=True, max_delete={"count": 0}).result()
    (tmp_path / "bad.gz").write_bytes(gzip.compress(b"x" * 99)[:-3])
    with pytest.raises(DataError) as damaged:
        engine.decompress("bad.gz", "never").result()
    assert damaged.value.code == "SRC_CORRUPT"
    limits = engine.limits(timetable=[{"at": "00:00", "ops_per_s": 77}])
    assert limits.ops_per_s == 77
    assert engine.limits(timetable=None).ops_per_s is None


def test_a_partial_failure_is_one(make_engine: Callable[..., Engine], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    os.mkfifo(tmp_path / "in" / "f")
    (tmp_path / "in" / "a").write_text("a")
    engine = make_engine()
    with pytest.raises(PartialFailure):
        engine.copy("in", "out", delete=True).result()
    kept = ["mode", "times", "specials"]
    assert engine.copy("in", "out", preserve=kept, on_exists="skip").result().ok


def test_an_archive_without_all_its_items_is_not_done_and_replaces_nothing(
    make_host: Callable[..., Host], tmp_path: Path
) -> None:
    host = make_host()
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a").write_text("alpha")
    pack = {"op": "compress", "src": "src", "dst": "a.tar.gz"}

    def call(number: str, **more: str) -> Dict[str, Any]:
        host.send({**pack, "id": number, **more})
        return host.result(number)

    with socket.socket(socket.AF_UNIX) as special:
        special.bind(str(tmp_path / "src" / "socket"))
    for number in ("first", "again"):
        assert call(number, key="k")["status"] == "partial"
    (tmp_path / "src" / "socket").unlink()
    assert call("whole", key="k")["status"] == "ok"
    whole = (tmp_path / "a.tar.gz").read_bytes()
    with socket.socket(socket.AF_UNIX) as special:
        special.bind(str(tmp_path / "src" / "socket"))
    refused = call("refused", on_exists="replace")
    assert (refused["status"], refused["error"]["code"]) == ("failed", "DST_EXISTS")
    assert (tmp_path / "a.tar.gz").read_bytes() == whole
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".mig-")]
