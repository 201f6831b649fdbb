"""Parts of the fallback that speak to services, each on its own."""

import os
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import migration_engine
from migration_engine.fallback.faults import Fault
from migration_engine.fallback.location import Location, location
from migration_engine.fallback.objects import facts, keys
from migration_engine.fallback.remote.bucket import named
from migration_engine.fallback.remote.credentials import keys_of, profile_of
from migration_engine.fallback.remote.failures import Failure
from migration_engine.fallback.remote.s3 import Service
from migration_engine.fallback.remote.sigv4 import EMPTY, Keys, Signed, sign
from migration_engine.fallback.remote.wire import Address
from migration_engine.fallback.remote.xml import parse
from migration_engine.paths import to_wire

EXAMPLE = Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
WHEN = datetime(2013, 5, 24, tzinfo=timezone.utc)


def signature(headers: Any) -> str:
    return str(headers["authorization"]).rpartition("Signature=")[2]


def test_signatures_are_those_of_the_documentation() -> None:
    host = "examplebucket.s3.amazonaws.com"
    get = Signed("GET", "/test.txt", (), {"range": "bytes=0-9"}, EMPTY)
    assert signature(sign(get, host, EXAMPLE, "us-east-1", WHEN)) == (
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )
    lists = Signed("GET", "/", (("prefix", "J"), ("max-keys", "2")), {}, EMPTY)
    assert signature(sign(lists, host, EXAMPLE, "us-east-1", WHEN)) == (
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    )
    assert EXAMPLE.secret not in repr(EXAMPLE)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_an_escaped_key_is_a_path_and_the_same_again(key: str) -> None:
    path = keys.path_of(key, escape=True)
    assert all(name not in (b"", b".", b"..") for name in path.split(b"/"))
    assert b"\0" not in path
    assert keys.key_of(path, escape=True) == key


@pytest.mark.parametrize(
    ("key", "path"),
    [("a//b", b"a/%/b"), ("/a", b"%/a"), ("a/", b"a/%"), ("..", b"%2E%2E"), ("5%", b"5%25")],
)
def test_how_keys_are_escaped(key: str, path: bytes) -> None:
    assert keys.path_of(key, escape=True) == path


@pytest.mark.parametrize("key", ["", "/a", "a//b", "a/", "a/../b", ".", "a\0b", "x" * 256])
def test_plain_keys_that_are_no_paths(key: str) -> None:
    with pytest.raises(Fault) as caught:
        keys.path_of(key, escape=False)
    assert caught.value.code == "NAME_REFUSED"


@pytest.mark.parametrize(
    ("path", "escape"),
    [(b"\xff", False), (b"\xff", True), (b"5%", True), (b"%zz", True), (b"a/.mig-lease", False)],
)
def test_paths_that_are_no_keys(path: bytes, escape: bool) -> None:
    with pytest.raises(Fault) as caught:
        keys.key_of(path, escape)
    assert caught.value.code == "NAME_REFUSED"


@given(st.integers(-(10**18), 10**18))
def test_times_are_kept_to_the_nanosecond(nanos: int) -> None:
    assert facts.time_ns(facts.time_text(nanos)) == nanos


def test_metadata_stands_for_attributes() -> None:
    told = {"mtime": "1.5", "mode": "104755", "uid": "7", "gid": "8", "team": "x", "mig-write": "0"}
    status = facts.status_of(3, '"e"', 0, told)
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o4755, 7, 8)
    assert (status.st_mtime_ns, status.st_size) == (1_500_000_000, 3)
    assert facts.attributes_of(status, told).named == {"user.team": b"x"}
    given = {"user.team": b"x", "user.Big": b"x", "trusted.a": b"x", "user.nul": b"\0"}
    assert facts.named_of(given, {}, facts.OWN) == ({"team": "x"}, True)
    for bad in ("", "x", "1.0000000000", "99999999999999999"):
        assert facts.time_ns(bad) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<a>",
        b"<b></b>",
        b"<!DOCTYPE a><a></a>",
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        b"<a>" * 100,
    ],
)
def test_xml_that_is_no_answer(body: bytes) -> None:
    with pytest.raises(Failure) as caught:
        parse(body, "a")
    assert caught.value.class_ == "garbled"


def test_one_slash_ends_a_location_and_all_others_are_the_keys() -> None:
    told = {key: named(key) for key in ("", "x", "x/", "x//", "x///", "/x", "//")}
    assert told == {"": "", "x": "x", "x/": "x", "x//": "x/", "x///": "x//", "/x": "/x", "//": "/"}
    with pytest.raises(Fault) as caught:
        named("/")
    assert caught.value.code == "INVALID_FIELD"


def place(**options: Any) -> Location:
    told = location({"url": "s3://bucket/key", **options}, "src")
    assert isinstance(told, Location)
    return told


def test_profiles_and_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    (tmp_path / "config").write_text("[default]\nregion = r1\n[profile other]\nregion = r2\n")
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = d\naws_secret_access_key = %x%\n"
        "[other]\naws_access_key_id = o\naws_secret_access_key = y\naws_session_token = t\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    plain, other = place(), place(profile="other")
    assert keys_of(plain, profile_of(plain)) == ("d", "%x%", None)
    assert keys_of(other, profile_of(other)) == ("o", "y", "t")
    assert profile_of(other).fields["region"] == "r2"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "e")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "z")
    assert keys_of(plain, profile_of(plain)) == ("e", "z", None)
    # A profile that is named goes before the environment.
    assert keys_of(other, profile_of(other)) == ("o", "y", "t")
    assert keys_of(place(anonymous=True), profile_of(plain)) is None
    with pytest.raises(Fault) as caught:
        profile_of(place(profile="never"))
    assert caught.value.code == "CREDENTIALS_MISSING"


def test_endpoints() -> None:
    assert Address.parse("http://127.0.0.1:9000").authority == "127.0.0.1:9000"
    assert Address.parse("https://[::1]/").authority == "[::1]"
    for bad in ("127.0.0.1:9000", "ftp://a", "https://u:p@a", "https://a/b", "https://a:x"):
        with pytest.raises(Fault) as caught:
            Address.parse(bad)
        assert caught.value.code == "INVALID_FIELD"
        assert "u:p" not in caught.value.message


def test_a_customers_key_never_goes_in_the_clear_to_another_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUSTOMER_KEY", "k" * 32)

    def opened(endpoint: str) -> Service:
        told = location(
            {
                "url": "s3://bucket/k",
                "endpoint": endpoint,
                "anonymous": True,
                "auth": {"sse_customer_key": {"env": "CUSTOMER_KEY"}},
            },
            "src",
        )
        assert isinstance(told, Location)
        job: Any = SimpleNamespace(on_cancel=lambda _cut: None)
        return Service(job, told, "bucket", quiet=True)

    for endpoint in ("https://s3.example.org", "http://127.0.0.1:9000"):
        assert opened(endpoint).customer_fields()
    with pytest.raises(Fault) as caught:
        opened("http://s3.example.org")
    assert (caught.value.code, caught.value.field) == ("INVALID_FIELD", "endpoint")


def test_the_hosts_helper_says_what_the_wire_takes() -> None:
    secret = {"env": "KEY"}
    made = migration_engine.location("s3://b/k", region="r", auth={"secret_access_key": secret})
    assert to_wire(made) == {
        "url": "s3://b/k",
        "region": "r",
        "auth": {"secret_access_key": secret},
    }
    told = location(to_wire(made), "src")
    assert isinstance(told, Location)
    assert (told.scheme, told.path, told.options.region) == ("s3", b"b/k", "r")
    known = set(migration_engine.LocationOptions.__annotations__) - {"auth"}
    assert known == set(told.options._fields)
