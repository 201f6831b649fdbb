"""A database for the quickstart: made, and compared with a copy, by Python's sqlite3 alone."""

import decimal
import json
import sqlite3
import sys
from contextlib import closing
from typing import Any, Dict, List, Tuple

SCHEMA = """
CREATE TABLE customer (
  id INTEGER PRIMARY KEY, name VARCHAR(60) NOT NULL UNIQUE, balance DECIMAL(12,2) DEFAULT 0,
  born DATE, photo BLOB, note TEXT CHECK (length(note) < 1000), active BOOLEAN DEFAULT true);
CREATE TABLE "order line" (
  "order" INTEGER, line INTEGER, customer INTEGER NOT NULL REFERENCES customer (id),
  at TIMESTAMP, total REAL, raw, PRIMARY KEY ("order", line)) WITHOUT ROWID;
CREATE TABLE setting (name TEXT PRIMARY KEY, value);
CREATE TABLE log (text TEXT, size INT, twice INT GENERATED ALWAYS AS (size * 2) STORED);
CREATE INDEX by_customer ON "order line" (customer, at DESC);
CREATE INDEX owing ON customer (name) WHERE balance < 0;
CREATE VIEW owed AS SELECT sum(balance) FROM customer;
"""
ODD: Tuple[Any, ...] = (None, -(1 << 63), 1.5, "", "a\0b", "\U0001f600 ' \" ;--", b"", b"\xff\x00")


def make(path: str) -> None:
    """Fills a new database."""
    with closing(sqlite3.connect(path)) as base, base:
        base.executescript(SCHEMA)
        customers = (
            (at, "Näme %d" % at, "%d.%02d" % (at - 5000, at % 100), "19%02d-02-28" % (at % 100),
             bytes([at % 256]) * (at % 40), None if at % 3 else "x\n\ty", at % 2)
            for at in range(10_000)
        )  # fmt: skip
        base.executemany("INSERT INTO customer VALUES (?, ?, ?, ?, ?, ?, ?)", customers)
        lines = (
            (
                at // 4,
                at % 4,
                at % 10_000,
                "2024-02-29 23:59:59.%06d" % (at * 10 + 1),
                at / 7,
                ODD[at % len(ODD)],
            )
            for at in range(40_000)
        )
        base.executemany('INSERT INTO "order line" VALUES (?, ?, ?, ?, ?, ?)', lines)
        settings = (("k%d" % at, ODD[at % len(ODD)]) for at in range(1000))
        base.executemany("INSERT INTO setting VALUES (?, ?)", settings)
        log = (("line %d" % at, at * at) for at in range(9000))
        base.executemany("INSERT INTO log (text, size) VALUES (?, ?)", log)


def compare(one: str, other: str) -> None:
    """Every row, value and class of both; a decimal by its number, since it is kept as text."""
    left, right = _content(one), _content(other)
    for table, rows in left.items():
        if rows != right.get(table):
            sys.exit("%s differs" % table)
    with closing(sqlite3.connect(other)) as base:
        broken = base.execute("PRAGMA foreign_key_check").fetchall()
        sound = base.execute("PRAGMA integrity_check").fetchall()
    if broken or sound != [("ok",)] or left.keys() != right.keys():
        sys.exit("the copy is not sound")
    total = sum(map(len, left.values()))
    print("no difference in %d rows of %d tables; the copy is sound" % (total, len(left)))


def _content(path: str) -> Dict[str, List[str]]:
    content = {}
    with closing(sqlite3.connect(path)) as base:
        sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        for (table,) in base.execute(sql).fetchall():
            columns = [row[2] for row in base.execute('PRAGMA table_xinfo("%s")' % table)]
            decimals = [at for at, kind in enumerate(columns) if kind.startswith("DECIMAL")]
            rows = base.execute('SELECT * FROM "%s"' % table)
            content[table] = sorted(repr(_row(row, decimals)) for row in rows)
    return content


def _row(row: Tuple[Any, ...], decimals: List[int]) -> List[Any]:
    out = list(row)
    for at in decimals:
        if out[at] is not None:
            out[at] = decimal.Decimal(str(out[at])).normalize()
    return out


def certificate(path: str) -> None:
    """What the engine certifies, one line a table."""
    with open(path, encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            if line["type"] == "result" and line["op"] == "tables":
                for table in line["data"]["tables"]:
                    print(
                        "  %(table)s: %(rows)d rows, %(spans)d spans, %(digest)s, %(proof)s" % table
                    )


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2])
    elif sys.argv[1] == "compare":
        compare(sys.argv[2], sys.argv[3])
    else:
        certificate(sys.argv[2])
