"""Fails one system call of a small job, or all from there on, at every call; then all is mended.

Whatever fails, the job ends with a result that names the right side, what it says adds up, every
name is old or new content whole, nothing unsynced is acknowledged, and the same command sent again
finishes the job. Then every transfer is cut short, which must change nothing.

Usage: python3 -m campaign.faults SIZE|all [SEED] [--types A,B]
SIZE is how many faults of each type of job are tried.
"""

import argparse
import collections
import errno
import functools
import random
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Optional, Set, Tuple

from campaign import auditor
from campaign.engine import Engine, Event
from campaign.jobs import JobType, chosen
from campaign.run import Source, Verdict
from campaign.traced import TracedRun, calls_of, on_all_cores, small_source, spread, told
from campaign.tracer import COUNTS, ENTRY_BYTES, GO_ON, Call, Fate

OPEN = ["EMFILE", "EIO", "EACCES", "EINTR"]
WRITE = ["EIO", "ENOSPC", "EDQUOT", "EINTR"]
SYNC = ["EIO", "ENOSPC", "EDQUOT"]
NAME = ["EIO", "ENOSPC", "EACCES"]
# What each call may answer.
FAULTS: Dict[str, List[str]] = {
    "open": OPEN, "openat": OPEN, "openat2": OPEN, "read": ["EIO", "EINTR"],
    "pread64": ["EIO", "EINTR", "ESTALE"], "write": WRITE, "pwrite64": WRITE, "fsync": SYNC,
    "fdatasync": SYNC, "syncfs": SYNC, "rename": NAME, "renameat": NAME, "renameat2": NAME,
    "getdents64": ["EIO", "EINTR"], "statx": ["EIO", "EACCES"], "mkdir": NAME, "mkdirat": NAME,
    "unlink": ["EIO"], "unlinkat": ["EIO"], "rmdir": ["EIO"], "close": ["EIO"],
    "fallocate": ["ENOSPC", "EOPNOTSUPP", "EINTR"], "ftruncate": ["EIO", "ENOSPC"],
    "fchmod": ["EIO", "EPERM"], "utimensat": ["EIO"], "symlinkat": ["EIO", "EDQUOT"],
    "linkat": ["EIO", "ENOSPC"], "copy_file_range": ["EIO", "ENOSPC", "EOPNOTSUPP"],
    "fsetxattr": ["EIO", "ENOSPC"],
}
# Calls whose work is done even when they answer an error.
DONE_ALL_THE_SAME = {"close"}
SYNCS = {"fsync", "fdatasync", "syncfs"}
# How a process may end: done, refused, partial, failed, worth a retry.
EXITS = {0, 2, 3, 4, 75}
# What a result may say, by the side that failed and what the system said.
CODES: Dict[str, Dict[str, Set[str]]] = {
    "source": {
        "EMFILE": {"HANDLES"}, "EACCES": {"SRC_PERMISSION"}, "": {"SRC_READ"},
    },
    "destination": {
        "EMFILE": {"HANDLES"}, "EACCES": {"DST_PERMISSION"}, "EPERM": {"DST_PERMISSION"},
        "ENOSPC": {"DST_NO_SPACE"}, "EDQUOT": {"DST_NO_SPACE"}, "": {"DST_WRITE"},
    },
    "state": {"EMFILE": {"HANDLES", "STATE_DIR"}, "": {"STATE_DIR"}},
    # Parents of both sides, looked at by either.
    "elsewhere": {
        "EMFILE": {"HANDLES"}, "EACCES": {"SRC_PERMISSION", "DST_PERMISSION"},
        "ENOSPC": {"DST_NO_SPACE"}, "EDQUOT": {"DST_NO_SPACE"}, "": {"SRC_READ", "DST_WRITE"},
    },
}


BLOCK = 4096
Tasks = List[Callable[[], Verdict]]


@dataclass(frozen=True)
class Fault:
    """A fault: at which call, what that answers, and whether those after it answer the same."""

    at: int
    answer: str
    lasting: bool


class Broken(TracedRun):
    """A run in which calls fail."""

    struck: Optional[Call] = None
    lost = False
    partial = False
    answer = ""

    def side(self, call: Call) -> str:
        """Which part of the job a call is about."""
        inside = call.path.split("/")
        if call.path.startswith(self.source.path.name):
            return "source"
        if len(inside) > 1 and inside[1] == "state":
            return "state"
        if len(inside) > 1 and inside[1].startswith((self.kind.dst, ".mig-")):
            return "destination"
        return "elsewhere"

    def strike(self, fault: Fault) -> Callable[[Call], Fate]:
        """Judges calls so that the fault happens."""
        count = 0

        def judge(call: Call) -> Fate:
            nonlocal count
            count += 1
            if self.struck is None and count > fault.at and call.name in FAULTS:
                answers = FAULTS[call.name]
                self.answer = fault.answer if fault.answer in answers else answers[0]
                self.struck = call
            elif not (fault.lasting and self.is_like_struck(call)):
                return GO_ON
            number: int = getattr(errno, self.answer)
            return Fate(errno=number, made=call.name in DONE_ALL_THE_SAME)

        return judge

    def is_like_struck(self, call: Call) -> bool:
        """Whether a lasting fault strikes this call too."""
        struck = self.struck
        return struck is not None and (call.name, self.side(call)) == (
            struck.name, self.side(struck),
        )

    def play_fault(self, fault: Fault) -> Verdict:
        """Breaks a call, judges, mends, and runs again to the end."""
        traced, events, errors = self.trace(sorted(FAULTS), self.strike(fault))
        if self.struck is None:
            return self.verdict
        lasting = ", and all like it," if fault.lasting else ""
        when = f"{self.struck.name} {self.struck.path}{lasting} answered {self.answer}"
        if traced.hung:
            self.blame(when, ["hung"])
        elif traced.code not in EXITS:
            self.blame(when, [f"exit {traced.code}: {errors[-300:]}"])
        elif not events:
            self.blame(when, [] if errors and traced.code != 0 else ["neither result nor message"])
        elif events[-1]["type"] != "result":
            self.blame(when, ["no result"])
        else:
            self.judge_result(when, events[-1])
        if not self.lost:
            self.judge_moment(when, self.view())
        self.clean(when)
        if not self.verdict.problems and not self.lost:
            self.finish()
        self.judge_source()
        return self.verdict

    def judge_result(self, when: str, result: Event) -> None:
        """The result says what happened."""
        assert self.struck is not None
        codes = {failure["code"] for failure in result.get("failures", [])}
        codes |= {result["error"]["code"]} if "error" in result else set()
        # What the destination cannot hold is told, and the rest is there.
        self.lost = bool(result.get("data", {}).get("lost"))
        table = CODES[self.side(self.struck)]
        sensible = table.get(self.answer, table[""])
        if self.kind.removes and self.side(self.struck) == "destination":
            # The record of the lease is there too.
            sensible = sensible | {"LEASE_LOST"}
        if self.struck.name in SYNCS and self.side(self.struck) == "destination":
            # What a failed sync leaves in doubt is refused too, whatever the system said of it.
            sensible = sensible | {"DST_WRITE"}
        if codes - sensible:
            self.blame(when, [f"strange codes {sorted(codes)}, {sorted(sensible)} would fit"])
        self.partial = result["status"] == "partial"
        if result["status"] not in ("ok", "partial", "failed"):
            self.blame(when, [f"status {result['status']}"])
        if result["status"] == "ok":
            self.judge_ok(when, result)
        elif not codes:
            self.blame(when, ["failed without a code"])
        synced = self.struck.name in SYNCS and self.side(self.struck) == "destination"
        lasts = self.command.get("durability", "power_loss") == "power_loss"
        if synced and lasts and result["status"] == "ok":
            self.blame(when, ["acknowledged what was not synced"])

    def judge_torn(self, when: str, now: auditor.Tree) -> None:
        """What appears at once lacks nothing but what it says."""
        if not self.partial:
            super().judge_torn(when, now)

    def judge_end(self, result: Event, before: auditor.Tree, now: auditor.Tree) -> None:
        """What lacks something is made again as a whole."""
        super().judge_end(result, {} if self.partial and self.kind.at_once else before, now)

    def judge_ok(self, when: str, result: Event) -> None:
        """All of it is there, and told."""
        new = self.source.expected
        now = self.view()
        struck = self.struck
        if struck and (struck.name == "unlinkat" or struck.path.endswith(".mig-lease")):
            # What cannot be removed stays; the clean-up finds it.
            now = auditor.without_temporaries(now)
        problems = auditor.final(now, self.old, new, self.kind.removes, self.kind.replaces)
        if struck and struck.name == "utimensat":
            # The root's time is set back once the lease's record is gone; that may fail.
            self.lost = self.lost or any(problem.startswith("dress: '' ") for problem in problems)
        if self.lost:
            problems = [problem for problem in problems if not problem.startswith("dress:")]
        self.blame(f"{when}, ok", problems)
        items = sum(fact.kind != b"d" for fact in new.values())
        metrics = result["metrics"]
        told_of = metrics["items_ok"] + metrics["items_skipped"]
        if self.command["op"] == "copy" and (told_of != items or metrics["items_failed"]):
            self.blame(when, [f"accounting: {told_of} items told of, {items} there"])

    def clean(self, when: str) -> None:
        """After `cleanup` nothing is left over."""
        with Engine(self.place) as engine:
            result = engine.call({"op": "cleanup", "id": "job", "locations": [str(self.place)]})
        if result["status"] != "ok":
            self.blame(f"{when}, cleanup", [told([result])])
        self.leftovers(f"{when}, cleanup")

    def play_short(self, part: int) -> Verdict:
        """Cuts every transfer to a part of what was asked for; the job must not notice."""

        def judge(call: Call) -> Fate:
            if call.name == "getdents64":
                return Fate(count=ENTRY_BYTES)
            asked = call.arguments[COUNTS[call.name]]
            # Whole blocks where there are any: reads past the cache take nothing else.
            if asked >= BLOCK:
                return Fate(count=max(1, asked // part // BLOCK) * BLOCK)
            return Fate(count=max(1, asked // part))

        traced, events, errors = self.trace(sorted(COUNTS), judge)
        if traced.hung or traced.code != 0:
            self.blame(f"1/{part}", [f"short: exit {traced.code} {told(events)} {errors[-300:]}"])
        else:
            self.judge_ok(f"short transfers of 1/{part}", events[-1])
            self.finish()
        return self.verdict


def play(folder: Path, seed: str, kind: JobType, source: Source, number: int,
         act: Callable[[Broken], Verdict]) -> Verdict:
    """One fault in a place of its own."""
    place = folder / f"{kind.name}-{number}"
    place.mkdir()
    try:
        verdict = act(Broken(number, seed, kind, source, place))
    except Exception as error:
        verdict = Verdict(number, kind.name, problems=[f"{type(error).__name__}: {error}"])
    if not verdict.problems:
        shutil.rmtree(place)
    return verdict


def faults_of(calls: List[Call]) -> List[Fault]:
    """Every fault of every call, for once and for ever; an interruption is no lasting thing."""
    return [
        Fault(at, answer, lasting)
        for at, call in enumerate(calls)
        for answer in FAULTS[call.name]
        for lasting in (False, True)[: 1 if answer == "EINTR" else 2]
    ]


def tasks_of(kind: JobType, folder: Path, options: argparse.Namespace) -> Tasks:
    """The faults tried on a type of job."""
    source = small_source(kind, folder)
    calls = calls_of(kind, options.seed, folder, source, sorted(FAULTS), lambda call: True)
    faults = faults_of(calls)
    numbers = [*spread(len(faults), options.size, options.seed)]
    numbers = numbers if options.only is None else [options.only]
    print(f"{kind.name}: {len(calls)} calls, {len(faults)} faults, {len(numbers)} tried")
    acts: List[Tuple[int, Callable[[Broken], Verdict]]] = [
        (n, functools.partial(Broken.play_fault, fault=faults[n])) for n in numbers if n >= 0
    ]
    if options.only is None or options.only < 0:
        acts += [(-part, functools.partial(Broken.play_short, part=part)) for part in (2, 7)]
    return [
        functools.partial(play, folder, options.seed, kind, source, n, act) for n, act in acts
    ]


def main() -> None:
    """Exits with 1 when any fault is answered wrongly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", help="faults of each type, or all")
    parser.add_argument("seed", nargs="?", default=str(random.SystemRandom().randrange(10**6)))
    parser.add_argument("--types", default="")
    parser.add_argument("--only", type=int, help="the one fault to try")
    parser.add_argument("--keep", action="store_true", help="leave failed places where they are")
    options = parser.parse_args()
    print(f"seed {options.seed}")
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    verdicts: List[Verdict] = []
    tasks: Tasks = []
    for kind in chosen(options.types):
        try:
            tasks += tasks_of(kind, folder, options)
        except Exception as error:
            verdicts.append(Verdict(0, kind.name, problems=[f"cannot run: {error}"]))
    verdicts += on_all_cores(tasks)
    failed = [verdict for verdict in verdicts if verdict.problems]
    for verdict in failed:
        replay = f"scripts/faults.sh all {options.seed} --types {verdict.kind} --only {verdict.run}"
        print(f"FAILED {verdict.kind} {verdict.run}: {verdict.problems[0]} [{replay}]")
    kinds = collections.Counter(verdict.kind for verdict in verdicts)
    print("tried: " + ", ".join(f"{name} {count}" for name, count in sorted(kinds.items())))
    print(f"faults: {len(tasks)} runs, {len(failed)} FAILED")
    if not (failed and options.keep):
        auditor.run("rm", "-rf", folder)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
