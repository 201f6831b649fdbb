"""A host that spawns the binary once per operation: arguments in, one JSON object out."""

import gzip
import hashlib
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any, Dict, Optional

import pytest

from . import scratch
from .backends import LIVENESS_S, Host, argv_of, environment, native_binary

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class Assistant:
    """What such a host does, with the binary found on PATH."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        bin_ = directory / "bin"
        bin_.mkdir()
        (bin_ / "migration-engine").symlink_to(os.path.abspath(native_binary()))
        self._env = {
            **os.environ,
            "PATH": "%s:%s" % (bin_, os.environ["PATH"]),
            "MIGRATION_ENGINE_STATE_DIR": str(directory / "state"),
        }

    def spawn(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["migration-engine", *arguments],
            cwd=self._directory,
            env=self._env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIVENESS_S,
            check=False,
        )

    def ask(self, *arguments: str) -> Dict[str, Any]:
        ran = self.spawn(*arguments)
        answer: Dict[str, Any] = json.loads(ran.stdout)
        assert ran.returncode == 0, ran.stderr
        assert answer["success"] is True and not answer.get("error")
        data: Dict[str, Any] = answer["data"]
        return data

    def fail(self, *arguments: str) -> Dict[str, Any]:
        ran = self.spawn(*arguments)
        answer: Dict[str, Any] = json.loads(ran.stdout)
        assert answer["success"] is False and answer["error"]
        assert ran.returncode != 0 and ran.stderr.strip()
        return answer


def restored(directory: Path, backend: str, name: str, form: Optional[str]) -> Dict[str, Any]:
    """What a session answers that unpacks ``name`` to ``out``."""
    host = Host(argv_of(backend), cwd=directory, env=environment(directory / "state2"))
    command = {"op": "decompress", "id": "d", "src": name, "dst": "out"}
    host.send(command if form is None else {**command, "format": form})
    answer: Dict[str, Any] = host.result("d")
    host.finish()
    return answer


@pytest.fixture
def assistant(tmp_path: Path) -> Assistant:
    return Assistant(tmp_path)


def test_version(assistant: Assistant) -> None:
    assert assistant.ask("version")["version"].count(".") == 2


def test_copy_replaces_and_makes_parents(assistant: Assistant, tmp_path: Path) -> None:
    content = scratch.pattern(300_000)
    (tmp_path / "a").write_bytes(content)
    for _ in range(2):
        data = assistant.ask("copy", "--source", "a", "--destination", "x/y/b")
        assert data["bytes_copied"] == len(content)
        assert data["checksum"] == hashlib.sha256(content).hexdigest()
        assert data["success"] is True
        assert data["duration_ms"] >= 0 and data["transfer_rate_mbps"] >= 0
        assert (tmp_path / "x" / "y" / "b").read_bytes() == content


def test_copy_of_a_directory(assistant: Assistant, tmp_path: Path) -> None:
    (tmp_path / "in" / "d").mkdir(parents=True)
    (tmp_path / "in" / "d" / "a").write_text("alpha")
    data = assistant.ask("copy", "--source", "in", "--destination", "out")
    assert data["bytes_copied"] == 5
    assert (tmp_path / "out" / "d" / "a").read_text() == "alpha"


def test_copy_of_nothing_fails(assistant: Assistant) -> None:
    assistant.fail("copy", "--source", "nowhere", "--destination", "b")


def test_checksum_keeps_the_order_and_reports_each_file(
    assistant: Assistant, tmp_path: Path
) -> None:
    (tmp_path / "b").write_text("beta")
    (tmp_path / "a").write_text("alpha")
    ran = assistant.spawn("checksum", "--files", "b", "nowhere", "a")
    answer = json.loads(ran.stdout)
    results = answer["data"]["results"]
    assert [one["file"] for one in results] == ["b", "nowhere", "a"]
    assert results[1]["error"] and "error" not in results[0]
    for one, text in ((results[0], b"beta"), (results[2], b"alpha")):
        assert one["size"] == len(text)
        for name in ("md5", "sha1", "sha256"):
            assert one[name] == hashlib.new(name, text).hexdigest()
    data = assistant.ask("checksum", "--files", "a", "b")
    assert data["success"] is True


@pytest.mark.parametrize("name", ["a.gz", "a.gzip", "a.other"])
def test_compress_to_gzip(assistant: Assistant, tmp_path: Path, name: str) -> None:
    content = b"alpha" * 10_000
    (tmp_path / "a").write_bytes(content)
    data = assistant.ask("compress", "--source", "a", "--destination", name)
    packed = (tmp_path / name).read_bytes()
    assert gzip.decompress(packed) == content
    assert data["original_size"] == len(content) and data["compressed_size"] == len(packed)
    assert data["compression_ratio"] == pytest.approx(len(packed) / len(content), rel=1e-3)
    assert data["method"] == "gzip" and data["success"] is True


@pytest.mark.parametrize(
    ("name", "method", "form"),
    [
        ("in.tar", "tar", "tar"),
        ("in.tar.gz", "tar.gz", "tar_gzip"),
        ("in.gz", "gzip", "tar_gzip"),
        ("in.tar.zst", "tar.zst", "tar_zstd"),
        ("in.zst", "zstd", "tar_zstd"),
    ],
)
def test_a_directory_becomes_an_archive(
    assistant: Assistant, tmp_path: Path, name: str, method: str, form: str
) -> None:
    (tmp_path / "in" / "d").mkdir(parents=True)
    (tmp_path / "in" / "d" / "a").write_text("alpha")
    data = assistant.ask("compress", "--source", "in", "--destination", name)
    assert data["method"] == method and data["original_size"] >= 5
    assert data["compressed_size"] == (tmp_path / name).stat().st_size
    # tarfile is another reader than ours; zstd it does not know.
    if form != "tar_zstd":
        with tarfile.open(tmp_path / name) as archive:
            content = archive.extractfile("d/a")
            assert content is not None and content.read() == b"alpha"
    answer = restored(tmp_path, "native", name, form)
    assert answer["status"] == "ok", answer
    assert (tmp_path / "out" / "d" / "a").read_text() == "alpha"


@pytest.mark.parametrize("name", ["a.zst", "a.zstd"])
def test_a_file_is_compressed_to_zstd(assistant: Assistant, tmp_path: Path, name: str) -> None:
    content = b"alpha" * 10_000
    (tmp_path / "a").write_bytes(content)
    data = assistant.ask("compress", "--source", "a", "--destination", name)
    packed = (tmp_path / name).read_bytes()
    assert packed.startswith(_ZSTD_MAGIC)
    assert data["original_size"] == len(content) and data["compressed_size"] == len(packed)
    assert data["method"] == "zstd"
    answer = restored(tmp_path, "native", name, "zstd")
    assert answer["status"] == "ok", answer
    assert (tmp_path / "out").read_bytes() == content


@pytest.mark.parametrize(("source", "name"), [("in", "in.tar.zst"), ("a", "a.zst")])
def test_the_fallback_refuses_zstd_in_words(
    assistant: Assistant, tmp_path: Path, source: str, name: str
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "a").write_text("alpha")
    assistant.ask("compress", "--source", source, "--destination", name)
    answer = restored(tmp_path, "python", name, None)
    assert answer["error"]["code"] == "UNSUPPORTED" and "zstd" in answer["error"]["message"]
    assert answer["error"]["hint"] and not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tar.zst"])
def test_a_file_is_an_archive_of_one_member(
    assistant: Assistant, tmp_path: Path, name: str
) -> None:
    (tmp_path / "a").write_text("alpha")
    assistant.ask("compress", "--source", "a", "--destination", name)
    listed = subprocess.run(["tar", "-tf", tmp_path / name], capture_output=True, check=True)
    assert listed.stdout == b"a\n"


def test_monitor(assistant: Assistant) -> None:
    data = assistant.ask("monitor")
    assert data["timestamp"].endswith("Z") or "+" in data["timestamp"]
    assert data["cpu"]["count"] == len(data["cpu"]["usage_percent"])
    assert {"total", "available", "used", "used_percent", "free"} <= set(data["memory"])
    assert {"bytes_sent", "bytes_recv", "packets_sent", "packets_recv"} <= set(data["network"])
    assert isinstance(data["disk"], list) and isinstance(data["go_runtime"], dict)


@pytest.mark.parametrize("method", ["concurrent", "chunked"])
def test_transfer(assistant: Assistant, tmp_path: Path, method: str) -> None:
    (tmp_path / "a").write_text("alpha")
    data = assistant.ask("transfer", "--source", "a", "--destination", "b", "--method", method)
    assert data["bytes_transferred"] == 5 and data["method"] == method
    assert data["success"] is True and not data.get("error")
    assert (tmp_path / "b").read_text() == "alpha"


@pytest.mark.parametrize("method", ["concurrent", "chunked"])
def test_transfer_of_many_files_and_of_many_parts(
    assistant: Assistant, tmp_path: Path, method: str
) -> None:
    (tmp_path / "in").mkdir()
    large = os.urandom(1 << 20) * 33
    (tmp_path / "in" / "large").write_bytes(large)
    for number in range(300):
        (tmp_path / "in" / str(number)).write_text("alpha")
    data = assistant.ask("transfer", "--source", "in", "--destination", "b", "--method", method)
    assert data["bytes_transferred"] == len(large) + 300 * 5 and data["method"] == method
    assert (tmp_path / "b" / "large").read_bytes() == large
    assert len(list((tmp_path / "b").iterdir())) == 301
