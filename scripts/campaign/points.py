"""Kills the engine at every call that may change the disk, resumes by key, has it all judged.

Usage: python3 -m campaign.points SIZE|all [SEED] [--types A,B]
SIZE is how many of the points of each type are tried.
"""

import argparse
import functools
import random
import shutil
import sys
import tempfile
from pathlib import Path
from typing import List

from campaign import auditor
from campaign.crash import report
from campaign.jobs import JobType, chosen
from campaign.run import Source, Verdict
from campaign.traced import TracedRun, calls_of, on_all_cores, small_source, spread, told
from campaign.tracer import CHANGES, GO_ON, Call, Fate, creates

# Share of the runs that are killed a second time, in their resume.
TWICE_SHARE = 0.4
# Calls more than counted that are tried: threads do not always make the same ones.
MORE = 12


class Point(TracedRun):
    """A run that is killed at one call."""

    def die(self, point: int) -> bool:
        """Kills it at this call, before it is made. Returns whether it came that far."""
        seen: List[Call] = []

        def judge(call: Call) -> Fate:
            if not creates(call):
                return GO_ON
            seen.append(call)
            return Fate(kill=True) if len(seen) == point + 1 else GO_ON

        before = self.view()
        traced, events, errors = self.trace(CHANGES, judge)
        when = f"killed at {seen[-1] if seen else 'no call'}"
        if traced.hung:
            self.blame(when, ["the engine hung"])
        if len(seen) <= point:
            if not events or events[-1].get("status") != "ok":
                self.blame(when, [f"not done: exit {traced.code} {told(events)} {errors[-300:]}"])
            return False
        self.verdict.kills.append(seen[point].name)
        now = self.view()
        self.judge_moment(when, now)
        self.blame(when, auditor.kept(self.old, before, now, self.source.expected))
        return True

    def play_at(self, point: int, calls: int) -> Verdict:
        """Dies at this point, perhaps again in the resume, then ends."""
        if self.die(point) and self.rng.random() < TWICE_SHARE:
            self.die(self.rng.randrange(calls))
        if not self.verdict.problems:
            self.finish()
        self.judge_source()
        return self.verdict


def play(folder: Path, seed: str, kind: JobType, source: Source, point: int, calls: int) -> Verdict:
    """One point in a place of its own."""
    place = folder / f"{kind.name}-{point}"
    place.mkdir()
    try:
        verdict = Point(point, seed, kind, source, place).play_at(point, calls)
    except Exception as error:
        verdict = Verdict(point, kind.name, problems=[f"{type(error).__name__}: {error}"])
    if not verdict.problems:
        shutil.rmtree(place)
    return verdict


def main() -> None:
    """Exits with 1 when any point leaves anything torn, lost, doubled or left over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", help="points of each type, or all")
    parser.add_argument("seed", nargs="?", default=str(random.SystemRandom().randrange(10**6)))
    parser.add_argument("--types", default="")
    parser.add_argument("--only", type=int, help="the one point to try")
    parser.add_argument("--keep", action="store_true", help="leave failed places where they are")
    options = parser.parse_args()
    print(f"seed {options.seed}")
    folder = Path(tempfile.mkdtemp(prefix="points-"))
    verdicts, tasks = [], []
    for kind in chosen(options.types):
        try:
            source = small_source(kind, folder)
            calls = len(calls_of(kind, options.seed, folder, source, CHANGES, creates))
        except Exception as error:
            verdicts.append(Verdict(-1, kind.name, problems=[f"cannot run: {error}"]))
            continue
        points = [*spread(calls + MORE, options.size, options.seed)]
        points = points if options.only is None else [options.only]
        tasks += [
            functools.partial(play, folder, options.seed, kind, source, point, calls)
            for point in points
        ]
        print(f"{kind.name}: {calls} calls that may change the disk, {len(points)} points")
    verdicts += on_all_cores(tasks)
    well = report(verdicts, f"points.sh all {options.seed} --types {{kind}}", "points", len(tasks))
    if well or not options.keep:
        auditor.run("rm", "-rf", folder)
    else:
        print(f"places: {folder}")
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
