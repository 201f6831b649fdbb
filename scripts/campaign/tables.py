"""Jobs between databases: their types, and what stands at both ends before."""

import os
import random
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Counter, Dict

from campaign import auditor
from campaign.databases import Database
from campaign.jobs import SEED, JobType
from campaign.run import Source
from campaign.sql_clients import Lite, Maria, Postgres
from campaign.table_data import TABLES, THEIRS, rows
from campaign.table_judge import STANDING

ENGINES = ("lite", "pg", "maria")
# The first keys of rows that stood before, of all that no row of the source has.
APART = 7 * 100_000


@dataclass(frozen=True)
class TableType(JobType):
    """A type of job from one engine's database to another's."""

    src_in: str = ""
    dst_in: str = ""
    # The server that dies; none where the engine does.
    server_dies: str = ""


@dataclass
class TableSource(Source):
    """What the runs of a type share: messages that an undisturbed job sends, by side and kind."""

    messages: Dict[str, Counter[str]] = field(default_factory=dict)


class TableWorld:
    """The databases of one campaign."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.word = f"crash_{os.getpid()}_{random.SystemRandom().randrange(10**6)}"
        self.made: Dict[str, Database] = {}
        self.lock = threading.Lock()

    def database(self, engine: str, name: str) -> Database:
        """A database, which may not be there yet."""
        if engine == "lite":
            return Lite(self.folder / f"{name}.db")
        return (Postgres if engine == "pg" else Maria)(f"{self.word}_{name}")

    def template(self, engine: str, what: str) -> Database:
        """A database that others are copies of: `source`, or what stands in a mode before."""
        with self.lock:
            made = self.made.get(f"{engine} {what}")
            if made is None:
                made = self.database(engine, f"template_{engine}_{what}")
                self.made[f"{engine} {what}"] = made
                made.make()
                self.fill(made, what)
            return made

    def fill(self, made: Database, what: str) -> None:
        """Lays what the template holds."""
        if what == "source":
            for table in TABLES:
                made.lay(table, rows(table, SEED))
            return
        made.lay(THEIRS, rows(THEIRS, SEED))
        for table in TABLES:
            if table.name in STANDING[what]:
                shared = {"append": 0.0, "merge": 0.6, "replace": 1.3}[what]
                apart = 0.0 if what == "replace" else 0.3
                old = rows(table, f"{SEED}/{what}", shared)
                made.lay(table, old + rows(table, f"{SEED}/apart", apart, APART))

    def close(self) -> None:
        """Removes the templates; runs remove their own."""
        for made in self.made.values():
            made.drop()


def nothing(path: Path, small: bool) -> None:
    """The source is a database: its own template."""
    path.mkdir()


def table_source(kind: TableType, path: Path) -> TableSource:
    """A type's source: what there is on disk of it is nothing."""
    kind.build(path, False)
    return TableSource(path, auditor.look(path), {})


def between(src: str, dst: str, server_dies: str = "") -> TableType:
    """The type of jobs from one engine to another."""
    name = f"{src}-{dst}" + (f"-{server_dies}-dies" if server_dies else "")
    return TableType(
        name, nothing, {}, src_in=src, dst_in=dst, server_dies=server_dies,
        expect=lambda path: {},
    )


TABLE_TYPES = [between(src, dst) for src in ENGINES for dst in ENGINES]
TABLE_SERVER_TYPES = [
    between("lite", "pg", "pg"), between("lite", "maria", "maria"), between("pg", "pg", "pg"),
    between("pg", "maria", "maria"), between("maria", "pg", "maria"), between("pg", "lite", "pg"),
]
