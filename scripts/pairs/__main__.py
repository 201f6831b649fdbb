"""Copies between every pair of places. `scripts/pairs.sh` sets up what it needs.

Usage: python -m pairs small|large [--only SOURCE-DESTINATION|names ...] [--seed WORD]
"""

import argparse
import os
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import List

from campaign.engine import Engine

from pairs import names
from pairs.matrix import GIB, Cell, Matrix, cells, sizes_around
from pairs.places import Disk, Place, Web, stores

# Copies under way at once in the session.
JOBS = 4


def chosen(all_cells: List[Cell], only: List[str]) -> List[Cell]:
    """The copies of these pairs; all for none."""
    return [
        cell
        for cell in all_cells
        if not only or f"{cell.source.name}-{cell.destination.name}" in only
    ]


def pairs(place: Path, seed: str, places: List[Place], options: argparse.Namespace) -> List[str]:
    """The matrices of the sizes asked for."""
    each = len(sizes_around(places[0].part))
    with Engine(place, ["--jobs", str(JOBS)]) as engine:
        matrix = Matrix(place, seed, engine)
        small = chosen(cells(places), options.only)
        begun = time.monotonic()
        matrix.at_once(small)
        moved = sum(cell.size for cell in small)
        print(f"{len(small)} copies, {moved} bytes, {time.monotonic() - begun:.1f} s")
        print(matrix.table(places, each), flush=True)
    if options.size == "small":
        return matrix.problems
    with Engine(place) as engine:
        large = Matrix(place, seed, engine)
        large.one_by_one(chosen(cells(places, [GIB]), options.only))
        print(f"peak {engine.peak_bytes()} bytes\n{large.table(places, 1)}", flush=True)
    return matrix.problems + large.problems


def main() -> None:
    """Exits with 1 when a copy is not what it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", choices=["small", "large"])
    parser.add_argument("--only", nargs="+", default=[], metavar="SOURCE-DESTINATION")
    parser.add_argument("--seed", default=secrets.token_hex(4))
    options = parser.parse_args()
    print(f"pairs: seed {options.seed}", flush=True)
    place = Path(tempfile.mkdtemp(prefix="pairs-"))
    prefix = f"pairs-{os.getpid()}"
    places = [Disk(place / "files"), *stores(prefix), Web(prefix)]
    try:
        problems: List[str] = []
        if options.only != ["names"]:
            problems += pairs(place, options.seed, places, options)
        if not options.only or "names" in options.only:
            with Engine(place) as engine:
                problems += names.run(engine, place, [p for p in places[1:] if p.writes])
    finally:
        for one in places:
            one.clear()
        shutil.rmtree(place)
    for problem in problems:
        print(f"FAILED {problem}")
    if problems:
        print(f"again: scripts/pairs.sh {' '.join(sys.argv[1:])} --seed {options.seed}")
    print(f"pairs: {len(places)} places, {len(problems)} FAILED")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
