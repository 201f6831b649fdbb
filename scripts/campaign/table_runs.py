"""Runs of jobs between databases, which die at a time, at an event, or at a message of the wire."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Callable, Dict, Optional

from campaign.auditor import Tree
from campaign.databases import Ledger
from campaign.engine import HELLO, Engine, Event
from campaign.jobs import Command
from campaign.rivals import rival
from campaign.run import CHAIN_MAX, Run, Verdict, is_result, outcome, wait
from campaign.sql_clients import Maria, Postgres
from campaign.table_data import TABLES, THEIRS, changes
from campaign.table_judge import ADDS, MODES, STANDING, Goal, built, content, taken
from campaign.tables import TableSource, TableType, TableWorld
from campaign.wire import STAGES, Trap, Wire

# What happens in an attempt, by how often: the engine dies at a message, its session does there,
# the engine dies at a time or an event, somebody else is in its way.
WAYS = {"wire": 9, "cut": 5, "aim": 5, "rival": 4}
# Traps for what makes a table and what ends a span, of all traps.
WEIGHTY_SHARE = 0.4
WEIGHTY = ("create", "commit", "record", "close")
# Resumes that another engine ends, while the first is held up.
LATE_SHARE = 0.15
# Attempts after which the source is changed.
CHANGED_SHARE = 0.25
# Longest an attempt may take whose server dies and comes back.
REVIVAL_S = 300.0
AWAY_S = 2.0
TOGETHER_SHARE = 0.4


class TableRun(Run):
    """A run between two databases, through a proxy for each server."""

    kind: TableType
    source: TableSource

    def __init__(self, number: int, seed: str, kind: TableType, source: TableSource,
                 place: Path, world: TableWorld) -> None:
        self.world = world
        self.wires: Dict[str, Wire] = {}
        self.met = False
        self.nth_change = 0
        # Where the engine keeps its state; another one when another engine took over.
        self.home = place
        super().__init__(number, seed, kind, source, place)

    def lay(self) -> Command:
        """Both databases, and the command."""
        number = self.verdict.run
        self.mode = "create" if number < 0 else self.rng.choice(MODES)
        command: Command = {"op": "tables", "id": "job", "mode": self.mode, "span_rows": 120}
        if number >= 0:
            command["span_rows"] = self.rng.choice([50, 120, 300])
            command["batch_rows"] = self.rng.choice([7, 100, 10_000])
            command["parallel_spans"] = self.rng.choice([1, 2, 4])
            command["verify"] = self.rng.choice(["stream", "readback"])
        command["include"] = [table.name for table in taken(self.mode)]
        which = number if number >= 0 else "timed"
        name = f"{self.kind.name.replace('-', '_')}_{which}"
        self.src = self.world.database(self.kind.src_in, f"{name}_src")
        self.dst = self.world.database(self.kind.dst_in, f"{name}_dst")
        self.src.copy_of(self.world.template(self.kind.src_in, "source"))
        self.dst.copy_of(self.world.template(self.kind.dst_in, self.mode))
        for side, database in (("src", self.src), ("dst", self.dst)):
            port = 0
            if isinstance(database, (Postgres, Maria)):
                at = database.server
                self.wires[side] = Wire(at.engine, at.host, at.port)
                port = self.wires[side].port
            command[side] = database.location(port)
        self.looked_at = [*taken(self.mode), THEIRS]
        old = content(self.dst, self.looked_at)
        self.goal = Goal(self.mode, old, [content(self.src, TABLES)])
        return command

    def view(self) -> Tree:
        """A database is no tree."""
        return {}

    def play(self) -> Verdict:
        """Attempts that come to harm, and the end."""
        try:
            is_done = False
            for attempt in range(self.rng.randint(1, CHAIN_MAX)):
                word = "resume" if attempt else "first"
                is_late = bool(attempt) and self.rng.random() < LATE_SHARE
                status = self.late(word) if is_late and self.can_be_late() else self.attempt(word)
                is_done = status in ("ok", "refused")
                if is_done or self.verdict.problems:
                    break
                is_whole = self.judge_now(f"attempt {attempt + 1}")
                if self.rng.random() < CHANGED_SHARE and not is_whole:
                    self.change()
            if not self.verdict.problems and not (is_done and status == "refused"):
                self.finish_tables(is_done)
        finally:
            self.close()
        return self.verdict

    def close(self) -> None:
        """Ends proxies, and removes the databases of a run that went well."""
        for wire in self.wires.values():
            wire.close()
        if not self.verdict.problems:
            for database in (self.src, self.dst):
                database.drop()

    def change(self) -> None:
        """Somebody changes the source."""
        statements = changes(self.rng, self.nth_change, self.rng.random() < 0.3)
        self.nth_change += 1
        self.src.run(statements)
        now = content(self.src, TABLES)
        if now != self.goal.versions[-1]:
            self.goal.versions.append(now)

    def attempt(self, attempt: str) -> str:
        """One attempt that comes to harm. Returns `died`, `failed`, `refused` or `ok`."""
        way = self.way()
        with Engine(self.home) as engine:
            if way == "rival":
                word = self.meet_rival(engine)
            elif way in ("wire", "cut"):
                word = self.meet_trap(engine, way, attempt)
            else:
                engine.send(HELLO, self.command)
                word = self.aim(engine, 0.95 if attempt == "first" else 0.5)
            engine.kill()
        return self.judge_result(engine, attempt, way, word)

    def can_be_late(self) -> bool:
        """Whether sessions of an engine that is held up can be cut: else they keep their locks."""
        return "dst" in self.wires

    def late(self, attempt: str) -> str:
        """An engine is held up; another one ends the job; then the first goes on, too late."""
        other = self.place / "other"
        result: Optional[Event] = None
        with Engine(self.place) as engine:
            engine.send(HELLO, self.command)
            for _ in range(self.rng.randint(1, 5)):
                wait(engine, lambda e: e["type"] == "checkpoint", self.source.seconds)
            engine.process.send_signal(signal.SIGSTOP)
            self.wires["dst"].cut()
            self.dst.settle()
            # Without a ledger it is done already, or has not begun.
            if self.dst.look([])[1] is not None:
                other.mkdir(exist_ok=True)
                with Engine(other) as second:
                    second.send(HELLO)
                    result = second.call(self.command)
            engine.process.send_signal(signal.SIGCONT)
            if not is_over(engine):
                engine.until(is_result)
        if result is None:
            return self.judge_result(engine, attempt, "cut", "held up")
        told = [event for event in engine.events if is_result(event)][-1:]
        code = told[0].get("error", {}).get("code", "ok") if told else "no result"
        self.verdict.kills.append(f"{attempt}/late: {code}")
        self.home = other
        return self.judge_status(result, f"{attempt}/late", False)

    def way(self) -> str:
        """What happens to an attempt."""
        ways = dict(WAYS)
        if "ints" not in STANDING[self.mode] or self.mode not in ADDS:
            del ways["rival"]
        if not self.wires:
            ways = {way: share for way, share in ways.items() if way not in ("wire", "cut")}
        return self.rng.choices([*ways], [*ways.values()])[0]

    def judge_result(self, engine: Engine, attempt: str, way: str, word: str) -> str:
        """What became of an attempt."""
        events = [event for event in engine.events if event.get("id") == "job"]
        result = events[-1] if events and is_result(events[-1]) else None
        if result is None:
            self.verdict.kills.append(f"{attempt}/{word}")
            return "died"
        if way not in ("wire", "aim") and word:
            ended = result.get("error", {}).get("code", result["status"])
            self.verdict.kills.append(f"{attempt}/{word}: {ended}")
        return self.judge_status(result, f"{attempt}/{word}", way == "cut")

    def judge_status(self, result: Event, when: str, may_fail: bool) -> str:
        """What a result says: `ok`, `refused`, or `failed`, which not every attempt may."""
        error = result.get("error", {})
        if result["status"] == "ok":
            return "ok"
        has_changed = len(self.goal.versions) > 1
        if error.get("code") == "RESUME_REFUSED" and self.mode == "append" and has_changed:
            return "refused"
        if not (may_fail and error.get("retryable") is True):
            self.blame(when, [f"failed: {outcome(result)}"])
        return "failed"

    def aim(self, engine: Engine, latest: float) -> str:
        """Waits for a moment: a time, a checkpoint, a phase."""
        how = self.rng.choice(("time", "time", "checkpoint", "checkpoint", "phase"))
        late = self.rng.uniform(0.02, latest) * self.source.seconds
        if how == "checkpoint":
            for _ in range(self.rng.randint(1, 12)):
                wait(engine, lambda e: e["type"] == "checkpoint", self.source.seconds)
                if is_over(engine):
                    return how
            late = self.rng.choice([0.0, self.rng.uniform(0, 0.02)])
        elif how == "phase":
            phase = self.rng.choice(["census", "prepare", "compare", "copy", "index", "verify"])
            wait(engine, lambda e: e.get("phase") == phase, self.source.seconds)
            late = self.rng.uniform(0, 0.02)
        if not is_over(engine):
            wait(engine, lambda e: False, late)
        return how

    def meet_trap(self, engine: Engine, way: str, attempt: str) -> str:
        """The engine, or its session, dies at a message. Returns at which."""
        spring = engine.process.kill if way == "wire" else lambda: None
        trap = self.set_trap(attempt, spring)
        engine.send(HELLO, self.command)
        engine.until(is_result)
        self.lift_traps()
        return f"{'cut ' if way == 'cut' else ''}{trap.what} {trap.stage}" if trap.sprung else ""

    def set_trap(self, attempt: str, spring: Callable[[], None], only: str = "") -> Trap:
        """Chooses a message and a stage of it, of an engine's server."""
        sides = [side for side in self.wires if only in ("", self.wires[side].engine)]
        side = self.rng.choice(sides)
        counts = self.source.messages[side]
        ends = [what for what in WEIGHTY if what in counts]
        is_end = bool(ends) and self.rng.random() < WEIGHTY_SHARE
        what = self.rng.choice(ends if is_end else sorted(counts))
        most = counts[what] if attempt == "first" else max(1, counts[what] // 2)
        trap = Trap(what, self.rng.randint(1, most), self.rng.choice(STAGES), spring)
        self.wires[side].trap = trap
        return trap

    def lift_traps(self) -> None:
        """Nothing more happens."""
        for wire in self.wires.values():
            wire.trap = None

    def meet_rival(self, engine: Engine) -> str:
        """Somebody is in the way, and goes. Returns what that was, where it was met."""
        self.met = False

        def met() -> None:
            self.met = True

        with rival(self.dst, self.mode, self.rng, met):
            engine.send(HELLO, self.command)
            result = engine.until(is_result)
        again = (result or {}).get("metrics", {}).get("retries", 0)
        return "" if not self.met else "rival, again" if again else "rival"

    def judge_now(self, when: str) -> bool:
        """What may stand in the target now. Returns whether it has all."""
        self.dst.settle()
        now, ledger = self.dst.look(self.looked_at)
        # The engine may have noted the end of its job: that the source changes later is not its.
        is_whole = not self.goal.end(now)
        # A job is forgotten before the tables of the ledger go.
        if ledger or not is_whole:
            self.blame(when, self.goal.moment(now, ledger or {}))
        return is_whole

    def finish_tables(self, is_done: bool) -> None:
        """Resumes to the end; then the same line once more, which must do nothing."""
        committed = self.dst.look([])[1] or {}
        unchanged = len(self.goal.versions) == 1
        with Engine(self.home) as engine:
            engine.send(HELLO)
            result = engine.call(self.command)
            if self.judge_status(result, "resumed", False) != "ok":
                return
            now = content(self.dst, self.looked_at)
            again = engine.call({**self.command, "id": "again"})
            if again.get("replayed") is not True:
                self.blame("again", [f"not replayed: {outcome(again)}"])
        after = content(self.dst, self.looked_at)
        self.blame("again", [] if now == after else ["a replay changed the target"])
        if is_done and result.get("replayed") is not True:
            self.blame("resumed", ["not replayed: the job was done before"])
        self.blame("end", self.goal.end(now))
        self.blame("end", built(self.dst, self.mode))
        if result.get("replayed") is not True:
            self.judge_told(result, committed if unchanged else None)

    def judge_told(self, result: Event, committed: Optional[Ledger]) -> None:
        """What the result says: rows, and spans that were not copied again."""
        told = {entry["target"].rpartition(".")[2]: entry for entry in result["data"]["tables"]}
        for table in taken(self.mode):
            entry = told[table.name]
            count = self.goal.versions[-1][table.name].total()
            if entry["rows"] != count:
                self.blame("end", [f"accounting: {entry['rows']} of {count} rows of {table.name}"])
            kept = entry["spans_kept"]
            self.verdict.kept += kept
            if committed is None:
                continue
            spans = committed.get(table.name, (0, 0))[0]
            # Nothing was copied: an attempt that had noted its end tells its own account.
            if result["metrics"]["rows"] == 0:
                continue
            if kept != spans or entry["spans_redone"]:
                self.blame("end", [f"redone: {spans} spans of {table.name}, {kept} of them kept"])


class TableServerRun(TableRun):
    """A run whose server dies, and sometimes the engine with it."""

    def attempt(self, attempt: str) -> str:
        """Kills the server at a message, starts it again, and sees what the engine makes of it."""
        name = self.kind.server_dies
        together = self.rng.random() < TOGETHER_SHARE
        with Engine(self.home) as engine:
            def spring() -> None:
                kill_server(name)
                if together:
                    engine.process.kill()

            trap = self.set_trap(attempt, spring, name)
            engine.send(HELLO, self.command)
            while not trap.sprung and not is_over(engine):
                wait(engine, lambda e: False, 0.02)
            if trap.sprung:
                time.sleep(self.rng.uniform(0, AWAY_S))
                revive_server(name)
                if not is_over(engine):
                    engine.until(is_result, REVIVAL_S)
            engine.kill()
        self.lift_traps()
        word = f"{name} at {trap.what} {trap.stage}" if trap.sprung else ""
        return self.judge_result(engine, attempt, "cut", word)


def is_over(engine: Engine) -> bool:
    """Whether the job has its result."""
    return any(is_result(event) for event in engine.events)


def kill_server(name: str) -> None:
    """A server dies as by a power switch."""
    file = Path(os.environ[{"pg": "TEST_PG_PID_FILE", "maria": "TEST_MARIA_PID_FILE"}[name]])
    os.kill(int(file.read_text().split()[0]), signal.SIGKILL)


def revive_server(name: str) -> None:
    """It is started again, and answers."""
    services = Path(__file__).parent.parent / "services.sh"
    called = {"pg": "postgres", "maria": "mariadb"}[name]
    words = [str(services), "restart", called, os.environ["TEST_SERVICES_DIR"]]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
