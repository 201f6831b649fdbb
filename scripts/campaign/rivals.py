"""A second client of a target, in the engine's way: it holds rows, and makes deadlocks of that."""

import contextlib
import random
import sqlite3
import subprocess
import threading
import time
from typing import Callable, Iterator, Optional

from campaign.databases import Database
from campaign.sql_clients import Lite, Maria, Postgres

# What a rival has written besides, so that MariaDB gives the engine's transaction up and not its.
WEIGHT_ROWS = 3000
# Rivals that only wait, and let go.
PATIENT_SHARE = 0.3
HELD_S = (0.2, 1.5)
# Longest wait until the engine is held up.
MET_S = 20.0

IS_HELD_UP = {
    "pg": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
          "AND wait_event_type = 'Lock'",
    "maria": "SELECT COUNT(*) FROM information_schema.innodb_trx AS t "
             "JOIN information_schema.processlist AS p ON p.id = t.trx_mysql_thread_id "
             "WHERE p.db = DATABASE() AND t.trx_state = 'LOCK WAIT'",
}
BEGINS = {
    "pg": ["BEGIN", "SET LOCAL deadlock_timeout = '1h'"],
    "maria": ["SET innodb_lock_wait_timeout = 60", "START TRANSACTION",
              f"INSERT INTO theirs SELECT 1000 + seq, 1, 'x' FROM seq_1_to_{WEIGHT_ROWS}"],
}


class Session:
    """A client that is fed statement by statement."""

    def __init__(self, database: Database) -> None:
        assert isinstance(database, (Postgres, Maria))
        # A transaction that failed takes no more statements.
        self.mark = "\\echo done\n" if isinstance(database, Postgres) else "SELECT 'done';\n"
        self.process = subprocess.Popen(
            database.words(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )

    def say(self, *statements: str) -> None:
        """Hands statements over, without waiting."""
        self._write("".join(f"{text};\n" for text in statements))

    def _write(self, text: str) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(text)
            self.process.stdin.flush()

    def wait(self) -> None:
        """Waits until all of it is done, or the client is gone."""
        assert self.process.stdout is not None
        self._write(self.mark)
        for line in self.process.stdout:
            if "done" in line:
                return

    def end(self) -> None:
        """Gives its transaction up."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


@contextlib.contextmanager
def rival(
    target: Database, mode: str, rng: random.Random, met: Callable[[], None]
) -> Iterator[None]:
    """While this lasts a second client is in the way of rows of `ints`, until it lets go.

    `met`: called when the engine waited for it.
    """
    first = rng.randrange(80) * 7 + rng.randint(1, 5)
    verb = "UPDATE ints SET n = n WHERE id = {}" if mode == "merge" else (
        "INSERT INTO ints (id, n) VALUES ({}, 0)"
    )
    held = rng.uniform(*HELD_S)
    if isinstance(target, Lite):
        with lock_of(target, held, met):
            yield
        return
    assert isinstance(target, (Postgres, Maria))
    session = Session(target)
    session.say(*BEGINS[target.server.engine], verb.format(first + 1))
    session.wait()
    crossing = None if rng.random() < PATIENT_SHARE else verb.format(first)
    over = threading.Event()
    thread = threading.Thread(
        target=meet, args=(target, session, crossing, held, over, met), daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        session.end()
        target.settle()


def meet(
    target: Database, session: Session, crossing: Optional[str], held: float,
    over: threading.Event, met: Callable[[], None],
) -> None:
    """Waits until the engine waits, asks for what the engine holds, and lets go."""
    assert isinstance(target, (Postgres, Maria))
    query = IS_HELD_UP[target.server.engine]
    end = time.monotonic() + MET_S
    while not over.is_set() and time.monotonic() < end:
        if target.lines(query) != [("0",)]:
            met()
            session.say(*([crossing] if crossing else []))
            over.wait(held)
            break
        over.wait(0.02)
    session.say("ROLLBACK")
    session.wait()


@contextlib.contextmanager
def lock_of(target: Lite, seconds: float, met: Callable[[], None]) -> Iterator[None]:
    """A second client that writes into the file, and takes its time."""
    session = sqlite3.connect(target.path, isolation_level=None, check_same_thread=False)
    session.execute("BEGIN IMMEDIATE")
    met()
    timer = threading.Timer(seconds, session.execute, ["ROLLBACK"])
    timer.start()
    try:
        yield
    finally:
        timer.join()
        session.close()
