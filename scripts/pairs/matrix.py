"""Every pair of places, with sizes around a part: content, size, time, mode, digest of copies."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

from campaign.engine import Engine, Event

from pairs.content import digests, read, write
from pairs.places import Place

GIB = 1 << 30
ALGORITHMS = ("sha256", "crc64nvme")
JUDGES = 4


class Cell(NamedTuple):
    """One copy."""

    source: Place
    destination: Place
    size: int
    algorithm: str

    def name(self) -> str:
        """What the copy is called, in its key too."""
        return f"{self.source.name}-{self.destination.name}-{self.size}-{self.algorithm}"


def sizes_around(part: int) -> List[int]:
    """Nothing, a byte, and what lies about a part."""
    return [0, 1, part - 1, part, part + 1, 3 * part]


def cells(places: Sequence[Place], sizes: Sequence[int] = ()) -> List[Cell]:
    """All copies: digests by turns, so that each pair and each size has both."""
    pairs = [(a, b) for a in places for b in places if b.writes]
    return [
        Cell(source, destination, size, ALGORITHMS[(row + column) % 2])
        for row, (source, destination) in enumerate(pairs)
        for column, size in enumerate(sizes or sizes_around(destination.part))
    ]


class Master:
    """A file that sources are made of, and what it must be judged by."""

    def __init__(self, place: Path, seed: str, size: int) -> None:
        self.path = place / f"master-{size}"
        write(self.path, f"{seed}/{size}", size)
        self.said = digests(read(self.path), "md5", "sha256")

    def ask(self, engine: Engine) -> None:
        """Has the engine digest the file by what Python is slow at."""
        result = engine.call({
            "op": "checksum", "id": f"sum-{self.path.name}", "src": str(self.path),
            "algorithm": "crc64nvme",
        })
        (entry,) = result["data"]["digests"]
        self.said["crc64nvme"] = entry["digests"]["crc64nvme"]


def command(cell: Cell) -> Event:
    """The copy as the engine is asked for it."""
    return {
        "op": "copy", "id": cell.name(), "checksum": cell.algorithm,
        "src": cell.source.location(f"source-{cell.size}"),
        "dst": cell.destination.location(cell.name()),
    }


def judge(cell: Cell, result: Event, master: Master) -> List[str]:
    """What is wrong with a copy."""
    if result["status"] != "ok":
        return [f"{result['status']}: {result.get('error')}"]
    there = cell.destination.look(cell.name())
    wanted: Dict[str, Tuple[Any, Any]] = {
        "bytes": (result["metrics"]["bytes"], cell.size),
        "size": (there.size, cell.size),
        "md5": (there.md5, master.said["md5"]),
        "digest": (
            result["data"].get("digests"), {cell.algorithm: master.said[cell.algorithm]}
        ),
        "mtime": (there.mtime, cell.source.mtime),
    }
    if cell.source.mode is not None:
        wanted["mode"] = (there.mode, cell.source.mode)
    return [f"{what} {a!r}, not {b!r}" for what, (a, b) in wanted.items() if a != b]


class Matrix:
    """The masters and sources of a run, and what was found."""

    def __init__(self, place: Path, seed: str, engine: Engine) -> None:
        self.place, self.seed, self.engine = place, seed, engine
        self.masters: Dict[int, Master] = {}
        self.problems: List[str] = []
        self.good: Dict[Tuple[str, str], int] = {}
        self.lock = threading.Lock()

    def prepare(self, wanted: Sequence[Cell]) -> None:
        """Makes what the copies are made of."""
        for size in sorted({cell.size for cell in wanted} - self.masters.keys()):
            master = self.masters[size] = Master(self.place, self.seed, size)
            master.ask(self.engine)
        sources = {(cell.source, cell.size) for cell in wanted}
        with ThreadPoolExecutor(JUDGES) as pool:
            put = [
                pool.submit(place.put, f"source-{size}", self.masters[size].path)
                for place, size in sources
            ]
        for one in put:
            one.result()

    def settle(self, cell: Cell, result: Event) -> None:
        """Judges a copy and removes it."""
        try:
            wrong = judge(cell, result, self.masters[cell.size])
        except Exception as error:
            wrong = [f"cannot be read: {error!r}"]
        with self.lock:
            pair = (cell.source.name, cell.destination.name)
            self.good[pair] = self.good.get(pair, 0) + (not wrong)
            self.problems += [f"{cell.name()}: {one}" for one in wrong]
        if result["status"] == "ok":
            cell.destination.drop(cell.name())

    def at_once(self, wanted: Sequence[Cell]) -> None:
        """All copies in one session, as they come; each is judged when it has ended."""
        self.prepare(wanted)
        left = {cell.name(): cell for cell in wanted}
        self.engine.send(*[command(cell) for cell in wanted])
        with ThreadPoolExecutor(JUDGES) as pool:
            while left:
                result = self.engine.until(lambda e: e["type"] == "result" and e["id"] in left)
                if result is None:
                    self.problems.append(f"the engine ended: {self.engine.ending()}")
                    return
                pool.submit(self.settle, left.pop(result["id"]), result)

    def one_by_one(self, wanted: Sequence[Cell]) -> None:
        """A copy at a time, each removed again: the disk holds no more of them."""
        for place in {cell.source.name: cell.source for cell in wanted}.values():
            mine = [cell for cell in wanted if cell.source is place]
            self.prepare(mine)
            for cell in mine:
                begun = time.monotonic()
                result = self.engine.call(command(cell))
                rate = cell.size / max(time.monotonic() - begun, 1e-9) / 1e6
                offload = result.get("data", {}).get("offload", "")
                before = len(self.problems)
                self.settle(cell, result)
                word = "good" if len(self.problems) == before else "BAD"
                print(f"{cell.name()}: {word}, {rate:.0f} MB/s {offload}", flush=True)
            for size in {cell.size for cell in mine}:
                place.drop(f"source-{size}")

    def table(self, places: Sequence[Place], each: int) -> str:
        """How many copies of each pair were good."""
        columns = [place.name for place in places if place.writes]
        rows = ["from \\ to " + "".join(f"{name:>8}" for name in columns)]
        for place in places:
            counts = [self.good.get((place.name, name)) for name in columns]
            shown = ["-" if count is None else f"{count}/{each}" for count in counts]
            rows.append(f"{place.name:<10}" + "".join(f"{text:>8}" for text in shown))
        return "\n".join(rows)
