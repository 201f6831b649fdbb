"""Jobs between disk and object stores, killed at their requests, judged by a client of their own.

A store is looked at as a tree is: names to facts, so that the judgements of files fit. What tells
one write of an object from another is its ETag with the number that the engine gives each write.
"""

import contextlib
import functools
import os
import random
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Counter, Dict, List, Optional, Tuple

from campaign import auditor, bucket, data
from campaign.auditor import Tree
from campaign.engine import HELLO, PATIENCE_S, Engine, Hung
from campaign.jobs import SEED, Command, JobType, Varied, drifted
from campaign.proxy import STAGES, Proxy, Trap, judge_parts
from campaign.run import Run, Source, Verdict, acknowledged_by, is_result, outcome

PART_BYTES = 5 * data.MIB
# The engine records the parts that a store took at the first acknowledgement after so long.
RECORD_EVERY_S = 1.0
# What a record may take on a busy disk until it is durable.
RECORD_SLACK_S = 0.5
# Attempts that die at a request; the others die at a time or an event.
AT_REQUEST_SHARE = 0.7
# Longest an attempt may take whose server dies and comes back.
REVIVAL_S = 300.0
AWAY_S = 3.0
# Deaths of the server in which the engine dies too.
TOGETHER_SHARE = 0.4


def keys(path: Path, small: bool) -> None:
    """Files whose names are keys of every store: small ones, one of three parts, one of six."""
    names = ["plain", "with space", "plus+and%25percent", "ümlaut-日本", "q?a&b=c#d", "semi;colon"]
    rng = random.Random(SEED)
    for folder in ("", "a", "a/b", "odd folder/+"):
        (path / folder).mkdir(parents=True, exist_ok=True)
    for n in range(8 if small else 60):
        folder = rng.choice(["", "a", "a/b", "odd folder/+"])
        data.write_random(path / folder / f"f{n:04}", f"{SEED}/k{n}", rng.randrange(5000))
    for name in names:
        data.write_random(path / "a" / name, f"{SEED}/{name}", 100 + len(name))
    (path / "a" / "empty").touch()
    data.write_random(path / "part", f"{SEED}/part", PART_BYTES)
    data.write_random(path / "a" / "parts", f"{SEED}/parts3", 2 * PART_BYTES + 3)
    data.write_random(path / "z-parts", f"{SEED}/parts6", 5 * PART_BYTES + 4097)
    data.dress(path, rng)


def many_parts(path: Path, small: bool) -> None:
    """One file of thirteen parts."""
    data.write_random(path, f"{SEED}/parts13", (3 if small else 12) * PART_BYTES + 4097)
    data.age(path, 1)


def strangers(_source: Path, dst: Path) -> None:
    """Objects of somebody else that are in nobody's way."""
    (dst / "a/theirs").mkdir(parents=True)
    for n in range(3):
        data.write_random(dst / "a/theirs" / f"t{n}", f"{SEED}/theirs/{n}", 1000 + n)
    data.dress(dst, random.Random(SEED))


def files_of(path: Path) -> Tree:
    """What of a tree a store keeps."""
    return {name: fact for name, fact in auditor.look(path).items() if fact.kind == b"f"}


@dataclass(frozen=True)
class ObjectType(JobType):
    """A type of job with a store at one end or both; `""` is the disk."""

    expect: Callable[[Path], Tree] = files_of
    src_at: str = ""
    dst_at: str = ""
    # Seconds that requests of a kind take longer.
    slow: Dict[str, float] = field(default_factory=dict)
    # Whether what dies is the server.
    server_dies: bool = False


@dataclass
class ObjectSource(Source):
    """A source of which a copy stands in a bucket, where the type wants that."""

    prefix: str = ""
    stored: Tree = field(default_factory=dict)
    # Requests of each kind in a job that nobody kills, by proxy.
    requests: List[Counter[str]] = field(default_factory=list)


class World:
    """The buckets of one campaign, two in each server: copies go from one to the other."""

    def __init__(self, names: List[str]) -> None:
        word = f"crash-{os.getpid()}-{random.SystemRandom().randrange(10**6)}"
        self.buckets = (f"{word}-a", f"{word}-b")
        self.servers: Dict[str, bucket.Server] = {}
        for name in names:
            found = bucket.server(name)
            if found is None:
                raise SystemExit(f"TEST_{name}_ENDPOINT is not set: scripts/services.sh env")
            self.servers[name] = found
            for each in self.buckets:
                self.client(name).make_bucket(each)

    def client(self, name: str) -> bucket.Client:
        """A client for one thread."""
        return bucket.Client(self.servers[name])

    def close(self) -> None:
        """Removes the buckets."""
        for name in self.servers:
            for each in self.buckets:
                self.client(name).remove_bucket(each)

    def source(self, kind: ObjectType, path: Path) -> ObjectSource:
        """A type's source, also in its bucket."""
        kind.build(path, False)
        source = ObjectSource(path, auditor.look(path), kind.expect(path))
        if kind.src_at:
            source.prefix = f"source-{kind.name}"
            client = self.client(kind.src_at)
            store(client, self.buckets[0], source.prefix, path)
            source.stored = client.look(self.buckets[0], source.prefix)
        return source


def store(client: bucket.Client, into: str, prefix: str, path: Path) -> None:
    """Stores files as a tool other than the engine does that keeps times and modes."""
    for name in files_of(path):
        file = os.fsencode(path) + (b"/" + name if name else b"")
        status = os.stat(file)
        seconds, fraction = divmod(status.st_mtime_ns, 10**9)
        metadata = {"mtime": f"{seconds}.{fraction:09}", "mode": f"{status.st_mode:o}"}
        key = prefix + ("/" + name.decode() if name else "")
        with open(file, "rb") as content:
            client.put(f"{into}/{key}", content.read(), metadata)


class ObjectRun(Run):
    """A run with a store at one end or both, through proxies."""

    kind: ObjectType
    source: ObjectSource
    moments = ("time", "time", "checkpoint", "written")

    def __init__(self, number: int, seed: str, kind: ObjectType, source: ObjectSource,
                 place: Path, world: World) -> None:
        self.world = world
        self.clients = {name: world.client(name) for name in {kind.src_at, kind.dst_at} - {""}}
        self.proxies = {
            name: Proxy(world.servers[name].endpoint, kind.slow) for name in sorted(self.clients)
        }
        self.base = f"{kind.name}-{number}"
        self.trap: Optional[Trap] = None
        self.deaths: List[float] = []
        self.foreign: List[Tuple[str, str]] = []
        self.canaries: Tree = {}
        super().__init__(number, seed, kind, source, place)

    def lay(self) -> Command:
        """What stands there before, at the destination and beside it; and the command."""
        command = self.kind.command(self.place, self.source.path, self.rng)
        if self.kind.src_at:
            command["src"] = self.location(self.kind.src_at, 0, self.source.prefix)
        before = self.place / "before"
        self.kind.before(self.source.path, before)
        if self.kind.dst_at:
            command["dst"] = self.location(self.kind.dst_at, 1, f"{self.base}/dst")
            if before.exists():
                self.store_before(before)
            self.lay_canaries()
        elif before.exists():
            before.rename(self.place / self.kind.dst)
        return command

    def location(self, name: str, which: int, key: str) -> Command:
        """A location of the command."""
        where = {
            "url": f"s3://{self.world.buckets[which]}/{key}",
            "endpoint": self.proxies[name].endpoint,
            "region": self.world.servers[name].region,
            "auth": {
                "access_key_id": {"env": f"TEST_{name}_ACCESS_KEY"},
                "secret_access_key": {"env": f"TEST_{name}_SECRET_KEY"},
            },
        }
        return {**where, "part_bytes": "5MiB"} if which == 1 else where

    def store_before(self, before: Path) -> None:
        """Moves what stood there before into the bucket."""
        store(self.to, self.world.buckets[1], f"{self.base}/dst", before)
        shutil.rmtree(before)

    @property
    def to(self) -> bucket.Client:
        """The client for the destination."""
        return self.clients[self.kind.dst_at]

    def lay_canaries(self) -> None:
        """Objects and uploads of somebody else, beside the destination and at its very keys."""
        into = self.world.buckets[1]
        for name in ("ds", "dst-", "dst.x", "dst-beside/f", "dst0", "a/dst/f"):
            self.to.put(f"{into}/{self.base}/{name}", name.encode())
        last = max(self.source.expected, key=lambda name: self.source.expected[name].size)
        key = f"{self.base}/dst" + ("/" + last.decode() if last else "")
        for theirs in (key, f"{self.base}/dst-upload"):
            upload = self.to.begin(into, theirs)
            self.to.send_part(into, theirs, upload, 1, b"theirs")
            self.foreign.append((theirs, upload))
        self.canaries = self.beside()

    def beside(self) -> Tree:
        """Everything of this run that is not the destination."""
        own = self.to.look(self.world.buckets[1], self.base)
        inside = (b"dst", b"dst/")
        return {n: f for n, f in own.items() if n != inside[0] and not n.startswith(inside[1])}

    def view(self, again: bool = False) -> Tree:
        """The destination as it is now."""
        if self.kind.dst_at:
            return self.to.look(self.world.buckets[1], f"{self.base}/dst", again)
        return files_of(self.place / self.kind.dst)

    def play(self) -> Verdict:
        """As any run; then what is beside it, and what was sent."""
        try:
            super().play()
            if self.kind.dst_at:
                self.blame("end", auditor.final(self.beside(), {}, self.canaries, True, True))
                self.blame("end", auditor.left_alone(self.canaries, self.beside(), self.canaries))
            for proxy in self.proxies.values():
                parts = judge_parts(proxy.records, self.deaths, RECORD_EVERY_S, RECORD_SLACK_S)
                self.blame("end", [f"redone: {problem}" for problem in parts.problems])
                self.verdict.parts += parts.sent
                self.verdict.parts_again += parts.again
        finally:
            self.close()
        return self.verdict

    def close(self) -> None:
        """Ends proxies and clients."""
        for proxy in self.proxies.values():
            proxy.close()
        for client in self.clients.values():
            client.close()

    def judge_source(self) -> None:
        """The source was only read."""
        super().judge_source()
        if self.kind.src_at:
            client = self.clients[self.kind.src_at]
            now = client.look(self.world.buckets[0], self.source.prefix)
            if now != self.source.stored:
                self.blame("end", ["the source changed: objects"])

    def leftovers(self, when: str) -> None:
        """No temporary object or file, and no upload but those of others."""
        super().leftovers(when)
        if not self.kind.dst_at:
            return
        names = [name for name in self.view(True) if auditor.TEMPORARY.search(name)]
        self.blame(when, [f"leftover: {auditor.show(name)}" for name in names])
        uploads = self.to.uploads(self.world.buckets[1], self.base)
        own = [upload for upload in uploads if upload not in self.foreign]
        self.blame(when, [f"leftover: an upload to {key}" for key, _ in own])
        gone = [upload for upload in self.foreign if upload not in uploads]
        self.blame(when, [f"touched: somebody's upload to {key} is gone" for key, _ in gone])

    def arm(self, engine: Engine, attempt: str) -> None:
        """Sets a trap at one request of those that the job makes."""
        self.trap = None
        if self.rng.random() < AT_REQUEST_SHARE:
            self.set_trap(attempt, lambda: self.kill(engine))

    def kill(self, engine: Engine) -> None:
        """The engine dies; what it is told afterwards it does not know."""
        engine.process.kill()
        engine.process.wait()
        self.deaths.append(time.monotonic())

    def set_trap(self, attempt: str, spring: Callable[[], None]) -> Trap:
        """Chooses a request and a stage of it."""
        asked = [
            (name, what, count)
            for name, counts in zip(sorted(self.proxies), self.source.requests)
            for what, count in sorted(counts.items())
        ]
        name, what, count = self.rng.choice(asked)
        nth = self.rng.randint(1, count if attempt == "first" else max(1, count // 2))
        trap = Trap(what, nth, self.rng.choice(STAGES), spring)
        self.trap = self.proxies[name].trap = trap
        return trap

    def aim(self, engine: Engine, latest: float) -> str:
        """Waits for the trap, or for another moment."""
        if self.trap is None:
            return super().aim(engine, latest)
        engine.until(is_result)
        return f"{self.trap.what} {self.trap.stage}"

    def died(self) -> None:
        """Keeps when the engine was dead for certain."""
        for proxy in self.proxies.values():
            proxy.trap = None
        self.deaths.append(time.monotonic())


class ServerRun(ObjectRun):
    """A run whose server dies, and sometimes the engine with it."""

    def crash(self, attempt: str) -> Optional[int]:
        """Kills the server at a request, starts it again, and sees what the engine makes of it."""
        with Engine(self.place) as engine:
            trap = self.set_trap(attempt, kill_server)
            engine.send(HELLO, self.command)
            over = await_trap(engine, trap)
            together = trap.sprung and self.rng.random() < TOGETHER_SHARE
            if together:
                time.sleep(self.rng.uniform(0, 0.3))
                self.kill(engine)
            if trap.sprung:
                time.sleep(self.rng.uniform(0, AWAY_S))
                revive_server()
            if not over and not together:
                engine.until(is_result, REVIVAL_S)
        self.died()
        events = [event for event in engine.events if event.get("id") == "job"]
        result = events[-1] if events and is_result(events[-1]) else None
        ended = "both died"
        if result:
            ended = "ok" if result["status"] == "ok" else outcome(result).partition(":")[0]
        if trap.sprung:
            self.verdict.kills.append(f"{attempt}/server at {trap.what} {trap.stage}: {ended}")
        return None if result and result["status"] == "ok" else acknowledged_by(events)


def await_trap(engine: Engine, trap: Trap) -> bool:
    """Waits until the trap springs or the job is over. Returns whether it is over."""
    end = time.monotonic() + PATIENCE_S
    while not trap.sprung and time.monotonic() < end:
        with contextlib.suppress(Hung):
            engine.until(is_result, 0.02)
            return True
    return False


def kill_server() -> None:
    """SeaweedFS dies as by a power switch."""
    os.kill(int(Path(os.environ["TEST_S3_PID_FILE"]).read_text().split()[0]), signal.SIGKILL)


def revive_server() -> None:
    """SeaweedFS is started again, and answers."""
    services = Path(__file__).parent.parent / "services.sh"
    words = [str(services), "restart", "seaweed", os.environ["TEST_SERVICES_DIR"]]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


LASTS: Varied = {"durability": [None, None, "crash"]}
PARTED: Varied = {"parallel_chunks": [None, 1, 2], "checksum": [None, "none", "crc64nvme"]}
TREE: Varied = {**LASTS, "parallel_files": [None, 1, 7], "checksum": [None, None, "none"]}
SLOW_PARTS = {"part": 0.5}


def types_at(name: str, suffix: str, server_dies: bool = False) -> List[ObjectType]:
    """The types of jobs with one server."""
    synced = {"on_exists": "update", "delete": True}
    here = functools.partial(ObjectType, server_dies=server_dies)
    return [
        here(f"upload{suffix}", keys, {}, before=strangers, varied=TREE, dst_at=name),
        here(f"parts{suffix}", many_parts, {}, varied=PARTED, dst_at=name, slow=SLOW_PARTS),
        here(f"download{suffix}", keys, {}, before=strangers, varied=TREE, src_at=name),
        here(f"copy{suffix}", keys, {}, before=strangers, varied=TREE, src_at=name, dst_at=name),
        here(
            f"mirror{suffix}", keys, synced, before=drifted, varied=LASTS, dst_at=name,
            removes=True, leaves_equal=True,
        ),
    ]


OBJECT_TYPES = types_at("S3", "")
# A second server, where it can be had, and from one server to the other.
SECOND_TYPES = [
    *types_at("RGW", "-rgw"),
    ObjectType("across", keys, {}, varied=TREE, src_at="S3", dst_at="RGW"),
    ObjectType(
        "across-parts", many_parts, {}, varied=PARTED, src_at="S3", dst_at="RGW", slow=SLOW_PARTS
    ),
]
SERVER_TYPES = types_at("S3", "-server", server_dies=True)
