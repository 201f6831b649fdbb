"""The same commands on an object store by both backends: the same answers, the same objects."""

import json
import os
from pathlib import Path
from typing import Any, Dict, List

from .backends import Host, Line, argv_of, environment
from .judge import Shelf, content, judge, shelf
from .normal import normal
from .test_parity import first_failure_is_any

__all__ = ["judge", "shelf"]

# What costs on the way, and what the binary has its store do.
DROPPED = [
    "metrics.bytes_wire",
    "metrics.requests",
    "metrics.cache_hits",
    "metrics.cache_misses",
    "data.offload",
]


def commands(there: Any) -> List[Dict[str, Any]]:
    """What is done below the prefix that ``there`` gives locations in."""
    copy = {"op": "copy", "src": "in", "dst": there("t")}
    update = {"on_exists": "update", "exclude": ["link"]}
    mirror = {**copy, "on_exists": "update", "delete": True, "max_delete": {}}
    return [
        {**copy, "id": "copy", "symlinks": "skip"},
        {**copy, "id": "again", "symlinks": "skip"},
        {**copy, "id": "kinds", "on_exists": "skip"},
        {"op": "inspect", "id": "inspect", "src": there("t")},
        {"op": "plan", "id": "plan", "command": {**copy, **update}},
        {"op": "verify", "id": "verify", "src": "in", "dst": there("t"), "exclude": ["link"]},
        {"op": "verify", "id": "back", "src": there("t"), "dst": "in", "exclude": ["link"]},
        {"op": "checksum", "id": "sum", "src": there("t"), "algorithm": "md5", "manifest": "SUMS"},
        {"op": "checksum", "id": "check", "src": there("t"), "check": "SUMS"},
        {"op": "checksum", "id": "checked", "src": "in", "check": "SUMS"},
        {"op": "copy", "id": "one", "src": "in/a", "dst": there("one")},
        {"op": "copy", "id": "into", "src": "in/a", "dst": there("t/into/")},
        {"op": "copy", "id": "exists", "src": "in/a", "dst": there("one")},
        {"op": "copy", "id": "down", "src": there("t"), "dst": "out"},
        {"op": "copy", "id": "update", "src": there("t"), "dst": "out", "on_exists": "update"},
        {"op": "copy", "id": "within", "src": there("t"), "dst": there("t/below")},
        {"op": "copy", "id": "other", "src": there("t"), "dst": there("u"), "include": ["d/**"]},
        {"op": "copy", "id": "root", "src": "in/a", "dst": there("")},
        {"op": "copy", "id": "lone", "src": there("/"), "dst": "out"},
        {**mirror, "id": "halted"},
        {**mirror, "id": "mirror", "symlinks": "skip"},
        {**mirror, "id": "limit", "include": ["d/**"], "src": "less", "max_delete": {"count": 0}},
    ]


def run(backend: str, shelf: Shelf, directory: Path) -> List[Line]:
    (directory / "in" / "d" / "e").mkdir(parents=True)
    (directory / "less" / "d").mkdir(parents=True)
    for name in ("in/a", "in/d/b", "in/d/e/c d+%.txt", "in/d/\u00fc", "less/d/b"):
        (directory / name).write_text(name[-1] * 9)
        os.utime(directory / name, ns=(1, 1234567890_123456789))
    (directory / "in" / "large").write_bytes(content((8 << 20) + 1))
    (directory / "in" / "link").symlink_to("a")

    def there(key: str) -> Dict[str, Any]:
        return shelf.at(backend + "/" + key if key.strip("/") else key)

    host = Host(argv_of(backend), cwd=directory, env=environment(directory / "state"))
    for command in commands(there):
        host.send(command)
        host.result(command["id"])
    host.finish()
    lines = normal(host.lines, str(directory), {"drop": DROPPED})
    text = json.dumps([first_failure_is_any(line) for line in lines])
    shaped: List[Line] = json.loads(text.replace("/%s/" % backend, "/$BACKEND/"))
    return shaped


def test_both_backends_agree(shelf: Shelf, tmp_path: Path) -> None:
    answers, objects = {}, {}
    for backend in ("native", "python"):
        (tmp_path / backend).mkdir()
        answers[backend] = run(backend, shelf, tmp_path / backend)
        keys = [key for key in shelf.listed() if key.startswith(backend + "/")]
        facts = {key[len(backend) :]: shelf.facts(key) for key in keys}
        for key, one in facts.items():
            if key.startswith("/u/"):
                # Copied by the store itself, which types what has none in its own way.
                del one["type"]
            del one["etag"], one["metadata"]["mig-write"]
            if one["metadata"]["mtime"] != "1234567890.123456789":
                del one["metadata"]["mtime"]
        objects[backend] = facts
    by_id = {
        name: {line["id"]: line for line in lines if line["type"] == "result"}
        for name, lines in answers.items()
    }
    for id_, line in by_id["native"].items():
        assert by_id["python"][id_] == line, id_
    assert objects["native"] == objects["python"]
