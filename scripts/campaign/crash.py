"""Kills the engine at random moments of a job, resumes by key, and has an auditor judge.

Usage: python3 -m campaign.crash RUNS [SEED] [--types A,B] [--only RUN] [--server-kills RUNS]
"""

import argparse
import collections
import concurrent.futures
import functools
import os
import random
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from campaign import auditor, bucket
from campaign.engine import Engine
from campaign.jobs import TYPES, JobType
from campaign.objects import (
    OBJECT_TYPES,
    SECOND_TYPES,
    SERVER_TYPES,
    ObjectRun,
    ObjectSource,
    ObjectType,
    ServerRun,
    World,
)
from campaign.run import Run, Source, Verdict, outcome
from campaign.table_runs import TableRun, TableServerRun
from campaign.tables import (
    TABLE_SERVER_TYPES,
    TABLE_TYPES,
    TableSource,
    TableType,
    TableWorld,
    table_source,
)


@dataclass
class Campaign:
    """What the runs of one campaign share."""

    seed: str
    folder: Path
    world: Optional[World] = None
    tables: Optional[TableWorld] = None
    sources: Dict[str, Source] = field(default_factory=dict)

    def prepare(self, kinds: Sequence[JobType]) -> List[Verdict]:
        """Builds the sources of these types, and returns the types that cannot be run at all."""
        at = {name for kind in kinds if isinstance(kind, ObjectType)
              for name in (kind.src_at, kind.dst_at)}
        self.world = World(sorted(at - {""}))
        self.tables = TableWorld(self.folder)
        broken = []
        for kind in kinds:
            try:
                self.sources[kind.name] = self.source_of(kind)
            except Exception as error:
                broken.append(Verdict(-1, kind.name, problems=[f"cannot run: {error}"]))
        return broken

    def source_of(self, kind: JobType) -> Source:
        """Builds a type's source and times the job."""
        path = self.folder / f"source-{kind.name}"
        if isinstance(kind, ObjectType) and self.world:
            source: Source = self.world.source(kind, path)
        elif isinstance(kind, TableType):
            source = table_source(kind, path)
        else:
            kind.build(path, False)
            source = Source(path, auditor.look(path), kind.expect(path))
        place = self.folder / f"timed-{kind.name}"
        place.mkdir()
        run = self.run(-1, kind, source, place)
        begun = time.monotonic()
        with Engine(place) as engine:
            result = engine.call(run.command)
        source.seconds = time.monotonic() - begun
        if isinstance(run, ObjectRun):
            run.source.requests = [run.proxies[name].counts() for name in sorted(run.proxies)]
        if isinstance(run, TableRun):
            run.source.messages = {side: wire.counts for side, wire in run.wires.items()}
        run.close()
        shutil.rmtree(place)
        if result["status"] != "ok":
            raise RuntimeError(f"{kind.name}: {outcome(result)}")
        return source

    def run(self, number: int, kind: JobType, source: Source, place: Path) -> Run:
        """A run of a type."""
        if isinstance(kind, ObjectType) and isinstance(source, ObjectSource) and self.world:
            of = ServerRun if kind.server_dies else ObjectRun
            return of(number, self.seed, kind, source, place, self.world)
        if isinstance(kind, TableType) and isinstance(source, TableSource) and self.tables:
            one = TableServerRun if kind.server_dies else TableRun
            return one(number, self.seed, kind, source, place, self.tables)
        return Run(number, self.seed, kind, source, place)

    def play(self, number: int, kind: JobType) -> Verdict:
        """One run in a place of its own, which stays when it failed."""
        place = self.folder / f"run-{number}"
        place.mkdir()
        try:
            verdict = self.run(number, kind, self.sources[kind.name], place).play()
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
            verdict = Verdict(number, kind.name, problems=[problem])
        if not verdict.problems:
            shutil.rmtree(place)
        if sys.stderr.isatty() or verdict.problems:
            word = verdict.problems[0] if verdict.problems else "well"
            print(f"run {number}, {kind.name}: {word}", file=sys.stderr, flush=True)
        return verdict

    def changed(self) -> List[Verdict]:
        """Sources whose content is not what it was."""
        return [
            Verdict(-1, name, problems=["the source's content changed"])
            for name, source in self.sources.items()
            if auditor.look(source.path) != source.look
        ]


def chosen(names: str) -> List[JobType]:
    """The types of these names, separated by commas; all that can be run, for none.

    `files`, `objects`, `second` and `tables` are names for all of a kind, `stores` for objects with
    a second server where there is one.

    Raises `KeyError` for a name that is not one.
    """
    second = SECOND_TYPES if bucket.server("RGW") else []
    known: Dict[str, List[JobType]] = {
        "files": [*TYPES], "objects": [*OBJECT_TYPES], "second": [*SECOND_TYPES],
        "stores": [*OBJECT_TYPES, *second], "tables": [*TABLE_TYPES],
        **{kind.name: [kind] for kind in [*TYPES, *OBJECT_TYPES, *SECOND_TYPES, *TABLE_TYPES]},
    }
    if not names:
        return [*TYPES, *OBJECT_TYPES, *second, *TABLE_TYPES]
    return [kind for name in names.split(",") for kind in known[name]]


def dying(kinds: Sequence[JobType]) -> List[JobType]:
    """The types whose server dies, of those kinds that are played at all."""
    tables = [kind for kind in kinds if isinstance(kind, TableType)]
    objects: List[JobType] = [*SERVER_TYPES] if len(tables) < len(kinds) else []
    return [*objects, *(TABLE_SERVER_TYPES if tables else [])]


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
    if parts := sum(verdict.parts for verdict in verdicts):
        again = sum(verdict.parts_again for verdict in verdicts)
        print(f"parts of uploads: {parts} sent, {again} of them again for want of a record")
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


def options_of() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=int)
    parser.add_argument("seed", nargs="?", default=str(random.SystemRandom().randrange(10**6)))
    parser.add_argument("--types", default="", help="names of job types, separated by commas")
    parser.add_argument("--only", type=int, help="the one run to play")
    parser.add_argument("--keep", action="store_true", help="leave failed places where they are")
    parser.add_argument(
        "--server-kills", type=int, default=0, metavar="RUNS",
        help="further runs, in which a server of TEST_SERVICES_DIR is killed",
    )
    return parser.parse_args()


def main() -> None:
    """Exits with 1 when anything was lost, doubled, torn or left over."""
    options = options_of()
    kinds = chosen(options.types)
    print(f"seed {options.seed}")
    campaign = Campaign(options.seed, Path(tempfile.mkdtemp(prefix="crash-")))
    all_runs = {n: kinds[n % len(kinds)] for n in range(options.runs)}
    mortal = dying(kinds)
    for n in range(options.server_kills):
        all_runs[options.runs + n] = mortal[n % len(mortal)]
    picked = {n: kind for n, kind in all_runs.items() if options.only in (None, n)}
    verdicts = campaign.prepare(list({kind.name: kind for kind in picked.values()}.values()))
    picked = {n: kind for n, kind in picked.items() if kind.name in campaign.sources}
    alone = {n for n, kind in picked.items() if kind in mortal}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        playing = [
            pool.submit(campaign.play, n, kind) for n, kind in picked.items() if n not in alone
        ]
        verdicts += [future.result() for future in playing]
    verdicts += [campaign.play(n, picked[n]) for n in sorted(alone)]
    verdicts += campaign.changed()
    types = f" --types {options.types}" if options.types else ""
    kills = f" --server-kills {options.server_kills}" if options.server_kills else ""
    command = f"crash.sh {options.runs} {options.seed}{types}{kills}"
    well = report(verdicts, command, "crash", len(picked))
    if not (options.keep and not well):
        for world in (campaign.world, campaign.tables):
            if world:
                world.close()
        auditor.run("rm", "-rf", campaign.folder)
    else:
        print(f"places: {campaign.folder}")
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
