"""What a judge asks of a database, whatever its engine is.

Every value is read as the text that its engine makes of it, in hexadecimal digits, so that nothing
in it is taken for a part of the answer.
"""

import collections
import json
import os
import subprocess
import time
import urllib.parse
from dataclasses import dataclass
from typing import Callable, ClassVar, Dict, List, Optional, Sequence, Tuple

from campaign.table_data import Column, Row, Seen, Table, Value, seen

Line = Tuple[Optional[str], ...]
Content = Dict[str, Seen]
Ledger = Dict[str, Tuple[int, int]]

# Where the engine says what it committed.
LEDGER_SPANS = "mig_ledger_spans"
# A line between two answers.
MARK = "=="
# Longest wait until nobody is in a database any more whose client died.
SETTLED_S = 120.0
# Longest that a client waits for an answer: something holds a lock for ever.
CLIENT_S = 120.0


@dataclass(frozen=True)
class Server:
    """A server of the tests."""

    engine: str
    host: str
    port: int
    user: str


def server(engine: str) -> Server:
    """The server that the environment names.

    Raises `SystemExit` where it names none.
    """
    name = {"pg": "TEST_PG_URL", "maria": "TEST_MARIA_URL"}[engine]
    if name not in os.environ:
        raise SystemExit(f"{name} is not set: scripts/services.sh env")
    parts = urllib.parse.urlsplit(os.environ[name])
    return Server(engine, parts.hostname or "", parts.port or 0, parts.username or "")


def client(words: Sequence[str], text: str) -> str:
    """What a command line client answers.

    Raises `RuntimeError` with its own words.
    """
    done = subprocess.run(
        words, input=text.encode(), capture_output=True, timeout=CLIENT_S, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{words[0]}: {done.stderr.decode(errors='replace').strip()[-300:]}")
    return done.stdout.decode()


def parted(text: str, null: str) -> List[List[Line]]:
    """Answers of a client, each of which ends with a mark."""
    answers: List[List[Line]] = [[]]
    for line in text.splitlines():
        if line == MARK:
            answers.append([])
        else:
            words = line.split("\t")
            answers[-1].append(tuple(None if word == null else word for word in words))
    return answers[:-1]


class Database:
    """One database."""

    types: ClassVar[Dict[str, str]] = {}
    # What a table's definition ends with.
    tail = ""

    def location(self, port: int) -> str:
        """Where the engine finds it, at a proxy's port."""
        raise NotImplementedError

    def make(self) -> None:
        """Makes it, empty."""
        raise NotImplementedError

    def copy_of(self, template: "Database") -> None:
        """Makes it, with everything of another one that nobody is in."""
        raise NotImplementedError

    def drop(self) -> None:
        """Removes it."""
        raise NotImplementedError

    def run(self, statements: Sequence[str]) -> str:
        """Runs statements, all or none of them, and returns what they say."""
        raise NotImplementedError

    def answers(self, queries: Sequence[str]) -> List[List[Line]]:
        """The rows of queries, each of whose columns is text without odd signs."""
        raise NotImplementedError

    def lines(self, query: str) -> List[Line]:
        """The rows of one."""
        return self.answers([query])[0]

    def literal(self, column: Column, value: Value) -> str:
        """A value in a statement."""
        raise NotImplementedError

    def shown(self, column: Column) -> str:
        """What says a value's text in hexadecimal digits."""
        raise NotImplementedError

    def tables(self) -> List[str]:
        """Names of its tables, in order."""
        raise NotImplementedError

    def structure(self) -> List[str]:
        """Its primary keys, foreign keys and the columns that are first in an index, in words."""
        raise NotImplementedError

    def settle(self) -> None:
        """Waits until the sessions of dead clients have ended."""

    def lay(self, table: Table, rows: Sequence[Row]) -> None:
        """Makes a table with these rows."""
        columns = [
            f"{column.name} {self.types[column.kind]}" + ("" if column.null else " NOT NULL")
            for column in table.columns
        ]
        own, other, key = table.refers
        parts = [
            *columns,
            *([f"PRIMARY KEY ({', '.join(table.key)})"] if table.key else []),
            *([f"FOREIGN KEY ({own}) REFERENCES {other} ({key})"] if own else []),
        ]
        made = [f"CREATE TABLE {table.name} ({', '.join(parts)}){self.tail}"]
        if table.index:
            made.append(f"CREATE INDEX {table.name}_by ON {table.name} ({table.index})")
        for at in range(0, len(rows), 200):
            of = ", ".join(
                "(" + ", ".join(map(self.literal, table.columns, row)) + ")"
                for row in rows[at : at + 200]
            )
            made.append(f"INSERT INTO {table.name} VALUES {of}")
        self.run(made)

    def look(self, tables: Sequence[Table]) -> Tuple[Content, Optional[Ledger]]:
        """The rows of those tables that are there, and what the engine's ledger says."""
        names = self.tables()
        there = [table for table in tables if table.name in names]
        queries = [
            f"SELECT {', '.join(map(self.shown, table.columns))} FROM {table.name}"
            for table in there
        ]
        if LEDGER_SPANS in names:
            queries.append(f"SELECT {self.shown(Column('about', 'text'))} FROM {LEDGER_SPANS}")
        answers = self.answers(queries)
        content = {
            table.name: collections.Counter(
                seen(table, [decoded(column, text) for column, text in zip(table.columns, line)])
                for line in answer
            )
            for table, answer in zip(there, answers)
        }
        return content, ledger_of(answers[-1]) if LEDGER_SPANS in names else None


def ledger_of(lines: Sequence[Line]) -> Ledger:
    """Spans and rows that are committed, by table; none of both where spans are only planned."""
    found: Ledger = {}
    for (text,) in lines:
        about = json.loads(bytes.fromhex(text or ""))
        spans, rows = found.get(about["table"], (0, 0))
        done = not about["planned"]
        found[about["table"]] = (spans + done, rows + about["rows"] * done)
    return found


def decoded(column: Column, text: Optional[str]) -> Optional[str]:
    """A value's text, from hexadecimal digits; bytes stay digits."""
    if text is None or column.kind == "bytes":
        return text if text is None else text.lower()
    return bytes.fromhex(text).decode()


def quoted(text: str) -> str:
    """A literal of a text, where a backslash is a backslash."""
    return "'" + text.replace("'", "''") + "'"


def plain(column: Column, value: Value) -> Optional[str]:
    """A literal that all engines take; none for those that have their own."""
    if value is None:
        return "NULL"
    if column.kind in ("int", "bool", "float"):
        return repr(value)
    if column.kind == "moment":
        return quoted(str(value))
    return None


def await_none(ask: Callable[[], List[Line]]) -> None:
    """Waits until a query's count is 0.

    Raises `RuntimeError` where it stays above.
    """
    end = time.monotonic() + SETTLED_S
    while ask() != [("0",)]:
        if time.monotonic() > end:
            raise RuntimeError("sessions of a dead engine do not end")
        time.sleep(0.02)
