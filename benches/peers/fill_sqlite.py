"""Makes a SQLite database from rows in the text form of PostgreSQL's COPY on standard input.

Usage: fill_sqlite.py FILE CREATE_STATEMENT TABLE KINDS, these being int, float, hex or text.
"""

import re
import sqlite3
import sys

ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "\\": "\\"}


def text(field):
    """A field without its escapes."""
    if "\\" not in field:
        return field
    return re.sub(r"\\(.)", lambda found: ESCAPES[found[1]], field)


KINDS = {"int": int, "float": float, "hex": bytes.fromhex, "text": text}


def main():
    """Reads all rows and commits them."""
    file, create, table, kinds = sys.argv[1:]
    makers = [KINDS[kind] for kind in kinds.split(", ")]
    lines = open(sys.stdin.fileno(), encoding="utf-8", newline="\n")
    rows = (
        [None if field == "\\N" else make(field) for make, field in zip(makers, fields, strict=True)]
        for fields in (line.rstrip("\n").split("\t") for line in lines)
    )
    database = sqlite3.connect(file)
    database.execute("PRAGMA synchronous = OFF")
    database.execute(create)
    marks = ", ".join("?" * len(makers))
    database.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
    database.commit()
    database.execute("ANALYZE")
    database.execute("PRAGMA journal_mode = WAL")
    database.close()


if __name__ == "__main__":
    main()
