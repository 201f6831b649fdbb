"""Runs of small jobs whose system calls are interfered with, and how they are spread over cores."""

import json
import multiprocessing
import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import Callable, Iterator, List, Sequence, Tuple

from campaign import auditor
from campaign.engine import Event, binary
from campaign.jobs import JobType
from campaign.run import Run, Source, Verdict, outcome
from campaign.tracer import GO_ON, Call, Judge, Traced, Tracer

# Longest a small job may take under the tracer before it counts as hung.
PATIENCE_S = 30.0


class TracedRun(Run):
    """A run of one small job under the tracer."""

    def __init__(self, number: int, seed: str, kind: JobType, source: Source, place: Path) -> None:
        super().__init__(number, seed, kind, source, place)
        # The same command for every point of a seed, so that its calls can be counted out.
        same = random.Random(f"{seed}:{kind.name}")
        self.command = {**kind.command(place, source.path, same), "key": f"run-{number}"}

    def trace(self, names: Sequence[str], judge: Judge) -> Tuple[Traced, List[Event], str]:
        """Runs the command; what happened, what was said, and what stood on standard error."""
        with tempfile.TemporaryDirectory() as folder:
            stdio = [Path(folder) / name for name in ("in", "out", "err")]
            stdio[0].write_text(json.dumps(self.command) + "\n")
            words = [binary(), "serve", "--state-dir", str(self.place / "state")]
            tracer = Tracer(names, self.place.parent, judge)
            traced = tracer.run(words, self.place, stdio, PATIENCE_S)
            lines = stdio[1].read_bytes().split(b"\n")
            errors = stdio[2].read_text(errors="replace")
        events: List[Event] = [json.loads(line) for line in lines[:-1]]
        return traced, [event for event in events if event.get("id") == "job"], errors


def small_source(kind: JobType, folder: Path) -> Source:
    """A type's small source."""
    path = folder / f"source-{kind.name}"
    kind.build(path, True)
    return Source(path, auditor.look(path), kind.expect(path))


def calls_of(kind: JobType, seed: str, folder: Path, source: Source, names: Sequence[str],
             counts: Callable[[Call], bool]) -> List[Call]:
    """The calls of a job that nobody interferes with.

    Raises `RuntimeError` when it does not end well.
    """
    place = folder / f"counted-{kind.name}"
    place.mkdir()
    traced, events, errors = TracedRun(0, seed, kind, source, place).trace(names, lambda _: GO_ON)
    shutil.rmtree(place)
    if not events or events[-1].get("status") != "ok":
        raise RuntimeError(f"{kind.name}: {told(events)} {errors[-300:]}")
    return [call for call in traced.calls if counts(call)]


def spread(count: int, size: str, seed: str) -> Iterator[int]:
    """Which of `count` points are tried: all, or `size` evenly spaced from a seeded start."""
    if size == "all" or int(size) >= count:
        yield from range(count)
        return
    step = count / int(size)
    start = random.Random(seed).uniform(0, step)
    yield from (int(start + n * step) for n in range(int(size)))


def told(events: List[Event]) -> str:
    """How a job ended, for people."""
    if not events or events[-1]["type"] != "result":
        return f"no result after {len(events)} events"
    return outcome(events[-1])


# What the processes of the pool work on: they are forks, so nothing needs to be sent to them.
work: List[Callable[[], Verdict]] = []


def do(number: int) -> Verdict:
    """Does one piece of the work."""
    return work[number]()


def on_all_cores(tasks: Sequence[Callable[[], Verdict]]) -> List[Verdict]:
    """Runs tasks in processes of their own: a tracer owns all children of its process."""
    work[:] = tasks
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        return pool.map(do, range(len(tasks)), chunksize=1)
