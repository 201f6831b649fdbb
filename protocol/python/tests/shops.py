"""Databases for tests of tables: made by the sqlite3 module, and read by it alone."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

SCHEMA = '''
CREATE TABLE customer (
  id INTEGER PRIMARY KEY, name VARCHAR(40) NOT NULL UNIQUE, balance DECIMAL(12,2) DEFAULT 0,
  born DATE, seen TIMESTAMP DEFAULT CURRENT_TIMESTAMP, photo BLOB,
  note TEXT DEFAULT 'it''s' CHECK (length(note) < 1000), active BOOLEAN DEFAULT true);
CREATE TABLE "order ""x""" (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  customer INTEGER REFERENCES customer (id) ON DELETE CASCADE,
  total REAL, raw, at TIMESTAMPTZ, UNIQUE (customer, total));
CREATE TABLE settings (name TEXT PRIMARY KEY, value ANY) WITHOUT ROWID;
CREATE TABLE loose (a, b NUMERIC, c INT2, u UUID, t TIME, j JSON, f FLOAT4, y YEAR);
CREATE TABLE made (a INT, twice INT GENERATED ALWAYS AS (a * 2) STORED, p PRIMARY KEY);
CREATE TABLE strict_one (k INTEGER PRIMARY KEY, v ANY) STRICT;
CREATE TABLE hollow (x INT);
CREATE INDEX by_name ON customer (name DESC, born);
CREATE INDEX rich ON customer (name) WHERE balance > 0;
CREATE INDEX lower_name ON customer (lower(name));
CREATE VIEW names AS SELECT name FROM customer;
CREATE TRIGGER watch AFTER INSERT ON hollow BEGIN SELECT 1; END;
'''
ANY: Sequence[Any] = (
    None, 1, -(1 << 63), 1.5, 1e300, -0.25, "t\0x", "", "ü\U0001f600", b"", b"\xff\0",
)  # fmt: skip


def make(path: Path, rows: int = 200) -> None:
    """A shop with several tables, keys and odd values."""
    with closing(sqlite3.connect(path)) as base, base:
        base.executescript(SCHEMA)
        for at in range(rows):
            _row(base, at)
        base.execute('DELETE FROM "order ""x""" WHERE id > ?', (rows * 3 - 20,))


def _row(base: sqlite3.Connection, at: int) -> None:
    odd = ANY[at % len(ANY)]
    base.execute(
        "INSERT INTO customer VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (at * 7 - 50, "näme %d" % at, ["%d.5" % at, at, 0.1 * at // 0.1, None][at % 4],
         "20%02d-02-%02d" % (at % 100, 1 + at % 28) if at % 3 else None,
         ["2024-02-29 23:59:59.%d" % (at + 1), "2024-01-01", "infinity"][at % 3],
         None if at % 2 else bytes([at % 256]) * (at % 300), None if at % 7 else "x\0y", at % 2),
    )  # fmt: skip
    at_text = "2024-01-01T10:00:00+0%d:30" % (at % 10)
    base.execute(
        'INSERT INTO "order ""x""" VALUES (?, ?, ?, ?, ?)',
        (at * 3, at * 7 - 50, at / 7, odd, at_text),
    )
    base.execute("INSERT INTO settings VALUES (?, ?)", ("k%d" % (at * 37 % 1000), odd))
    base.execute("INSERT INTO strict_one VALUES (?, ?)", (at, odd))
    base.execute(
        "INSERT INTO loose VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (odd, [1, 1.5, "7.10", None][at % 4], at - 100, "00112233-4455-6677-8899-AABBCC%06x" % at,
         "1%d:00:00.0%d" % (at % 10, at), '{"n":%d}' % at, at / 4, 2000 + at),
    )  # fmt: skip
    base.execute("INSERT INTO made (a, p) VALUES (?, ?)", (at, at if at % 2 else b"%d" % at))


def run(path: Path, *statements: str) -> List[Tuple[Any, ...]]:
    """Runs statements; the rows of the last one."""
    with closing(sqlite3.connect(path)) as base, base:
        base.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            rows = base.execute(statement).fetchall()
    return rows


def tables(path: Path) -> List[str]:
    """Names of tables."""
    rows = run(path, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    return [str(name) for (name,) in rows if not name.startswith("sqlite_")]


def content(path: Path) -> Dict[str, List[str]]:
    """Every table's rows with the class of each value, in no order of theirs."""
    found = {}
    for name in tables(path):
        quoted = '"%s"' % name.replace('"', '""')
        columns = [
            '"%s"' % str(row[1]).replace('"', '""')
            for row in run(path, "PRAGMA table_xinfo(%s)" % quoted)
        ]
        typed = ", ".join("typeof(%s), %s" % (column, column) for column in columns)
        found[name] = sorted(map(repr, run(path, "SELECT %s FROM %s" % (typed, quoted))))
    return found


def schema(path: Path) -> List[Tuple[Any, ...]]:
    """Everything that was made, by its statement."""
    what = "SELECT type, name, sql FROM sqlite_schema"
    return run(path, what + " WHERE name NOT LIKE 'sqlite_stat%' ORDER BY 1, 2")


def count(path: Path, table: str, where: str = "1") -> int:
    return int(run(path, "SELECT count(*) FROM %s WHERE %s" % (table, where))[0][0])
