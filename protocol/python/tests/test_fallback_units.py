"""Parts of the fallback that are tested with bytes alone."""

import json
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migration_engine.fallback import fields, registry
from migration_engine.fallback.faults import Fault, printable
from migration_engine.fallback.frame import DEPTH_MAX, LINE_IN_MAX_BYTES, LineSplitter, parse
from migration_engine.fallback.glob import Selection
from migration_engine.fallback.manifest import ManifestWriter, _plain_entry, plain_line
from migration_engine.fallback.signed import lacks, written

from .backends import PACKAGE_ROOT, SCHEMA


def cut(*chunks: bytes) -> List[Any]:
    splitter = LineSplitter()
    return [line for chunk in chunks for line in splitter.push(chunk)] + splitter.end()


def code(line: bytes) -> str:
    with pytest.raises(Fault) as fault:
        parse(line)
    return fault.value.code


def test_lines_are_cut_as_the_protocol_says() -> None:
    assert cut(b"\xef\xbb\xbf{}\r\n", b'{"a"', b":1}") == [b"{}", b'{"a":1}']
    assert cut(b"\n\n") == [b"", b""]
    long = b"x" * (LINE_IN_MAX_BYTES + 1)
    assert cut(long, b"yy\n{}\n") == [None, b"{}"]
    assert cut(long + b"\n{}\n") == [None, b"{}"]
    assert cut(long[1:] + b"\n") == [long[1:]]


@given(st.binary(max_size=256), st.integers(0, 256))
def test_cutting_does_not_depend_on_chunks(data: bytes, at: int) -> None:
    assert cut(data) == cut(data[:at], data[at:])


@given(st.binary(max_size=512))
def test_any_bytes_give_an_answer(data: bytes) -> None:
    try:
        parsed = parse(data)
    except Fault as fault:
        assert fault.code in ("PARSE", "DUPLICATE_FIELD")
    else:
        assert parsed is None or isinstance(parsed, dict)


@pytest.mark.parametrize(
    "line",
    [b"[]", b"7", b"{} {}", b'{"a":"\\ud800"}', b'{"a":1e999}', b'{"a":NaN}', b'{"a":-Infinity}',
     b'{"a":"\xff"}', b'{"a":' + b"9" * 400 + b"}", b'"', b'{"a', b"{,}"],
)  # fmt: skip
def test_only_one_object_a_line(line: bytes) -> None:
    assert code(line) == "PARSE"


@pytest.mark.parametrize(
    "line", [b'{"a":1,"a":2}', b'{"a":[{"b":1,"b":1}]}', b'{"a":1,"\\u0061":2}']
)
def test_repeated_keys_are_refused_at_any_depth(line: bytes) -> None:
    assert code(line) == "DUPLICATE_FIELD"


def test_depth_is_bounded_and_strings_do_not_count() -> None:
    def deep(levels: int) -> bytes:
        return b'{"a":' + b"[" * levels + b"]" * levels + b"}"

    assert parse(deep(DEPTH_MAX - 1)) is not None
    assert code(deep(DEPTH_MAX)) == "PARSE"
    assert code(deep(100_000)) == "PARSE"
    assert parse(b'{"a":"' + b"[" * 1000 + b'\\"["}') is not None


def test_messages_never_repeat_the_line() -> None:
    with pytest.raises(Fault) as fault:
        parse(b'{"secret": hunter2}')
    assert "hunter2" not in json.dumps(fault.value.wire())


def test_text_is_bounded_and_has_no_control_characters() -> None:
    text = printable("a\x1b[31m\n" + "x" * 5000)
    assert len(text) < 1000 and text.isprintable()


@pytest.mark.parametrize(
    ("given_", "expected"),
    [("50MB", 50_000_000), ("64MiB", 64 << 20), ("1.5 KiB", 1536), (7, 7), ("0.1B", None),
     ("-1", None), ("1e9", None), ("9999999999TiB", None), ("MiB", None), (1.5, None),
     (True, None), (1 << 53, None), ("1 XB", None), ("", None)],
)  # fmt: skip
def test_sizes_are_exact_or_refused(given_: Any, expected: Any) -> None:
    check = fields.size()
    if expected is None:
        with pytest.raises(Fault):
            check(given_, "x")
    else:
        assert check(given_, "x") == expected


def test_times_have_units() -> None:
    check = fields.millis()
    assert [check(text, "x") for text in (5, "250ms", "30s", "5m", "1h")] == [
        5, 250, 30_000, 300_000, 3_600_000,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("include", "exclude", "path", "taken"),
    [
        (["*.csv"], [], b"a/b/c.csv", True),
        (["a/*.csv"], [], b"a/b/c.csv", False),
        (["a/**"], [], b"a/b/c.csv", True),
        (["a/**/c.csv"], [], b"a/c.csv", True),
        (["**/c.csv"], [], b"c.csv", True),
        (["a"], [], b"a/b/c.csv", True),
        (["/b"], [], b"a/b/c", False),
        ([], ["/b"], b"a/b/c", True),
        ([], ["b/"], b"a/b/c", False),
        (["*"], ["*.tmp"], b"x.tmp", False),
        (["{a,b}.[ch]"], [], b"b.h", True),
        (["{a,b}.[ch]"], [], b"c.h", False),
        (["[!a]"], [], b"b", True),
        (["[!a]"], [], b"a", False),
        (["a?c"], [], b"a/c", False),
        (["?"], [], b"\xff", True),
        (["A"], [], b"a", False),
        (["\\*"], [], b"*", True),
        (["\\*"], [], b"x", False),
        (["a.c"], [], b"abc", False),
    ],
)
def test_globs(include: List[str], exclude: List[str], path: bytes, taken: bool) -> None:
    assert Selection(include, exclude).takes(path) is taken


@pytest.mark.parametrize("pattern", ["", "[", "{a", "a}", "\\", "/"])
def test_bad_globs_are_refused(pattern: str) -> None:
    with pytest.raises(Fault):
        Selection([pattern], [])


@given(st.binary(min_size=1).filter(lambda name: b"\0" not in name))
def test_names_survive_a_manifest(name: bytes) -> None:
    line = plain_line(name, b"0" * 32)
    assert line.count(b"\n") == 1
    assert _plain_entry(line[:-1]).path == name


def test_the_registry_is_the_published_one() -> None:
    published = json.loads((SCHEMA / "errors.json").read_text())
    assert registry.table() == published


def test_every_code_that_is_raised_is_registered() -> None:
    raised = set()
    for path in (PACKAGE_ROOT / "migration_engine" / "fallback").rglob("*.py"):
        raised.update(re.findall(r'Fault\(\s*"([A-Z_]+)"', Path(path).read_text()))
    assert raised <= set(registry.BY_CODE)


def test_a_manifest_and_directories_made_for_it_are_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: List[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    session = SimpleNamespace(temporary_number=lambda: 1)
    job: Any = SimpleNamespace(name="00000000", session=session)
    ManifestWriter(job, os.fsencode(tmp_path / "made" / "for" / "SUMS")).publish()
    assert synced[-1] == str(tmp_path / "made" / "for")
    assert {str(tmp_path), str(tmp_path / "made")} <= set(synced)


def test_signatures_are_not_stored_and_all_other_values_tell_commands_apart() -> None:
    def of(query: str) -> Any:
        return written({"src": [{"url": "https://h/p?" + query}]}, "k")

    assert of("X-Amz-Date=1&v=1&X-Amz-Signature=a") == of("X-Amz-Date=2&v=1&X-Amz-Signature=b")
    assert of("X-Amz-Date=1&v=1&X-Amz-Signature=a") != of("X-Amz-Date=1&v=2&X-Amz-Signature=a")
    assert of("sv=1&sr=b&sig=x") == of("sv=2&sr=b&sig=y")
    for name in ("key", "access_token", "X-Api-Key", "client_secret", "auth", "jwt"):
        one, other = (of("%s=file-%s" % (name, which)) for which in "AB")
        assert one != other and lacks(one) and "file-A" not in json.dumps(one)
        assert written(one, "k") == one
    plain = {"src": "https://h/p?page=2&keyword=x&expires=1", "dst": "dir?sig=1", "n": [1, None]}
    assert written(plain, "k") == plain and not lacks(plain)
