"""Kills the engine at random moments of a job, resumes by key, and has an auditor judge.

Usage: python3 -m campaign.crash RUNS [SEED] [--types A,B] [--only RUN]
"""

import argparse
import collections
import concurrent.futures
import contextlib
import functools
import os
import random
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Optional, Tuple

from campaign import auditor
from campaign.engine import HELLO, Engine, Event, Hung
from campaign.jobs import JobType, chosen

# Crashes of one run, at most: each but the first is in a resume.
CHAIN_MAX = 5
# Runs that are given up after their crashes, and cleaned up instead of resumed.
ABANDONED_SHARE = 0.1
# Times of birth tell a command's own directories from others', as finely as clocks tick.
TICK_S = 0.03


@dataclass
class Verdict:
    """What became of one run."""

    run: int
    kind: str
    kills: List[str] = field(default_factory=list)
    kept: int = 0
    problems: List[str] = field(default_factory=list)


@dataclass
class Source:
    """A source that many runs share, and how long the job takes when nobody kills it."""

    path: Path
    look: auditor.Tree
    expected: auditor.Tree
    seconds: float = 0.0


class Run:
    """One run: a chain of crashes, then the end."""

    def __init__(self, number: int, seed: str, kind: JobType, source: Source, place: Path) -> None:
        self.rng = random.Random(f"{seed}:{number}")
        self.kind, self.source, self.place = kind, source, place
        self.verdict = Verdict(number, kind.name)
        self.command = kind.command(place, source.path, self.rng)
        self.command["key"] = f"run-{number}"
        kind.before(source.path, place / kind.dst)
        self.old = self.view()
        # What was made within a tick of the filesystem's clock before the command could be its own.
        time.sleep(TICK_S)

    def view(self) -> auditor.Tree:
        """The destination as it is now."""
        scratch = self.place.parent / (self.place.name + "-scratch")
        return self.kind.view(self.place / self.kind.dst, scratch)

    def blame(self, when: str, problems: auditor.Problems) -> None:
        """Keeps problems."""
        self.verdict.problems += [f"{when}: {problem}" for problem in problems]

    def play(self) -> Verdict:
        """Crashes, resumes, judges."""
        crashes = self.rng.randint(1, CHAIN_MAX)
        for crash in range(crashes):
            before = self.view()
            when = f"kill {crash + 1}"
            acknowledged = self.crash("resume" if crash else "first")
            if acknowledged is None:
                break
            now = self.view()
            self.judge_moment(when, now)
            done = auditor.done_names(now, self.source.expected)
            if done < acknowledged:
                self.blame(when, [f"lost: {acknowledged} items acknowledged, {done} there"])
            self.blame(when, auditor.kept(self.old, before, now, self.source.expected))
        if not self.verdict.problems and self.rng.random() < ABANDONED_SHARE:
            self.abandon()
        elif not self.verdict.problems:
            self.finish()
        self.judge_source()
        return self.verdict

    def judge_source(self) -> None:
        """The source was only read."""
        now = auditor.look(self.source.path, digests=False)
        self.blame("end", auditor.unchanged(self.source.look, now))

    def judge_moment(self, when: str, now: auditor.Tree) -> None:
        """Every name is old or new."""
        new = self.source.expected
        self.blame(when, auditor.moment(now, self.old, new, self.kind.removes))
        self.judge_torn(when, now)

    def judge_torn(self, when: str, now: auditor.Tree) -> None:
        """What appears at once is there with all of its members."""
        new = self.source.expected
        if self.kind.at_once and 0 < len(now) < len(new):
            self.blame(when, [f"torn: {len(now)} of {len(new)} members"])

    def crash(self, attempt: str) -> Optional[int]:
        """Starts the command and kills the engine.

        Returns how many items it had acknowledged as durable, or nothing when it was done before
        it could be killed.
        """
        with Engine(self.place) as engine:
            engine.send(HELLO, self.command)
            how = self.aim(engine, 0.95 if attempt == "first" else 0.5)
            engine.kill()
        events = [event for event in engine.events if event.get("id") == "job"]
        if events and events[-1]["type"] == "result":
            result = events[-1]
            if result["status"] != "ok":
                self.blame("result", [outcome(result)])
            return None
        self.verdict.kills.append(f"{attempt}/{how}")
        points = [event for event in events if event["type"] == "checkpoint"]
        return points[-1]["items_done"] if points and points[-1]["durable"] else 0

    def aim(self, engine: Engine, latest: float) -> str:
        """Waits for the moment of death; returns which kind of moment it is.

        `latest`: the greatest share of the job's usual time.
        """
        how = self.rng.choice(["time", "time", "checkpoint", "written", "named"])
        jitter = self.rng.choice([0.0, self.rng.uniform(0, 0.02), self.rng.uniform(0, 0.1)])
        late = self.rng.uniform(0.02, latest) * self.source.seconds
        if how == "checkpoint":
            wait(engine, lambda e: e["type"] == "checkpoint", self.source.seconds + late)
        elif how == "written":
            wait(engine, is_written, self.source.seconds + late)
        elif how == "named":
            self.wait_for_name(engine)
        else:
            jitter = late
        if not any(is_result(event) for event in engine.events):
            wait(engine, lambda e: False, jitter)
        return how

    def wait_for_name(self, engine: Engine) -> None:
        """Waits until a name appears at the top of the destination: a batch is being published."""
        before = names_at(self.place / self.kind.dst)
        while names_at(self.place / self.kind.dst) == before:
            if any(is_result(event) for event in engine.events):
                return
            wait(engine, lambda e: True, 0.001)

    def finish(self) -> None:
        """Resumes to the end; then the same line once more, which must do nothing."""
        before = self.view()
        with Engine(self.place) as engine:
            engine.send(HELLO)
            result = engine.call(self.command)
            if result["status"] != "ok":
                self.blame("resumed", [f"lost: {outcome(result)}"])
                return
            now = self.view()
            again = engine.call({**self.command, "id": "again"})
            if again.get("replayed") is not True:
                self.blame("again", [f"not replayed: {outcome(again)}"])
        self.blame("again", [] if now == self.view() else ["a replay changed the destination"])
        self.judge_end(result, before, now)

    def judge_end(self, result: Event, before: auditor.Tree, now: auditor.Tree) -> None:
        """Everything is there, once, and nothing else."""
        new = self.source.expected
        self.blame("end", auditor.final(now, self.old, new, self.kind.removes, self.kind.replaces))
        self.blame("end", auditor.kept(self.old, before, now, new))
        self.verdict.kept = auditor.done_names(before, new) - auditor.done_names(self.old, new)
        self.leftovers("end")
        if self.kind.leaves_equal:
            self.blame("end", auditor.left_alone(self.old, now, new))
        if self.kind.carries:
            self.blame("end", auditor.carried(self.source.path, self.place / self.kind.dst))
        items = sum(fact.kind != b"d" for fact in new.values())
        metrics = result.get("metrics", {})
        found = sum(metrics.get(name, 0) for name in ("items_ok", "items_failed", "items_skipped"))
        if self.command["op"] == "copy" and found != items:
            self.blame("end", [f"accounting: {found} items told, {items} there"])

    def abandon(self) -> None:
        """Gives the command up: after `cleanup` nothing of it is left but whole items."""
        with Engine(self.place) as engine:
            result = engine.call({"op": "cleanup", "id": "job", "key": self.command["key"]})
        if result["status"] != "ok":
            self.blame("cleanup", [outcome(result)])
        self.judge_moment("cleanup", self.view())
        self.leftovers("cleanup")

    def leftovers(self, when: str) -> None:
        """No temporary file anywhere in the place."""
        found = [auditor.show(name) for name in auditor.leftovers(self.place)]
        self.blame(when, [f"leftover: {name}" for name in found])


def is_result(event: Event) -> bool:
    """Whether the job is over."""
    return bool(event["type"] == "result" and event["id"] == "job")


def outcome(result: Event) -> str:
    """How a job ended, for people."""
    error = result.get("error", {})
    return f"{result['status']} {error.get('code')}: {error.get('message')}"


def is_written(event: Event) -> bool:
    """Whether every byte is written, so that syncs and names come next."""
    return bool(event["type"] == "progress" and event["bytes_done"] == event["bytes_total"])


def names_at(path: Path) -> List[int]:
    """The inodes of what has a name at a directory's top, or of a file's name."""
    try:
        entries = [path] if path.is_file() else path.iterdir()
        named = [entry for entry in entries if not entry.name.startswith(".mig-")]
        return sorted(entry.lstat().st_ino for entry in named)
    except OSError:
        return []


def wait(engine: Engine, wanted: Callable[[Event], bool], seconds: float) -> None:
    """Waits for an event, the end of the job, the end of the engine, or the time."""
    with contextlib.suppress(Hung):
        engine.until(lambda e: is_result(e) or wanted(e), seconds)


def source_of(kind: JobType, folder: Path) -> Source:
    """Builds a type's source and times the job."""
    path = folder / f"source-{kind.name}"
    kind.build(path, False)
    source = Source(path, auditor.look(path), kind.expect(path))
    place = folder / f"timed-{kind.name}"
    place.mkdir()
    kind.before(path, place / kind.dst)
    command = kind.command(place, path, random.Random(0))
    begun = time.monotonic()
    with Engine(place) as engine:
        result = engine.call(command)
    source.seconds = time.monotonic() - begun
    shutil.rmtree(place)
    if result["status"] != "ok":
        raise RuntimeError(f"{kind.name}: {outcome(result)}")
    return source


def play(folder: Path, seed: str, run: int, kind: JobType, source: Source) -> Verdict:
    """One run in a place of its own, which stays when it failed."""
    place = folder / f"run-{run}"
    place.mkdir()
    try:
        verdict = Run(run, seed, kind, source, place).play()
    except Exception as error:
        verdict = Verdict(run, kind.name, problems=[f"{type(error).__name__}: {error}"])
    if not verdict.problems:
        shutil.rmtree(place)
    return verdict


def sources_of(kinds: List[JobType], folder: Path) -> Tuple[Dict[str, Source], List[Verdict]]:
    """The sources of all types, and the types that cannot be run at all."""
    sources, broken = {}, []
    for kind in kinds:
        try:
            sources[kind.name] = source_of(kind, folder)
        except Exception as error:
            broken.append(Verdict(-1, kind.name, problems=[f"cannot run: {error}"]))
    return sources, broken


def report(verdicts: List[Verdict], command: str, name: str, runs: int) -> bool:
    """One line a failure, and the closing line. Returns whether all is well.

    `command`: the script that plays one run again, with `{kind}` for the type of job.
    """
    for verdict in verdicts:
        for problem in verdict.problems[:1]:
            replay = f"scripts/{command.format(kind=verdict.kind)} --only {verdict.run}"
            print(f"FAILED {verdict.kind} {verdict.run}: {problem} [{replay}]")
    moments = collections.Counter(kill for verdict in verdicts for kill in verdict.kills)
    print("moments: " + ", ".join(f"{name} {count}" for name, count in sorted(moments.items())))
    print(f"kept over a kill: {sum(verdict.kept for verdict in verdicts)} items")
    failed = sum(bool(verdict.problems) for verdict in verdicts)
    count = functools.partial(tally, verdicts)
    print(
        f"{name}: {runs} runs, {sum(moments.values())} kills, {count('lost', 'torn')} lost, "
        f"{count('doubled', 'redone')} doubled, {count('leftover')} leftovers"
        + (f", {failed} FAILED" if failed else "")
    )
    return not failed


def tally(verdicts: List[Verdict], *words: str) -> int:
    """Problems that have one of these words for their subject."""
    problems = [problem for verdict in verdicts for problem in verdict.problems]
    return sum(any(f": {word}" in problem for word in words) for problem in problems)


def main() -> None:
    """Exits with 1 when anything was lost, doubled, torn or left over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=int)
    parser.add_argument("seed", nargs="?", default=str(random.SystemRandom().randrange(10**6)))
    parser.add_argument("--types", default="", help="names of job types, separated by commas")
    parser.add_argument("--only", type=int, help="the one run to play")
    parser.add_argument("--keep", action="store_true", help="leave failed places where they are")
    options = parser.parse_args()
    kinds = chosen(options.types)
    print(f"seed {options.seed}")
    folder = Path(tempfile.mkdtemp(prefix="crash-"))
    numbers = [options.only] if options.only is not None else range(options.runs)
    picked = [(n, kinds[n % len(kinds)]) for n in numbers]
    sources, verdicts = sources_of(list({kind.name: kind for _, kind in picked}.values()), folder)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        playing = [
            pool.submit(play, folder, options.seed, n, kind, sources[kind.name])
            for n, kind in picked
            if kind.name in sources
        ]
        verdicts += [future.result() for future in playing]
    for name, source in sources.items():
        if auditor.look(source.path) != source.look:
            verdicts.append(Verdict(-1, name, problems=["the source's content changed"]))
    types = f" --types {options.types}" if options.types else ""
    command = f"crash.sh {options.runs} {options.seed}{types}"
    well = report(verdicts, command, "crash", len(picked))
    if not (options.keep and not well):
        auditor.run("rm", "-rf", folder)
    else:
        print(f"places: {folder}")
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
