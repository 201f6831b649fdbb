"""Filesystems that have no room, or fold names, and processes without file sizes or handles.

Jobs that run out of something go on once there is more.

Usage: python3 -m campaign.room [SCENE...] (as root: it mounts small filesystems)
"""

import contextlib
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Callable, Dict, List, Sequence

from campaign import auditor, data, folding
from campaign.engine import Engine, Event

SYSTEMS = {
    "ext4": ["mkfs.ext4", "-q", "-m", "0"],
    "btrfs": ["mkfs.btrfs", "-q", "--mixed"],
    "xfs": ["mkfs.xfs", "-q"],
}
IMAGE_BYTES = {"ext4": 48 * data.MIB, "btrfs": 120 * data.MIB, "xfs": 310 * data.MIB}
HANDLES = 40


class Mounted:
    """A small filesystem in a file."""

    def __init__(self, place: Path, system: str) -> None:
        self.place, self.system = place, system
        self.root = place / "disk"

    def __enter__(self) -> Path:
        image = self.place / "image"
        with image.open("wb") as file:
            file.truncate(IMAGE_BYTES[self.system])
        subprocess.run([*SYSTEMS[self.system], str(image)], check=True)
        self.root.mkdir()
        auditor.run("mount", "-o", "loop", image, self.root)
        return self.root

    def __exit__(self, *_: object) -> None:
        auditor.run("umount", self.root)
        (self.place / "image").unlink()
        self.root.rmdir()


def fill(path: Path, leave: int) -> None:
    """A file that leaves about so many bytes free, and none at all for 0."""
    free = shutil.disk_usage(path.parent).free
    auditor.run("fallocate", "-l", max(4096, free - leave - data.MIB), path)
    if leave == 0:
        with contextlib.suppress(OSError), path.open("ab") as file:
            while True:
                file.write(bytes(data.MIB // 16))
                os.fsync(file)


def codes(result: Event) -> List[str]:
    """Every code of a result."""
    found = [failure["code"] for failure in result.get("failures", [])]
    return sorted({*found, *([result["error"]["code"]] if "error" in result else [])})


def judge(when: str, source: Path, dst: Path, result: Event, wanted: str) -> List[str]:
    """A job that could not go on says why; every name is whole, and no temporary file is left."""
    problems = []
    if result["status"] == "ok" or codes(result) != [wanted]:
        problems.append(f"{when}: {result['status']} {codes(result)}, not {wanted}")
    torn = auditor.moment(auditor.look(dst), {}, auditor.look(source), removes=False)
    ours = [problem for problem in torn if "filler" not in problem]
    left = [auditor.show(name) for name in auditor.leftovers(dst.parent)]
    return problems + [f"{when}: {p}" for p in ours] + [f"{when}: leftover {n}" for n in left]


def completes(when: str, source: Path, dst: Path, result: Event) -> List[str]:
    """The same command, with room, ends well."""
    if result["status"] != "ok":
        return [f"{when}, mended: {result['status']} {codes(result)}"]
    new = auditor.look(source)
    problems = auditor.final(auditor.look(dst), {}, new, removes=False, replaces=False)
    return [f"{when}, mended: {problem}" for problem in problems]


def tree(root: Path) -> Path:
    """Files of some 14 MiB in all, one of them large."""
    source = root / "src"
    data.write_tree(source, "room", 150, {"large": 9 * data.MIB + 5, "other": 4 * data.MIB})
    return source


def full(system: str, root: Path) -> List[str]:
    """A destination without room, then with; the same for one that is full from the start."""
    source, problems = tree(root), []
    with Mounted(root, system) as disk:
        for leave, name in ((6 * data.MIB, "half"), (0, "none")):
            when = f"{system}, {name} of the room"
            dst = disk / name / "dst"
            dst.parent.mkdir()
            fill(disk / "filler", leave)
            command = {"op": "copy", "id": name, "src": str(source), "dst": str(dst), "key": name}
            with Engine(root) as engine:
                result = engine.call(command)
                problems += judge(when, source, dst, result, "DST_NO_SPACE")
                (disk / "filler").unlink()
                mended = engine.call({**command, "id": "again"})
            problems += completes(when, source, dst, mended)
            shutil.rmtree(disk / name)
        if system == "ext4":
            problems += full_state(source, disk, root)
    return problems


def full_state(source: Path, disk: Path, root: Path) -> List[str]:
    """A state directory without room, then with."""
    place = disk / "place"
    (place / "state").mkdir(parents=True)
    dst = root / "beside" / "dst"
    dst.parent.mkdir()
    fill(disk / "filler", 0)
    command = {"op": "copy", "id": "c", "src": str(source), "dst": str(dst), "key": "k"}
    problems = []
    with Engine(place) as engine:
        result = engine.call(command)
        problems += judge("a full state directory", source, dst, result, "STATE_DIR")
    (disk / "filler").unlink()
    with Engine(place) as engine:
        problems += completes("a full state directory", source, dst, engine.call(command))
    return problems


def under_limit(when: str, limit: Sequence[str], wanted: str, root: Path) -> List[str]:
    """A job in a process with a limit, then without it."""
    source = tree(root)
    dst = root / "limited" / "dst"
    command = {"op": "copy", "id": "c", "src": str(source), "dst": str(dst), "key": "k"}
    with Engine(root, wrapper=["prlimit", *limit]) as engine:
        result = engine.call(command)
    problems = judge(when, source, dst, result, wanted) if wanted else []
    with Engine(root) as engine:
        problems += completes(when, source, dst, engine.call(command))
    return problems


def twins(root: Path) -> List[str]:
    """Names that differ in case only, to a filesystem that takes them for one.

    Whatever the job says it wrote is there; what found its name taken by its twin is an error.
    """
    source, problems = root / "src", []
    (source / "d").mkdir(parents=True)
    for name in ("README", "readme", "d/Straße", "d/STRASSE", "d/alone"):
        (source / name).write_text(name)
    with folding.Mounted(root) as disk, Engine(root) as engine:
        for on_exists in ("fail", "update", "replace"):
            for made_before in (False, True):
                dst = disk / f"{on_exists}-{made_before}"
                if made_before:
                    (dst / "d").mkdir(parents=True)
                result = engine.call({
                    "op": "copy", "id": dst.name, "src": str(source), "dst": str(dst),
                    "on_exists": on_exists,
                })
                there = sum(path.is_file() for path in dst.rglob("*"))
                told = result["metrics"]["items_ok"]
                if told != there or result["status"] == "ok":
                    problems.append(
                        f"twins, {dst.name}: {result['status']} {codes(result)}, "
                        f"{told} items told, {there} there"
                    )
    return problems


def main() -> None:
    """Exits with 1 when a bound is answered wrongly."""
    only = sys.argv[1:]
    failed = 0
    scenes: Dict[str, Callable[[Path], List[str]]] = {
        system: functools.partial(full, system) for system in SYSTEMS
    }
    scenes["file size"] = functools.partial(
        under_limit, "a limit of file size", [f"--fsize={5 * data.MIB}"], "DST_NO_SPACE"
    )
    scenes["handles"] = functools.partial(
        under_limit, "few handles", [f"--nofile={HANDLES}:{HANDLES}"], ""
    )
    scenes["twins"] = twins
    for name, scene in scenes.items():
        if only and name not in only:
            continue
        root = Path(tempfile.mkdtemp(prefix="room-"))
        try:
            problems = scene(root)
        except Exception as error:
            problems = [f"{name}: {type(error).__name__}: {error}"]
        print(f"{name}: {'FAILED' if problems else 'held'}")
        for problem in problems[:4]:
            print(f"FAILED {problem}")
        failed += bool(problems)
        auditor.run("rm", "-rf", root)
    print(f"room: {len(scenes)} scenes, {failed} FAILED")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
