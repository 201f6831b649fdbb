"""Tables of test data, the same in every engine, and the changes that are made to them.

Every table has an integer `n` between 0 and 999, by which rows are picked, whatever their key is.
"""

import datetime
import hashlib
import random
from dataclasses import dataclass
from decimal import Decimal
from typing import Counter, List, Optional, Sequence, Tuple

Value = Optional[object]
Row = Tuple[Value, ...]
# A table's rows as a judge sees them: the key in words, then a digest of the whole row.
Seen = Counter[str]

# What tells two columns in a text, and no text here has.
BETWEEN = "\x1f"


@dataclass(frozen=True)
class Column:
    """A column. Kinds: int, text, name (a short text), decimal, float, moment, bytes, bool."""

    name: str
    kind: str
    null: bool = True


@dataclass(frozen=True)
class Table:
    """A table."""

    name: str
    columns: Sequence[Column]
    rows: int
    # Columns of the primary key; none for a table without one.
    key: Sequence[str] = ()
    # A column with an index, and one that refers to the key of another table.
    index: str = ""
    refers: Tuple[str, str, str] = ("", "", "")

    def column(self, name: str) -> Column:
        """A column by its name."""
        return next(column for column in self.columns if column.name == name)


N = Column("n", "int", null=False)
TABLES = [
    Table(
        "ints",
        [Column("id", "int", False), N, Column("note", "text"), Column("amount", "decimal"),
         Column("share", "float"), Column("born", "moment"), Column("well", "bool")],
        900, key=["id"], index="n",
    ),
    Table("names", [Column("code", "name", False), N, Column("note", "text")], 500, key=["code"]),
    Table(
        "pairs",
        [Column("a", "int", False), Column("b", "name", False), N, Column("born", "moment")],
        600, key=["a", "b"],
    ),
    Table("heap", [N, Column("note", "text"), Column("amount", "decimal")], 700),
    Table(
        "wide",
        [Column("id", "int", False), N,
         *(Column(f"t{i}", "text") for i in range(12)),
         *(Column(f"i{i}", "int") for i in range(12)),
         Column("body", "bytes"), Column("story", "text")],
        120, key=["id"],
    ),
    Table(
        "orders", [Column("id", "int", False), N, Column("ints_id", "int", False)], 400,
        key=["id"], refers=("ints_id", "ints", "id"),
    ),
]
# Somebody else's, which stands beside the target's tables.
THEIRS = Table("theirs", [Column("id", "int", False), N, Column("note", "text")], 50, key=["id"])

WORDS = ["plain", "ümlaut", "日本語", "with 'quote'", 'and "more"', "back\\slash", "tab\there",
         "line\nbreak", "%s", "NULL", "", " padded ", "\U0001f600", "{a,b}", "\\N", "semi;colon--"]


def rows(table: Table, seed: str, share: float = 1.0, first: int = 0) -> List[Row]:
    """A table's rows, or a share of them, numbered from `first`, which is a multiple of 7."""
    rng = random.Random(f"{seed}/{table.name}")
    numbers = range(first, first + int(table.rows * share))
    made = [row(table, rng, number, first) for number in numbers]
    if not table.key:
        # Rows that are equal are rows of their own.
        made += made[: len(made) // 10]
    return made


def row(table: Table, rng: random.Random, number: int, first: int) -> Row:
    """One row, whose key is by its number. Keys stand unevenly: close together, then far apart."""
    key = number if number % 7 else number + 10**6 * (number % 13)
    values: List[Value] = []
    for column in table.columns:
        if column.name == "id":
            values.append(key)
        elif column.name == "ints_id":
            values.append(first + rng.randrange(60) * 7 + 1)
        elif column.name == "a":
            values.append(number // 40)
        elif column.name in ("b", "code"):
            values.append(f"{WORDS[number % 4]}-{key}")
        elif column is N:
            values.append(rng.randrange(1000))
        else:
            values.append(None if rng.random() < 0.1 else value(column, rng))
    return tuple(values)


def value(column: Column, rng: random.Random) -> Value:
    """A value that every engine can hold."""
    if column.kind == "int":
        return rng.choice([0, -1, 2**63 - 1, -(2**63), rng.randrange(10**9)])
    if column.kind == "decimal":
        return Decimal(rng.randrange(-(10**11), 10**11)).scaleb(-2)
    if column.kind == "float":
        return rng.choice([0.0, 1e300, 5e-300, 0.1, rng.uniform(-1e6, 1e6)])
    if column.kind == "moment":
        since = datetime.timedelta(microseconds=rng.randrange(2 * 10**15))
        return datetime.datetime(1970, 1, 2) + since
    if column.kind == "bool":
        return rng.random() < 0.5
    if column.kind == "bytes":
        return rng.randbytes(rng.choice([0, 1, 300, 6000]))
    if column.name == "story":
        return "".join(rng.choices(WORDS, k=rng.choice([1, 10, 800])))
    return rng.choice(WORDS) + str(rng.randrange(10**6))


def told(column: Column, text: Optional[str]) -> str:
    """A value as every engine says it, from what one engine says."""
    if text is None:
        return "-"
    if column.kind == "decimal":
        return "=" + str(Decimal(text).quantize(Decimal("0.01")))
    if column.kind == "float":
        return "=" + repr(float(text))
    if column.kind == "bool":
        return "=" + {"t": "1", "true": "1", "f": "0", "false": "0"}.get(text, text)
    if column.kind == "moment":
        day, _, time = text.replace("T", " ").partition(" ")
        whole, _, fraction = time.partition(".")
        return f"={day} {whole}.{fraction.ljust(6, '0')}"
    return "=" + text


def seen(table: Table, texts: Sequence[Optional[str]]) -> str:
    """A row as judges compare it."""
    values = [told(column, text) for column, text in zip(table.columns, texts)]
    whole = BETWEEN.join(values)
    names = [column.name for column in table.columns]
    key = ",".join(values[names.index(name)][1:] for name in table.key) or values[0][1:]
    return f"{key} #{hashlib.blake2b(whole.encode(), digest_size=12).hexdigest()}"


def key_of(row_seen: str) -> str:
    """The key of such a row."""
    return row_seen.rpartition(" #")[0]


def changes(rng: random.Random, nth: int, only_more: bool) -> List[str]:
    """Statements that delete, change and insert rows, in SQL that every engine takes.

    `nth`: how often that was done before. `only_more`: rows are only inserted.
    """
    made: List[str] = []
    for table in TABLES:
        pick = rng.randrange(1000)
        within = f"n BETWEEN {pick} AND {pick + rng.choice([0, 3, 30])}"
        verbs = rng.sample(["delete", "update", "insert"], rng.randint(0, 3))
        for verb in ["insert"] * bool(verbs) if only_more else verbs:
            if verb == "insert":
                made.append(insertion(table, within, nth, rng))
            elif verb == "update":
                made.append(f"UPDATE {table.name} SET n = 999 - n WHERE {within}")
            else:
                gone = f"SELECT id FROM ints WHERE {within}"
                if table.name == "ints":
                    made.append(f"DELETE FROM orders WHERE ints_id IN ({gone})")
                made.append(f"DELETE FROM {table.name} WHERE {within}")
    return made


def insertion(table: Table, within: str, nth: int, rng: random.Random) -> str:
    """Rows like those there, with keys of their own: between the others, or behind them."""
    step = 1000 * (nth + 1) + rng.choice([0, 10**9])
    names = [column.name for column in table.columns]
    wanted = list(names)
    if table.key:
        first = table.key[0]
        is_number = table.column(first).kind == "int"
        wanted[0] = f"{first} + {step}" if is_number else f"concat({first}, '~{step}')"
        # Not those that were inserted so before.
        within += f" AND {first} % 1000000 < 1000" if is_number else f" AND {first} NOT LIKE '%~%'"
    into, what = ", ".join(names), ", ".join(wanted)
    return f"INSERT INTO {table.name} ({into}) SELECT {what} FROM {table.name} WHERE {within}"
