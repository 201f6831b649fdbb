"""A host that spawns the binary once per operation: arguments in, one JSON object out."""

import gzip
import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any, Dict

import pytest

from . import scratch
from .backends import LIVENESS_S, native_binary


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


@pytest.mark.parametrize("name", ["in.tar.gz", "in.tar", "in.tar.zst", "a.zst"])
def test_archives_are_refused_in_words(assistant: Assistant, tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_text("alpha")
    source = "in/a" if name == "a.zst" else "in"
    ran = assistant.spawn("compress", "--source", source, "--destination", name)
    answer = json.loads(ran.stdout)
    assert answer["success"] is False and "not built" in answer["error"]
    assert ran.returncode != 0 and ran.stderr
    assert not (tmp_path / name).exists()


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
