"""Changes the source while it is copied; a copy is exactly one state of it, or there is none.

One engine, many commands. Content is stamped by generation and position, so that a mix of two
states shows. A change in place is two writes with more than a tick of the filesystem's clock
between them, since a reader can see a change only by its times.

Usage: python3 -m campaign.changing RUNS [SEED]
"""

import argparse
import collections
import ctypes
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Callable, Dict, List, Optional, Set, Tuple

from campaign.engine import Engine, Event

BLOCK = 4096
# More than a tick of the clock that files are stamped with.
TICK_S = 0.012
# Slow enough, in bytes per second, for a change to come in the middle.
RATE = 60_000_000
AT_CWD, EXCHANGE = -100, 2
# Answers that say that a source did not hold still, or is gone.
HONEST = {"SRC_CHANGED", "SRC_NOT_FOUND"}
HONEST_ABOUT_LINKS = HONEST | {"SRC_LINK", "SRC_READ"}
FOREIGN = b"foreign content, which nobody may read\n" * 4000


def stamped(generation: int, blocks: int) -> bytes:
    """Content of which every block names its generation and its place."""
    rows = (b"%012d %012d|" % (generation, n) for n in range(blocks))
    return b"".join(row * (BLOCK // len(row)) + b"." * (BLOCK % len(row)) for row in rows)


class Round:
    """One file that is copied, alone or in a tree, while it changes once."""

    def __init__(self, number: int, seed: str, place: Path) -> None:
        self.rng = random.Random(f"{seed}:{number}")
        self.number, self.place = number, place
        self.folder = place / f"src{number}"
        self.file = self.folder / "m"
        self.outside = place / "outside"
        self.old = stamped(number, self.rng.choice([64, 256, 700]))
        self.new = stamped(number + 1_000_000, len(self.old) // BLOCK)
        # Every state that the file is ever in, and links count by their text.
        self.states: Set[bytes] = {self.old}
        self.codes = HONEST
        self.kind = self.rng.choice(sorted(CHANGES))
        self.tree = self.rng.random() < 0.5

    def prepare(self) -> None:
        """The source of before, its times a tick ago."""
        self.folder.mkdir()
        for name in ("a", "z") if self.tree else ():
            (self.folder / name).write_bytes(stamped(7, 3))
        self.file.write_bytes(self.old)
        (self.place / f"new{self.number}").write_bytes(self.new)
        time.sleep(TICK_S)

    def command(self) -> Event:
        """The copy of the file, or of the tree with it."""
        return {
            "op": "copy", "id": f"c{self.number}", "durability": "crash",
            "src": str(self.folder if self.tree else self.file),
            "dst": str(self.place / f"dst{self.number}"),
            "chunk_bytes": self.rng.choice(["64KiB", "64KiB", "1MiB"]),
            "limits": {"bytes_per_s": RATE},
            "checksum": self.rng.choice(["crc64nvme", "none", "sha256"]),
        }

    def append(self) -> None:
        """Grows at its end, in one write."""
        tail = stamped(self.number + 2_000_000, 5)
        self.states.add(self.old + tail)
        with self.file.open("ab") as file:
            file.write(tail)

    def truncate(self) -> None:
        """Loses its second half."""
        self.states.add(self.old[: len(self.old) // 2])
        os.truncate(self.file, len(self.old) // 2)

    def in_place(self) -> None:
        """Is written over, first half first."""
        half = len(self.old) // 2
        self.states |= {self.new[:half] + self.old[half:], self.new}
        number = os.open(self.file, os.O_WRONLY)
        os.pwrite(number, self.new[:half], 0)
        time.sleep(TICK_S)
        os.pwrite(number, self.new[half:], half)
        os.close(number)

    def replace(self) -> None:
        """Another file takes its name."""
        self.states.add(self.new)
        os.rename(self.place / f"new{self.number}", self.file)

    def delete(self) -> None:
        """Goes away."""
        self.file.unlink()

    def swap(self) -> None:
        """A link to a file outside takes its name."""
        self.codes = HONEST_ABOUT_LINKS
        link = self.place / f"link{self.number}"
        link.symlink_to(self.outside / "m")
        self.states.add(os.fsencode(self.outside / "m"))
        os.rename(link, self.file)

    def play(self, engine: Engine) -> Tuple[str, List[str]]:
        """Copies and changes at once. Returns what came of it, and problems."""
        self.prepare()
        engine.send(self.command())
        time.sleep(self.rng.uniform(0, 1.2) * len(self.old) / RATE)
        CHANGES[self.kind](self)
        result = engine.until(lambda e: e["type"] == "result" and e["id"] == f"c{self.number}")
        if result is None:
            return "died", [f"the engine ended: {engine.ending()}"]
        outcome = self.judge(result)
        for path in (self.folder, self.place / f"dst{self.number}"):
            remove(path)
        remove(self.place / f"new{self.number}")
        return outcome

    def judge(self, result: Event) -> Tuple[str, List[str]]:
        """The copy is one state of the source, or the result says why there is none."""
        copy = self.place / f"dst{self.number}" / ("m" if self.tree else "")
        content = read(copy)
        codes = {failure["code"] for failure in result.get("failures", [])}
        codes |= {result["error"]["code"]} if "error" in result else set()
        problems = [f"strange codes {sorted(codes)}"] if codes - self.codes else []
        if content is not None and content not in self.states:
            problems.append(f"torn: {len(content)} bytes that are no state of the source")
        if result["status"] == "ok" and content is None and self.kind not in ("delete",):
            problems.append("ok, and no copy")
        if codes and content is not None:
            problems.append("refused, and published")
        if result["status"] not in ("ok", "partial", "failed"):
            problems.append(f"status {result['status']}")
        names = ("new" if content in self.states - {self.old} else "old") if content else "none"
        return (names if not codes else ",".join(sorted(codes))), problems


CHANGES: Dict[str, Callable[[Round], None]] = {
    "append": Round.append, "truncate": Round.truncate, "in place": Round.in_place,
    "replace": Round.replace, "delete": Round.delete, "swap to link": Round.swap,
}


def read(path: Path) -> Optional[bytes]:
    """A file's content, a link's text, or nothing."""
    if path.is_symlink():
        return os.fsencode(os.readlink(path))
    return path.read_bytes() if path.exists() else None


def remove(path: Path) -> None:
    """Removes whatever it is."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.is_symlink() or path.exists():
        path.unlink()


def exchange(left: Path, right: Path) -> None:
    """Two names change places in one step."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(AT_CWD, bytes(left), AT_CWD, bytes(right), EXCHANGE) != 0:
        raise OSError(ctypes.get_errno(), f"renameat2 {left} {right}")


def swapped_parents(engine: Engine, place: Path, rounds: int) -> List[str]:
    """Directories of both sides are links to a place outside, and then again are not, all along.

    Nothing of that place is read, and nothing is written to it.
    """
    outside, problems = place / "outside", []
    for side in ("from", "to"):
        (place / side / "d/deep").mkdir(parents=True)
        (place / f"link-{side}").symlink_to(outside)
    for name in ("m", "deep/m", "deep/n"):
        (place / "from/d" / name).write_bytes(b"inside")
    before = sorted((path, read(path)) for path in outside.rglob("*") if path.is_file())
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for side in ("from", "to"):
                exchange(place / side / "d", place / f"link-{side}")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for n in range(rounds):
            command = {
                "op": "copy", "id": f"s{n}", "src": str(place / "from"), "dst": str(place / "to"),
                "on_exists": "replace", "durability": "crash",
            }
            code = engine.call(command).get("error", {}).get("code", "")
            if code in ("INTERNAL", "ACCOUNTING"):
                problems.append(f"swapped parents: {code}")
    finally:
        stop.set()
        thread.join()
    if sorted((path, read(path)) for path in outside.rglob("*") if path.is_file()) != before:
        problems.append("swapped parents: written outside of the root")
    for folder in (place / "to", place / "link-to"):
        if not folder.is_symlink():
            copies = [p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()]
            copies = [p for p in copies if outside not in p.resolve().parents]
            foreign = [p for p in copies if p.read_bytes() != b"inside"]
            problems += [f"swapped parents: foreign content in {path}" for path in foreign]
    return problems


def main() -> None:
    """Exits with 1 when a copy is a mix, or anything foreign was read or written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=int)
    parser.add_argument("seed", nargs="?", default=str(random.SystemRandom().randrange(10**6)))
    parser.add_argument("--only", type=int, help="the one run to play")
    options = parser.parse_args()
    print(f"seed {options.seed}")
    place = Path(tempfile.mkdtemp(prefix="changing-"))
    (place / "outside/deep").mkdir(parents=True)
    for name in ("m", "deep/m"):
        (place / "outside" / name).write_bytes(FOREIGN)
    caught = 0
    outcomes: Dict[str, "collections.Counter[str]"] = collections.defaultdict(collections.Counter)
    failed = 0
    with Engine(place) as engine:
        for n in range(options.runs) if options.only is None else [options.only]:
            one = Round(n, options.seed, place)
            outcome, problems = one.play(engine)
            outcomes[one.kind][outcome] += 1
            caught += any(event["type"] == "warning" for event in engine.events)
            engine.events.clear()
            failed += bool(problems)
            for problem in problems[:1]:
                replay = f"scripts/changing.sh 0 {options.seed} --only {n}"
                print(f"FAILED {one.kind} {n}: {problem} [{replay}]")
        problems = swapped_parents(engine, place, max(20, options.runs // 4))
    for problem in problems:
        print(f"FAILED {problem}")
    left = [path for path in place.rglob(".mig-*") if path.is_file()]
    for path in left[:5]:
        print(f"FAILED leftover {path}")
    for kind, counts in sorted(outcomes.items()):
        print(f"{kind}: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    remove(place)
    if options.only is None and caught < options.runs // 10:
        problems.append("too few changes came in the middle")
        print(f"FAILED {problems[-1]}")
    print(
        f"changing: {options.runs} runs, {caught} caught in the middle, "
        f"{failed + len(problems)} FAILED, {len(left)} leftovers"
    )
    sys.exit(1 if failed or problems or left else 0)


if __name__ == "__main__":
    main()
