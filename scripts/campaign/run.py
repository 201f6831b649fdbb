"""One run of a job: killed at random moments, resumed by key, judged."""

import contextlib
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, List, Optional, Sequence

from campaign import auditor
from campaign.engine import HELLO, Engine, Event, Hung
from campaign.jobs import Command, JobType

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
    # Requests that sent a part of an object, and how many of those repeated one.
    parts: int = 0
    parts_again: int = 0
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

    # When engines die: at a time, or at an event.
    moments: Sequence[str] = ("time", "time", "checkpoint", "written", "named")

    def __init__(self, number: int, seed: str, kind: JobType, source: Source, place: Path) -> None:
        self.rng = random.Random(f"{seed}:{number}")
        self.kind, self.source, self.place = kind, source, place
        self.verdict = Verdict(number, kind.name)
        self.command = {**self.lay(), "key": f"run-{number}"}
        self.old = self.view()
        # What was made within a tick of the filesystem's clock before the command could be its own.
        time.sleep(TICK_S)

    def lay(self) -> Command:
        """What stands there before, and the command."""
        self.kind.before(self.source.path, self.place / self.kind.dst)
        return self.kind.command(self.place, self.source.path, self.rng)

    def arm(self, engine: Engine, attempt: str) -> None:
        """Prepares a death before the command is sent."""

    def died(self) -> None:
        """The engine is dead."""

    def close(self) -> None:
        """Nothing is needed any more."""

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
            self.arm(engine, attempt)
            engine.send(HELLO, self.command)
            how = self.aim(engine, 0.95 if attempt == "first" else 0.5)
            engine.kill()
            self.died()
        events = [event for event in engine.events if event.get("id") == "job"]
        if events and events[-1]["type"] == "result":
            result = events[-1]
            if result["status"] != "ok":
                self.blame("result", [outcome(result)])
            return None
        self.verdict.kills.append(f"{attempt}/{how}")
        return acknowledged_by(events)

    def aim(self, engine: Engine, latest: float) -> str:
        """Waits for the moment of death; returns which kind of moment it is.

        `latest`: the greatest share of the job's usual time.
        """
        how = self.rng.choice(self.moments)
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


def acknowledged_by(events: List[Event]) -> int:
    """How many items a job's last checkpoint acknowledged as durable."""
    points = [event for event in events if event["type"] == "checkpoint"]
    return points[-1]["items_done"] if points and points[-1]["durable"] else 0


def is_result(event: Event) -> bool:
    """Whether the job is over."""
    return bool(event["type"] == "result" and event["id"] == "job")


def outcome(result: Event) -> str:
    """How a job ended, for people."""
    error = result.get("error", {})
    cause = f": {error['cause']}" if "cause" in error else ""
    return f"{result['status']} {error.get('code')}: {error.get('message')}{cause}"


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
