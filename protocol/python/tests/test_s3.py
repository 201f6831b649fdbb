"""The fallback and a real object store, judged by another client."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Callable, Dict, Iterator

import pytest

from .backends import Host, Line, argv_of, environment
from .judge import Judge, Shelf, content, judge, md5, setting, shelf

__all__ = ["judge", "shelf"]

PART = 8 << 20
Run = Callable[..., Line]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Runs one command of the fallback; its result."""
    host = Host(argv_of("python"), cwd=tmp_path, env=environment(tmp_path / "state"))
    numbers = iter(range(1000))

    def one(op: str, **fields: Any) -> Line:
        id_ = next(numbers)
        host.send({"op": op, "id": id_, **fields})
        return host.result(id_)

    yield one
    host.kill()


def tree(root: Path, files: Dict[str, bytes]) -> None:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


SMALL = {"a": b"alpha", "d/b": b"beta", "d/e/c d+%.txt": b"gamma", "ü": b"delta"}


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 3 * PART])
def test_any_size_goes_there_and_back(size: int, run: Run, shelf: Shelf, tmp_path: Path) -> None:
    data = content(size)
    (tmp_path / "f").write_bytes(data)
    (tmp_path / "f").chmod(0o640)
    os.utime(tmp_path / "f", ns=(1, 1234567890_123456789))
    sent = run("copy", src="f", dst=shelf.at("x/f"), preserve=["mode", "times", "owner"])
    assert sent["status"] == "ok", sent
    facts = shelf.facts("x/f")
    assert (facts["bytes"], facts["md5"]) == (size, md5(data))
    assert facts["metadata"]["mtime"] == "1234567890.123456789"
    assert facts["metadata"]["mode"] == "100640"
    assert facts["metadata"]["uid"] == str(os.getuid())
    assert len(facts["metadata"]["mig-write"]) == 16
    back = run("copy", src=shelf.at("x/f"), dst="g", verify="readback")
    assert back["status"] == "ok", back
    assert (tmp_path / "g").read_bytes() == data
    assert back["data"]["digests"] == sent["data"]["digests"]
    status = (tmp_path / "g").stat()
    assert (status.st_mode & 0o777, status.st_mtime_ns) == (0o640, 1234567890_123456789)
    assert shelf.uploads() == []


def test_another_clients_objects_are_read(run: Run, shelf: Shelf, tmp_path: Path) -> None:
    data = content(PART + 1)
    shelf.put("k", data)
    assert run("copy", src=shelf.at("k"), dst="k")["status"] == "ok"
    assert (tmp_path / "k").read_bytes() == data
    summed = run("checksum", src=shelf.at("k"), algorithm="md5")
    assert summed["data"]["digests"][0]["digests"] == {"md5": md5(data)}


def test_a_tree_goes_there_and_back(run: Run, shelf: Shelf, tmp_path: Path) -> None:
    tree(tmp_path / "in", SMALL)
    sent = run("copy", src="in", dst=shelf.at("t"), manifest="sent.jsonl")
    assert (sent["status"], sent["metrics"]["items_ok"]) == ("ok", 4)
    assert shelf.listed() == sorted("t/" + name for name in SMALL)
    assert run("verify", src="in", dst=shelf.at("t"))["data"]["matched"] == 4
    assert run("verify", src=shelf.at("t"), dst="in")["data"]["matched"] == 4
    inspected = run("inspect", src=shelf.at("t"))["data"]
    assert (inspected["files"], inspected["directories"], inspected["bytes"]) == (4, 2, 19)
    back = run("copy", src=shelf.at("t"), dst="out", manifest="back.jsonl")
    assert back["status"] == "ok"
    assert {str(p.relative_to(tmp_path / "out")): p.read_bytes() for p in files(tmp_path / "out")}
    assert run("verify", src="in", dst="out")["data"]["matched"] == 4
    manifests = [
        sorted((tmp_path / name).read_text().splitlines()) for name in ("sent.jsonl", "back.jsonl")
    ]
    assert manifests[0] == manifests[1]
    again = run("copy", src="in", dst=shelf.at("t"), on_exists="update")
    assert again["metrics"]["items_skipped"] == 4
    again = run("copy", src=shelf.at("t"), dst="out", on_exists="update")
    assert again["metrics"]["items_skipped"] == 4


def files(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.is_file())


def test_bucket_to_bucket(run: Run, shelf: Shelf, tmp_path: Path) -> None:
    tree(tmp_path / "in", {**SMALL, "large": content(PART + 7)})
    run("copy", src="in", dst=shelf.at("one"))
    copied = run("copy", src=shelf.at("one"), dst=shelf.at("two"))
    assert (copied["status"], copied["metrics"]["items_ok"]) == ("ok", 5)
    assert run("verify", src=shelf.at("one"), dst=shelf.at("two"))["data"]["matched"] == 5
    assert run("verify", src="in", dst=shelf.at("two"))["status"] == "ok"
    within = run("copy", src=shelf.at("one"), dst=shelf.at("one/below"))
    assert within["error"]["code"] == "OVERLAP"


def test_filters_and_checksums(run: Run, shelf: Shelf, tmp_path: Path) -> None:
    tree(tmp_path / "in", SMALL)
    run("copy", src="in", dst=shelf.at("t"), exclude=["d/e/**"])
    assert shelf.listed() == ["t/a", "t/d/b", "t/ü"]
    run("checksum", src=shelf.at("t"), include=["d/**"], manifest="SUMS")
    assert (tmp_path / "SUMS").read_text() == hashlib.sha256(b"beta").hexdigest() + "  d/b\n"
    assert run("checksum", src="in", check="SUMS")["data"]["check"]["matched"] == 1
    shelf.put("t/d/b", b"other")
    checked = run("checksum", src=shelf.at("t"), check="SUMS")
    assert checked["data"]["check"] == {"matched": 0, "mismatched": 1, "missing": 0}
    (tmp_path / "SUMS").write_text(hashlib.sha256(b"beta").hexdigest() + "  d/never\n")
    checked = run("checksum", src=shelf.at("t"), check="SUMS")
    assert checked["data"]["check"] == {"matched": 0, "mismatched": 0, "missing": 1}


@pytest.mark.parametrize("size", [4, PART + 1])
def test_what_stands_there_is_judged(size: int, run: Run, shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(content(size))
    shelf.put("f", b"theirs")
    assert run("copy", src="f", dst=shelf.at("f"))["error"]["code"] == "DST_EXISTS"
    assert run("copy", src="f", dst=shelf.at("f"), on_exists="skip")["status"] == "ok"
    assert shelf.facts("f")["bytes"] == 6
    assert run("copy", src="f", dst=shelf.at("f"), on_exists="replace")["status"] == "ok"
    assert shelf.facts("f")["md5"] == md5(content(size))
    same = run("copy", src="f", dst=shelf.at("f"), on_exists="update", compare="digest")
    assert same["metrics"]["items_skipped"] == 1
    assert shelf.uploads() == []


def test_what_is_extra_is_deleted_up_to_the_bound(run: Run, shelf: Shelf, tmp_path: Path) -> None:
    tree(tmp_path / "in", SMALL)
    for key in ("t/x", "t/y/z", "beside", "t.other"):
        shelf.put(key, b"x")
    run("copy", src="in", dst=shelf.at("t"))
    mirror = {"src": "in", "dst": shelf.at("t"), "on_exists": "update", "delete": True}
    bounded = run("copy", **mirror, max_delete={"count": 1})
    assert bounded["error"]["code"] == "DELETE_LIMIT"
    planned = run("plan", command={"op": "copy", **mirror})["data"]
    assert (planned["delete"], planned["skip"]) == (2, 4)
    assert run("copy", **mirror)["data"]["deleted"] == 2
    assert shelf.listed() == sorted([*("t/" + name for name in SMALL), "beside", "t.other"])
    (tmp_path / "in" / "a").unlink()
    os.mkfifo(tmp_path / "in" / "fifo")
    halted = run("copy", **mirror)
    assert halted["status"] == "partial" and halted["data"]["deleted"] == 0
    assert "t/a" in shelf.listed()


def test_what_is_extra_on_disk_is_deleted_too(run: Run, shelf: Shelf, tmp_path: Path) -> None:
    tree(tmp_path / "in", SMALL)
    run("copy", src="in", dst=shelf.at("t"))
    tree(tmp_path / "out", {"x": b"x", "d/y": b"y", "gone/z": b"z"})
    mirrored = run("copy", src=shelf.at("t"), dst="out", delete=True, max_delete={})
    assert mirrored["data"]["deleted"] == 4
    assert run("verify", src=shelf.at("t"), dst="out")["status"] == "ok"
    empty = run("copy", src=shelf.at("never"), dst="out", delete=True)
    assert empty["error"]["code"] == "SRC_NOT_FOUND"


def test_kinds_that_no_object_is(run: Run, shelf: Shelf, tmp_path: Path) -> None:
    tree(tmp_path / "in", {"a": b"alpha"})
    (tmp_path / "in" / "link").symlink_to("a")
    os.mkfifo(tmp_path / "in" / "fifo")
    os.mkdir(os.fsencode(tmp_path / "in") + b"/d")
    with open(os.fsencode(tmp_path / "in") + b"/d/\xff", "wb"):
        pass
    sent = run("copy", src="in", dst=shelf.at("t"))
    codes = sorted(one["code"] for one in sent["failures"])
    assert (sent["status"], codes) == ("partial", ["NAME_REFUSED", "SRC_SPECIAL", "UNSUPPORTED"])
    followed = run("copy", src="in", dst=shelf.at("u"), symlinks="follow", include=["link"])
    assert followed["status"] == "ok"
    assert shelf.facts("u/link")["md5"] == md5(b"alpha")


def test_what_objects_get(run: Run, shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "f.json").write_bytes(content(PART + 1))
    (tmp_path / "g.json").write_bytes(b"{}")
    given = {"cache_control": "max-age=60", "metadata": {"team": "x"}}
    for name in ("f.json", "g.json"):
        assert run("copy", src=name, dst=shelf.at(name, **given))["status"] == "ok"
        facts = shelf.facts(name)
        assert (facts["type"], facts["cache"]) == ("application/json", "max-age=60")
        assert facts["metadata"]["team"] == "x"


def test_files_are_packed_on_their_way(run: Run, shelf: Shelf, tmp_path: Path) -> None:
    data = content(3 * PART)
    tree(tmp_path / "in", {"f": data})
    sent = run("copy", src="in", dst=shelf.at("t"), compress="gzip", verify="readback")
    assert (sent["status"], sent["metrics"]["bytes"]) == ("ok", len(data))
    assert shelf.facts("t/f.gz")["bytes"] < len(data)
    assert run("copy", src=shelf.at("t"), dst="out", decompress=True)["status"] == "ok"
    assert (tmp_path / "out" / "f").read_bytes() == data


def test_the_lease_keeps_others_out(run: Run, shelf: Shelf, tmp_path: Path) -> None:
    tree(tmp_path / "in", SMALL)
    assert run("copy", src="in", dst=shelf.at("t"), lock="fail")["status"] == "ok"
    assert "t/.mig-lease" not in shelf.listed()
    record = {"job": "0" * 16, "nonce": "0" * 32, "epoch": 3, "host": "elsewhere", "boot_id": ""}
    record.update(namespaces="", pid=1, started=1, renewed_seq=0, ttl_ms=60000)
    shelf.put("t/.mig-lease", json.dumps(record).encode().ljust(511) + b"\n")
    held = run("copy", src="in", dst=shelf.at("t"), on_exists="update", lock="fail")
    assert held["error"]["code"] == "LOCKED"


def test_a_keyed_copy_goes_on(run: Run, shelf: Shelf, tmp_path: Path) -> None:
    tree(tmp_path / "in", {"a": b"alpha"})
    os.mkfifo(tmp_path / "in" / "fifo")
    fields = {"src": "in", "dst": shelf.at("t"), "key": "k"}
    assert run("copy", **fields)["status"] == "partial"
    (tmp_path / "in" / "fifo").unlink()
    (tmp_path / "in" / "b").write_bytes(b"beta")
    # What the first attempt made is known, and not judged by on_exists.
    again = run("copy", **fields)
    assert (again["status"], again["metrics"]["items_ok"]) == ("ok", 2)
    assert run("copy", **fields)["replayed"] is True


def test_keys_that_are_no_paths(run: Run, shelf: Shelf, tmp_path: Path) -> None:
    shelf.put("t/.mig-00000000-1.part", b"ours")
    shelf.put("t/100%", b"percent")
    plain = run("copy", src=shelf.at("t"), dst="plain")
    assert [one["code"] for one in plain["failures"]] == ["NAME_REFUSED"]
    assert (tmp_path / "plain" / "100%").read_bytes() == b"percent"
    run("copy", src=shelf.at("t", keys="escape"), dst="escaped", include=["100*"])
    assert (tmp_path / "escaped" / "100%25").read_bytes() == b"percent"
    back = run("copy", src="escaped", dst=shelf.at("u", keys="escape"))
    assert back["status"] == "ok" and "u/100%" in shelf.listed()


WRONG = {"env": "WRONG"}
REFUSALS = [
    ("CREDENTIALS_REFUSED", {"access_key_id": WRONG, "secret_access_key": WRONG}),
    ("MISSING_FIELD", {"access_key_id": WRONG}),
    ("SECRET_UNRESOLVED", {"access_key_id": {"env": "NEVER_SET"}, "secret_access_key": WRONG}),
]


@pytest.mark.parametrize(("code", "auth"), REFUSALS)
def test_credentials(
    code: str, auth: Any, monkeypatch: pytest.MonkeyPatch, shelf: Shelf, tmp_path: Path
) -> None:
    monkeypatch.setenv("WRONG", "hunter2")
    host = Host(argv_of("python"), cwd=tmp_path, env=environment(tmp_path / "state"))
    (tmp_path / "f").write_bytes(b"x")
    where = {**shelf.at("f"), "auth": auth}
    host.send({"op": "inspect", "id": 1, "src": where})
    assert host.result(1)["error"]["code"] == code
    host.send({"op": "copy", "id": 2, "src": "f", "dst": where})
    assert host.result(2)["error"]["code"] == code
    host.finish()
    assert b"hunter2" not in b"".join(host.raw) + host.stderr


def test_identities_that_may_not_all(run: Run, shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    shelf.put("k", b"k")

    def who(name: str, key: str = "") -> Dict[str, Any]:
        for kind in ("ACCESS_KEY", "SECRET_KEY"):
            setting("TEST_S3_%s_%s" % (name, kind))
        auth = {
            "access_key_id": {"env": "TEST_S3_%s_ACCESS_KEY" % name},
            "secret_access_key": {"env": "TEST_S3_%s_SECRET_KEY" % name},
        }
        return {**shelf.at(key), "auth": auth}

    assert run("copy", src="f", dst=who("READONLY", "f"))["error"]["code"] == "DST_PERMISSION"
    assert run("inspect", src=who("NOLIST"))["error"]["code"] == "LIST_PERMISSION"
    assert run("copy", src=who("READONLY", "k"), dst="k")["status"] == "ok"
    mirror = {"src": who("READONLY"), "dst": "out", "delete": True}
    assert run("copy", **mirror)["status"] == "ok"


def test_a_bucket_that_is_not_there(run: Run, judge: Judge, tmp_path: Path) -> None:
    absent = Shelf(judge, "never-made-%d" % os.getpid())
    assert run("inspect", src=absent.at())["error"]["code"] == "BUCKET_NOT_FOUND"
    assert run("copy", src=absent.at(), dst="out")["error"]["code"] == "BUCKET_NOT_FOUND"
    assert not (tmp_path / "out").exists()


def test_a_cancel_leaves_no_upload(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(content(4 * PART))
    host = Host(argv_of("python"), cwd=tmp_path, env=environment(tmp_path / "state"))
    slow = {"limits": {"bytes_per_s": 6 << 20}}
    host.send({"op": "copy", "id": 1, "src": "f", "dst": shelf.at("f"), **slow})
    while not shelf.uploads():
        pass
    host.send({"op": "cancel", "id": 2, "target": 1})
    assert host.result(1)["status"] == "cancelled"
    assert (shelf.uploads(), shelf.listed()) == ([], [])
    host.finish()


def test_cleanup_gives_up_the_uploads_of_the_dead(run: Run, shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(content(4 * PART))
    host = Host(argv_of("python"), cwd=tmp_path, env=environment(tmp_path / "state"))
    slow = {"limits": {"bytes_per_s": 6 << 20}}
    host.send({"op": "copy", "id": 1, "src": "f", "dst": shelf.at("f"), **slow})
    while not shelf.uploads():
        pass
    host.kill()
    assert shelf.uploads() == ["f"]
    assert run("cleanup")["data"]["removed"] == 1
    assert (shelf.uploads(), shelf.listed()) == ([], [])
    assert run("cleanup")["data"]["removed"] == 0
