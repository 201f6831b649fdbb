"""Time and memory as the work grows: many files, wide directories, one large file; what ETAs say.

Usage: python3 -m campaign.growth FILES... [--large SIZE] [--eta-bytes SIZE]
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import List, Tuple

from campaign.data import MIB, pieces
from campaign.engine import HELLO, Engine, Event

FILES_PER_DIRECTORY = 1000
# How much dearer a file may be among many than among few.
DEARER_MAX = 3.0
# Below so many seconds a run says nothing of growth.
SECONDS_MIN = 0.5
MEMORY_CAP = 64 * MIB
UNITS = {"MiB": 1 << 20, "GiB": 1 << 30}
# Bytes of content in each hole-and-island of a large file.
ISLAND, STRIDE = MIB + 4097, 128 * MIB
ETA_RATE = 8_000_000
ETA_SHARE = 0.2
# A rest this short is no more foretold than the clock that reports it.
ETA_SLACK_S = 0.4


def build_many(root: Path, count: int) -> None:
    """`count` files of a few bytes, a thousand in each directory."""
    for n in range(count):
        folder = root / f"d{n // FILES_PER_DIRECTORY:04}"
        if n % FILES_PER_DIRECTORY == 0:
            folder.mkdir(parents=True)
        with open(folder / f"f{n}", "wb") as file:
            file.write(b"%d\n" % n * (n % 9))


def done(result: Event) -> List[str]:
    """Why a result is not what it should be."""
    return [] if result["status"] == "ok" else [f"{result['status']}: {result.get('error')}"]


def many(place: Path, count: int) -> Tuple[float, List[str]]:
    """A keyed copy of `count` files. Returns the seconds for each, and problems."""
    build_many(place / "src", count)
    with Engine(place, ["--memory-cap", str(MEMORY_CAP)]) as engine:
        begun = time.monotonic()
        result = engine.call({
            "op": "copy", "id": "c", "src": "src", "dst": "dst", "key": "k", "manifest": "m.jsonl",
        })
        seconds = time.monotonic() - begun
        peak = engine.peak_bytes()
    print(f"{count} files: {seconds:.1f} s, {seconds / count * 1e6:.0f} us each, peak {peak} bytes")
    problems = done(result)
    if peak > MEMORY_CAP:
        problems.append(f"{count} files: {peak} bytes of memory, the cap is {MEMORY_CAP}")
    listed = subprocess.run(["wc", "-l", place / "m.jsonl"], stdout=subprocess.PIPE, check=True)
    if int(listed.stdout.split()[0]) != count:
        problems.append(f"{count} files: the manifest has {listed.stdout.decode()}")
    same = subprocess.run(["diff", "-rq", place / "src", place / "dst"], check=False)
    problems += ["the trees differ"] if same.returncode else []
    return seconds / count if seconds > SECONDS_MIN else 0.0, problems


def flat(place: Path, count: int) -> List[str]:
    """As many empty directories in one, looked at."""
    for n in range(count):
        (place / "flat" / f"directory-{n:020}").mkdir(parents=True)
    with Engine(place, ["--memory-cap", str(MEMORY_CAP)]) as engine:
        result = engine.call({"op": "inspect", "id": "i", "src": "flat"})
        peak = engine.peak_bytes()
    print(f"{count} directories in one: peak {peak} bytes")
    problems = done(result)
    if result.get("data", {}).get("directories") != count:
        problems.append(f"{count} directories in one: {result.get('data')}")
    if peak > MEMORY_CAP:
        problems.append(f"{count} directories: {peak} bytes of memory, the cap is {MEMORY_CAP}")
    return problems


def large(place: Path, size: int) -> List[str]:
    """A file with content at its beginning, its end, and islands between, with little memory."""
    source = place / "large"
    with source.open("wb") as file:
        for start in [*range(0, size - ISLAND, STRIDE), size - ISLAND]:
            file.seek(start)
            file.writelines(pieces(f"large@{start}", ISLAND))
    with Engine(place, ["--memory-cap", str(MEMORY_CAP)]) as engine:
        begun = time.monotonic()
        result = engine.call({"op": "copy", "id": "c", "src": "large", "dst": "copy"})
        seconds = time.monotonic() - begun
        peak = engine.peak_bytes()
    blocks = [(place / name).stat().st_blocks for name in ("large", "copy")]
    print(f"{size} bytes: {seconds:.1f} s, peak {peak} bytes, blocks {blocks[0]} to {blocks[1]}")
    problems = done(result)
    if peak > MEMORY_CAP:
        problems.append(f"a large file: {peak} bytes of memory, the cap is {MEMORY_CAP}")
    if subprocess.run(["cmp", source, place / "copy"], check=False).returncode:
        problems.append("a large file: the copy differs")
    if blocks[1] > blocks[0] + blocks[0] // 10 + 64:
        problems.append("a large file: its holes were filled")
    return problems


def eta(place: Path, size: int) -> List[str]:
    """A copy held to a rate: from its first third on, `eta_s` is within a fifth of the truth."""
    with (place / "paced").open("wb") as file:
        file.writelines(pieces("eta", size))
    limits = {"bytes_per_s": ETA_RATE}
    told: List[Tuple[float, float]] = []
    with Engine(place) as engine:
        engine.send(HELLO, {"op": "copy", "id": "c", "src": "paced", "dst": "p", "limits": limits})
        while True:
            event = engine.next(60)
            now = time.monotonic()
            if event is None:
                return ["eta: the engine ended"]
            if event["type"] == "progress" and event["bytes_done"] * 3 > size:
                told.append((now, -1.0 if event["eta_s"] is None else event["eta_s"]))
            if event["type"] == "result" and event["id"] == "c":
                break
    off = [(now - at, said) for at, said in told]
    wrong = [pair for pair in off if abs(pair[1] - pair[0]) > ETA_SHARE * pair[0] + ETA_SLACK_S]
    print(f"eta: {len(told)} told, {len(wrong)} more than 20 % off")
    shown = ", ".join(f"{said:.1f} s said with {truth:.1f} s to go" for truth, said in wrong[:3])
    return done(event) + ([f"eta: {shown}"] if wrong or not told else [])


def size_of(text: str) -> int:
    """A size such as 1GiB, in bytes."""
    for unit, factor in UNITS.items():
        if text.endswith(unit):
            return int(text[: -len(unit)]) * factor
    return int(text)


def main() -> None:
    """Exits with 1 when a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=int, nargs="+")
    parser.add_argument("--large", type=size_of, default=size_of("1GiB"))
    parser.add_argument("--eta-bytes", type=size_of, default=size_of("40MiB"))
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="growth-"))
    problems: List[str] = []
    each: List[float] = []
    for number, count in enumerate(sorted(options.files)):
        place = root / str(number)
        place.mkdir()
        cost, wrong = many(place, count)
        each += [cost] if cost else []
        problems += wrong + flat(place, count)
        shutil.rmtree(place)
    for few, more in zip(each, each[1:]):
        if more > DEARER_MAX * few:
            problems.append(f"a file costs {more / few:.1f} times as much among more")
    problems += large(root, options.large) + eta(root, options.eta_bytes)
    shutil.rmtree(root)
    for problem in problems:
        print(f"FAILED {problem}")
    print(f"growth: {len(options.files)} trees, {len(problems)} FAILED")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
