"""The fallback and a store that fails on purpose: one test for each way to be wrong."""

import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable, Dict, Iterator, List, Optional

import pytest

from migration_engine.fallback.objects.uploads import part_bytes

from .backends import Host, Line, argv_of, environment
from .fake_store import FakeStore, Request, Thing
from .judge import content, md5

PART = 8 << 20
Run = Callable[..., Line]


@pytest.fixture
def store() -> Iterator[FakeStore]:
    one = FakeStore()
    yield one
    one.close()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    env = environment(tmp_path / "state", FAKE="fake")
    host = Host(argv_of("python"), cwd=tmp_path, env=env)
    numbers = iter(range(1000))

    def one(op: str, **fields: Any) -> Line:
        id_ = next(numbers)
        host.send({"op": op, "id": id_, **fields})
        return host.result(id_)

    yield one
    host.kill()


class Times:
    """Counts how often something happens."""

    def __init__(self, most: int) -> None:
        self.left = most

    def more(self) -> bool:
        """Whether it happens once more."""
        self.left -= 1
        return self.left >= 0


@pytest.mark.parametrize("size", [5, PART + 1])
@pytest.mark.parametrize("on_exists", ["fail", "replace"])
def test_a_lost_reply_is_no_conflict(
    size: int, on_exists: str, run: Run, store: FakeStore, tmp_path: Path
) -> None:
    (tmp_path / "f").write_bytes(content(size))
    if on_exists == "replace":
        store.things["f"] = Thing(b"theirs")
    once = Times(1)

    def lose(request: Request) -> bool:
        whole = request.method == "PUT" and request.key == "f" and not request.query
        completes = request.method == "POST" and "uploadId" in request.query
        return (whole or completes) and once.more() and request.drop()

    store.after = lose
    sent = run("copy", src="f", dst=store.at("f"), on_exists=on_exists)
    assert sent["status"] == "ok", sent
    assert store.things["f"].body == content(size)
    assert sent["metrics"]["retries"] == 1


@pytest.mark.parametrize("size", [5, PART + 1])
def test_another_writer_in_between_is_left_alone(
    size: int, run: Run, store: FakeStore, tmp_path: Path
) -> None:
    (tmp_path / "f").write_bytes(content(size))
    appears = {"fail": "DST_EXISTS", "replace": "DST_CHANGED", "update": "DST_CHANGED"}
    for on_exists, code in appears.items():
        store.things.clear()
        if on_exists != "fail":
            store.things["f"] = Thing(b"seen")

        def change(request: Request) -> bool:
            if request.method in ("PUT", "POST"):
                store.things["f"] = Thing(b"theirs")
            return False

        store.before = change
        assert run("copy", src="f", dst=store.at("f"), on_exists=on_exists)["error"]["code"] == code
        assert store.things["f"].body == b"theirs"
        assert not store.parts
        store.before = lambda request: False
    store.things.clear()
    store.before = change
    assert run("copy", src="f", dst=store.at("f"), on_exists="skip")["status"] == "ok"
    assert store.things["f"].body == b"theirs"


def test_a_success_that_holds_an_error_is_none(run: Run, store: FakeStore, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(content(PART + 1))
    twice = Times(2)

    def deceive(request: Request) -> bool:
        completes = request.method == "POST" and "uploadId" in request.query
        return completes and twice.more() and request.refuse(200, "InternalError")

    store.before = deceive
    assert run("copy", src="f", dst=store.at("f"))["status"] == "ok"
    assert store.things["f"].body == content(PART + 1)
    store.before = lambda request: (
        request.method == "POST"
        and "uploadId" in request.query
        and request.refuse(200, "EntityTooSmall")
    )
    sent = run("copy", src="f", dst=store.at("g"), limits={"ops_per_s": 100})
    assert sent["status"] == "failed" and "g" not in store.things and not store.parts


def test_parts_go_several_at_once(run: Run, store: FakeStore, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(content(6 * PART + 1))
    met = threading.Barrier(2, timeout=30)

    def together(request: Request) -> bool:
        if request.query.get("partNumber") in ("1", "2"):
            met.wait()
        return False

    store.before = together
    assert run("copy", src="f", dst=store.at("f"))["status"] == "ok"
    assert store.things["f"].body == content(6 * PART + 1)


def test_ranges_are_read_several_at_once(run: Run, store: FakeStore, tmp_path: Path) -> None:
    whole = content(6 * PART + 1)
    store.things["f"] = Thing(whole)
    met, once = threading.Barrier(2, timeout=30), Times(1)

    def together(request: Request) -> bool:
        told = request.headers.get("range", "")
        if told.startswith(("bytes=%d-" % PART, "bytes=%d-" % (2 * PART))) and met.n_waiting < 2:
            met.wait()
        if told.startswith("bytes=%d-" % (4 * PART)) and once.more():
            # One that breaks off is asked for again.
            status, body, fields = store._read(request)
            return request.answer(status, body, fields, cut=PART // 2)
        return False

    store.before = together
    assert run("copy", src=store.at("f"), dst="f")["status"] == "ok"
    assert (tmp_path / "f").read_bytes() == whole
    asked = [one.headers.get("range") for one in store.seen if one.method == "GET" and one.key]
    assert len(asked) == 8 and asked.count(None) == 1


def test_ranges_are_of_one_version(run: Run, store: FakeStore, tmp_path: Path) -> None:
    new = content(6 * PART + 1)[::-1]
    store.things["f"] = Thing(content(6 * PART + 1))

    def change(request: Request) -> bool:
        if request.headers.get("range", "").startswith("bytes=%d-" % (5 * PART)):
            store.things["f"] = Thing(new)
        return False

    store.before = change
    assert run("copy", src=store.at("f"), dst="f")["status"] == "ok"
    assert (tmp_path / "f").read_bytes() == new


def test_one_part_that_fails_ends_the_others(run: Run, store: FakeStore, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(content(6 * PART + 1))
    store.before = lambda request: (
        request.query.get("partNumber") == "3" and request.refuse(403, "AccessDenied")
    )
    sent = run("copy", src="f", dst=store.at("f"))
    assert sent["error"]["code"] == "DST_PERMISSION"
    assert "f" not in store.things and not store.parts


@pytest.mark.parametrize("spoil", [False, True])
def test_a_keyed_upload_goes_on_with_the_parts_that_stand(
    spoil: bool, store: FakeStore, tmp_path: Path
) -> None:
    (tmp_path / "f").write_bytes(content(6 * PART + 1))
    held = threading.Event()
    store.page = 2

    def hold(request: Request) -> bool:
        # The last parts never end while the first process lives.
        return int(request.query.get("partNumber", "0")) > 4 and held.wait(60)

    store.before = hold
    fields = {"op": "copy", "src": "f", "dst": store.at("f"), "key": "k"}
    env = environment(tmp_path / "state", FAKE="fake")
    host = Host(argv_of("python"), cwd=tmp_path, env=env)
    host.send({"id": 1, **fields})
    while len(next(iter(store.parts.values()), {})) < 4:
        time.sleep(0.01)
    host.kill()
    ((upload, parts),) = store.parts.items()
    if spoil:
        parts[2] = parts[2][::-1]
    store.before = lambda request: False
    before = len(store.seen)
    host = Host(argv_of("python"), cwd=tmp_path, env=env)
    host.send({"id": 2, **fields})
    assert host.result(2)["status"] == "ok"
    host.finish()
    held.set()
    again = [one.query for one in store.seen[before:] if one.method == "PUT" and one.query]
    wanted = [2, 5, 6, 7] if spoil else [5, 6, 7]
    assert sorted(int(query["partNumber"]) for query in again) == wanted
    assert {query["uploadId"] for query in again} == {upload}
    assert store.things["f"].body == content(6 * PART + 1) and not store.parts


def test_an_upload_that_began_while_its_job_died_is_given_up(
    run: Run, store: FakeStore, tmp_path: Path
) -> None:
    (tmp_path / "f").write_bytes(content(PART + 1))
    held = threading.Event()
    store.after = lambda request: "uploads" in request.query and bool(request.key) and held.wait(60)
    host = Host(argv_of("python"), cwd=tmp_path, env=environment(tmp_path / "state", FAKE="fake"))
    host.send({"op": "copy", "id": 1, "src": "f", "dst": store.at("f")})
    while not store.parts:
        time.sleep(0.01)
    # The store began it, and nobody learns its name.
    host.kill()
    ((ours, _),) = store.parts.items()

    def begun(key: str, age: float, parts: Dict[int, bytes]) -> str:
        name = "u%d" % (len(store.seen) + 1)
        store.seen.append(SimpleNamespace(key=key))  # type: ignore[arg-type]
        store.parts[name], store.began[name] = parts, time.time() - age
        return name

    store.after = lambda request: False
    store.before = lambda request: "partNumber" in request.query and not held.wait(60)
    living = Host(argv_of("python"), cwd=tmp_path, env=environment(tmp_path / "state", FAKE="fake"))
    living.send({"op": "copy", "id": 1, "src": "f", "dst": store.at("f")})
    while not any("partNumber" in request.query for request in store.seen):
        time.sleep(0.01)
    theirs = {begun("f", 0, {1: b"theirs"}), begun("f", 86400, {}), begun("f2", 0, {})}
    theirs |= store.parts.keys() - {ours}
    assert run("cleanup", dry_run=True)["data"]["removed"] == 1 and ours in store.parts
    assert run("cleanup")["data"]["removed"] == 1
    assert set(store.parts) == theirs
    assert run("cleanup")["data"]["removed"] == 0
    held.set()
    assert living.result(1)["status"] == "ok"
    living.finish()


@pytest.mark.parametrize("size", [5, PART + 1])
@pytest.mark.parametrize("on_exists", ["fail", "replace"])
def test_what_a_dead_attempt_sent_is_no_strangers(
    size: int, on_exists: str, store: FakeStore, tmp_path: Path
) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "f").write_bytes(content(size))
    if on_exists == "replace":
        store.things["d/f"] = Thing(b"theirs")
    came = [threading.Event(), threading.Event()]
    carried_out = threading.Event()
    numbers = iter(range(9))

    def shows(request: Request) -> bool:
        whole = request.method == "PUT" and not request.query
        completes = request.method == "POST" and "uploadId" in request.query
        return request.key == "d/f" and (whole or completes)

    def hold(request: Request) -> bool:
        # The dead attempt's request waits until the next one's is there, which waits for it.
        if shows(request):
            number = next(numbers)
            if number < 2:
                came[number].set()
                (came[1] if number == 0 else carried_out).wait(60)
        return False

    def told(request: Request) -> bool:
        if shows(request) and came[1].is_set():
            carried_out.set()
        return False

    store.before, store.after = hold, told
    fields = {"op": "copy", "src": "src", "dst": store.at("d"), "key": "k", "on_exists": on_exists}
    env = environment(tmp_path / "state", FAKE="fake")
    host = Host(argv_of("python"), cwd=tmp_path, env=env)
    host.send({"id": 1, **fields})
    assert came[0].wait(60)
    host.kill()
    (tmp_path / "src" / "f").write_bytes(content(size)[::-1])
    host = Host(argv_of("python"), cwd=tmp_path, env=env)
    host.send({"id": 2, **fields})
    result = host.result(2)
    host.finish()
    assert result["status"] == "ok", result
    assert store.things["d/f"].body == content(size)[::-1] and not store.parts


def test_patience_is_had_as_long_as_asked(run: Run, store: FakeStore, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    thrice = Times(3)
    store.before = lambda request: (
        request.method == "PUT"
        and thrice.more()
        and request.refuse(503, "SlowDown", {"Retry-After": "1"})
    )
    sent = run("copy", src="f", dst=store.at("f"))
    assert (sent["status"], sent["metrics"]["retries"]) == ("ok", 3)
    assert sent["metrics"]["elapsed_ms"] >= 3000


def test_a_broken_answer_goes_on_where_it_broke(run: Run, store: FakeStore, tmp_path: Path) -> None:
    store.things["f"] = Thing(content(1 << 20))
    starts: List[Optional[str]] = []

    def cut(request: Request) -> bool:
        if request.method != "GET" or len(starts) >= 3:
            return False
        starts.append(request.headers.get("range"))
        status, body, fields = store._read(request)
        return request.answer(status, body, fields, cut=200_000)

    store.before = cut
    got = run("copy", src=store.at("f"), dst="f")
    assert got["status"] == "ok" and (tmp_path / "f").read_bytes() == content(1 << 20)
    assert starts == [None, "bytes=200000-", "bytes=400000-"]


def test_a_change_in_the_middle_begins_anew(run: Run, store: FakeStore, tmp_path: Path) -> None:
    store.things["f"] = Thing(content(1 << 20))
    changed = bytes(1 << 20)
    once = Times(1)

    def change(request: Request) -> bool:
        if request.method != "GET" or not once.more():
            return False
        status, body, fields = store._read(request)
        store.things["f"] = Thing(changed)
        return request.answer(status, body, fields, cut=300_000)

    store.before = change
    for target in ("f", store.at("copied")):
        store.things["f"], once.left = Thing(content(1 << 20)), 1
        got = run("copy", src=store.at("f"), dst=target)
        assert (got["status"], got["metrics"]["retries"]) == ("ok", 2), got
    assert (tmp_path / "f").read_bytes() == changed
    assert store.things["copied"].body == changed


def test_damaged_bytes_are_not_taken(run: Run, store: FakeStore, tmp_path: Path) -> None:
    thing = Thing(content(1000))
    thing.fields = {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-type": "FULL_OBJECT"}
    store.things["f"] = thing
    got = run("copy", src=store.at("f"), dst="f")
    assert got["error"]["code"] == "VERIFY_MISMATCH"
    assert not (tmp_path / "f").exists()


def test_an_item_that_may_not_be_looked_at_is_one_failure(
    run: Run, store: FakeStore, tmp_path: Path
) -> None:
    store.things = {"t/a": Thing(b"a"), "t/b": Thing(b"b"), "t/c": Thing(b"c")}
    store.things["t/b"].fields = {"x-amz-storage-class": "GLACIER"}
    store.before = lambda request: request.key == "t/c" and request.refuse(403, "AccessDenied")
    for looks in ({}, {"manifest": "m.jsonl"}):
        got = run("copy", src=store.at("t"), dst="out%d" % len(looks), **looks)
        failed = {one["at"]["path"]: one["code"] for one in got["failures"]}
        assert failed == {"b": "OBJECT_ARCHIVED", "c": "SRC_PERMISSION"}
        assert (got["status"], got["metrics"]["items_ok"]) == ("partial", 1)


def deletes(store: FakeStore, tmp_path: Path) -> Dict[str, Any]:
    (tmp_path / "in").mkdir(exist_ok=True)
    (tmp_path / "in" / "a").write_bytes(b"x")
    store.things.update({"t/%d" % n: Thing(b"x") for n in range(9)})
    store.page = 3
    return {"src": "in", "dst": store.at("t"), "delete": True, "max_delete": {}, "lock": "none"}


BAD_PAGES = {
    "refused": (403, b"<Error><Code>AccessDenied</Code></Error>"),
    "cut off": (200, b"<ListBucketResult><IsTruncated>false</IsTruncated>"),
    "without an end": (200, b"<ListBucketResult></ListBucketResult>"),
    "another answer": (200, b"<html></html>"),
    "no XML": (200, b"{}"),
    "going nowhere": (
        200,
        b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
    ),
    "another prefix": (
        200,
        b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>u/1</Key><Size>1</Size>"
        b"<ETag>e</ETag><LastModified>2026-11-21T08:00:00Z</LastModified></Contents>"
        b"</ListBucketResult>",
    ),
    "hostile": (
        200,
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">]>'
        b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>",
    ),
}


@pytest.mark.parametrize("what", BAD_PAGES)
def test_nothing_is_deleted_after_a_page_that_failed(
    what: str,
    run: Run,
    store: FakeStore,
    tmp_path: Path,
) -> None:
    fields = deletes(store, tmp_path)
    status, body = BAD_PAGES[what]
    store.before = lambda request: (
        not request.key
        and request.query.get("continuation-token") == "t/5"
        and request.answer(status, body)
    )
    got = run("copy", **fields)
    code = "LIST_PERMISSION" if status == 403 else "REMOTE_ANSWER"
    assert (got["status"], got["error"]["code"]) == ("partial", code), got
    assert got["data"]["deleted"] == 0
    assert store.count("DELETE /bucket/t/") == store.count("DELETE /bucket/t/.mig-")
    # As a source, such a listing must not pass for what there is either.
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / "mine").write_bytes(b"x")
    got = run("copy", src=store.at("t"), dst="out", delete=True, max_delete={})
    assert got["status"] in ("failed", "partial")
    assert (tmp_path / "out" / "mine").exists()


def test_only_what_was_listed_is_deleted(run: Run, store: FakeStore, tmp_path: Path) -> None:
    fields = deletes(store, tmp_path)

    def change(request: Request) -> bool:
        if request.method == "HEAD" and request.key == "t/4":
            store.things["t/4"] = Thing(b"written since")
        return False

    store.before = change
    got = run("copy", **fields)
    assert (got["status"], got["data"]["deleted"]) == ("ok", 8)
    assert sorted(store.things) == ["t/4", "t/a"]


def test_credentials_stay_with_their_host(run: Run, store: FakeStore, tmp_path: Path) -> None:
    other = FakeStore()
    store.before = lambda request: request.answer(307, b"", {"Location": other.url + "/bucket/f"})
    got = run("copy", src=store.at("f"), dst="f")
    assert got["error"]["code"] == "REDIRECT_REFUSED"
    assert other.seen == []
    other.close()


def test_a_wrong_region_is_named(run: Run, store: FakeStore) -> None:
    fields = {"x-amz-bucket-region": "eu-west-1"}
    store.before = lambda request: (
        "/us-east-1/" in request.headers["authorization"]
        and request.refuse(301, "PermanentRedirect", fields)
    )
    store.things["f"] = Thing(b"x")
    told = run("inspect", src=store.at("f", region="us-east-1"))
    assert told["error"]["code"] == "REGION_WRONG"
    # Where none was given, the one that is named is taken.
    assert run("inspect", src=store.at("f"))["status"] == "ok"


def test_a_store_without_conditions_is_not_written_blindly(
    run: Run, store: FakeStore, tmp_path: Path
) -> None:
    (tmp_path / "f").write_bytes(b"x")

    def refuses(request: Request) -> bool:
        return "if-none-match" in request.headers and request.refuse(501, "NotImplemented")

    def ignores(request: Request) -> bool:
        request.headers.pop("if-none-match", None)
        request.headers.pop("if-match", None)
        return False

    for number, wrong in enumerate((refuses, ignores)):
        store.before = wrong
        got = run("copy", src="f", dst=store.at("f"))
        assert got["error"]["code"] == "NO_ATOMIC_NOREPLACE" and not store.things
        racy = run("copy", src="f", dst=store.at("f", allow_racy=True))
        assert racy["status"] == "ok" and store.things.pop("f").body == b"x", number
        assert not store.things


def test_keys_that_are_no_paths_are_refused_or_escaped(
    run: Run, store: FakeStore, tmp_path: Path
) -> None:
    keys = ["../up", "a//b", "/lead", "dir/", "x/./y", "good", "50%", "n" * 256]
    store.things = {"t/" + key: Thing(key.encode()) for key in keys}
    store.things["t/empty/"] = Thing(b"")
    got = run("copy", src=store.at("t"), dst="plain")
    assert got["metrics"]["items_failed"] == 6
    assert (tmp_path / "plain" / "empty").is_dir()
    assert {one["code"] for one in got["failures"]} == {"NAME_REFUSED"}
    assert sorted(p.name for p in (tmp_path / "plain").iterdir()) == ["50%", "empty", "good"]
    got = run("copy", src=store.at("t", keys="escape"), dst="escaped")
    assert got["metrics"]["items_failed"] == 1
    back = run("copy", src="escaped", dst=store.at("u", keys="escape"))
    assert back["status"] == "ok"
    for key in keys[:-1]:
        assert store.things["u/" + key].body == key.encode()


def test_http_is_read_by_ranges(run: Run, store: FakeStore, tmp_path: Path) -> None:
    thing = Thing(content(1 << 20))
    store.things["d/f"] = thing
    twice = Times(2)

    def cut(request: Request) -> bool:
        if request.method != "GET" or not twice.more():
            return False
        assert "authorization" not in request.headers
        return request.answer(*store._read(request), cut=100_000)

    store.before = cut
    url = store.url + "/bucket/d/f?signed=1"
    got = run("copy", src=url, dst="got/")
    assert (got["status"], got["metrics"]["retries"]) == ("ok", 2)
    assert (tmp_path / "got" / "f").read_bytes() == thing.body
    assert md5(thing.body) in str(run("checksum", src=url, algorithm="md5")["data"])
    assert run("copy", src=url, dst=store.at("copied"))["status"] == "ok"
    assert store.things["copied"].body == thing.body
    thing.fields = {"Repr-Digest": "sha-256=:%s:" % ("A" * 43 + "=")}
    assert run("copy", src=url, dst="bad")["error"]["code"] == "VERIFY_MISMATCH"
    assert run("copy", src=store.url + "/bucket/no", dst="no")["error"]["code"] == "SRC_NOT_FOUND"
    assert run("copy", src="got", dst=url)["error"]["code"] == "UNSUPPORTED"


def test_a_login_stays_with_its_host(run: Run, store: FakeStore, tmp_path: Path) -> None:
    other = FakeStore()
    other.things["f"] = Thing(b"x")
    store.before = lambda request: request.answer(302, b"", {"Location": other.url + "/bucket/f"})
    auth = {"user": {"env": "FAKE"}, "password": {"env": "FAKE"}}
    where = {"url": store.url + "/bucket/f", "auth": auth}
    assert run("copy", src=where, dst="f")["status"] == "ok"
    assert {one.headers.get("authorization") for one in store.seen} == {"Basic ZmFrZTpmYWtl"}
    assert {one.headers.get("authorization") for one in other.seen} == {None}
    other.close()


def certificate(path: Path, name: str) -> str:
    asked = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test"
    arguments = ["-addext", "subjectAltName=" + name, "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(
        ["openssl", *asked.split(), *arguments], cwd=path, check=True, stderr=subprocess.DEVNULL
    )
    (path / "both.pem").write_text((path / "key.pem").read_text() + (path / "cert.pem").read_text())
    return str(path / "both.pem")


def test_certificates_are_verified(run: Run, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(content(PART + 1))
    for number, name in enumerate(("IP:127.0.0.1", "DNS:elsewhere.example")):
        (tmp_path / str(number)).mkdir()
        store = FakeStore(certificate(tmp_path / str(number), name))
        trusted = str(tmp_path / str(number) / "cert.pem")
        assert run("copy", src="f", dst=store.at("f"))["error"]["code"] == "TLS_REFUSED"
        assert store.seen == []
        sent = run("copy", src="f", dst=store.at("f", tls_ca=trusted))
        assert sent["status"] == ("failed" if number else "ok")
        if not number:
            # The checksum, which is signed, stands for the bytes.
            puts = [one for one in store.seen if one.method == "PUT"]
            assert {one.headers["x-amz-content-sha256"] for one in puts} == {"UNSIGNED-PAYLOAD"}
            assert all("x-amz-checksum-crc32" in one.headers["authorization"] for one in puts)
        blind = run("copy", src="f", dst=store.at("g", tls_insecure=True))
        assert blind["status"] == "ok" and "tls_insecure" in blind["advice"][0]
        read = run(
            "copy", src={"url": store.url + "/bucket/g", "tls_ca": trusted}, dst="g%d" % number
        )
        assert read["status"] == ("failed" if number else "ok")
        store.close()


def test_nobody_listens(run: Run, store: FakeStore, tmp_path: Path) -> None:
    store.close()
    host = Host(argv_of("python"), cwd=tmp_path, env=environment(tmp_path / "s2", FAKE="fake"))
    host.send({"op": "inspect", "id": 1, "src": store.at("f")})
    host.state(1, "running")
    host.send({"op": "cancel", "id": 2, "target": 1})
    assert host.result(1)["status"] == "cancelled"
    host.finish()


def test_parts_fit_any_size() -> None:
    mib, tib = 1 << 20, 1 << 40
    assert part_bytes(None, 100 * mib, 0) == 8 * mib
    for size in (80 << 30, 5 * tib, 48 * tib):
        assert -(-size // part_bytes(None, size, 0)) <= 10_000
    assert part_bytes(64 * mib, 100 * mib, 0) == 64 * mib
    assert sum(part_bytes(None, None, index) for index in range(10_000)) > 5 * tib
