"""Everything in a database: tables, columns, keys, and what hangs on them."""

from __future__ import annotations

import re
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

from ..faults import Fault
from . import ddl
from .kinds import ANY, Kind, kind_of
from .place import Place, Session
from .sql import quote
from .values import NotText

LEDGER_JOBS, LEDGER_SPANS = "mig_ledger_jobs", "mig_ledger_spans"
_NUMBER = re.compile(r"[-+]*(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")


class Default(NamedTuple):
    """What a column is where a row does not say: what sort of words, and the words."""

    sort: str
    text: str = ""


class Column(NamedTuple):
    """A column."""

    name: str
    kind: Kind
    declared: str
    nullable: bool
    default: Optional[Default]
    generated: Optional[Tuple[str, bool]]
    """The expression it is made of, and whether it is stored."""
    counts: bool = False
    """Whether the engine counts it up by itself."""
    next: Optional[int] = None
    """The number that comes next then."""


class IndexColumn(NamedTuple):
    """A column of an index; an expression has no name."""

    name: str
    descending: bool


class Index(NamedTuple):
    """An index."""

    name: str
    columns: Tuple[IndexColumn, ...]
    unique: bool
    predicate: str
    definition: str


class ForeignKey(NamedTuple):
    """A foreign key."""

    name: str
    columns: Tuple[str, ...]
    to: str
    to_columns: Tuple[str, ...]
    on_update: str
    on_delete: str


class Table(NamedTuple):
    """A table."""

    name: str
    columns: Tuple[Column, ...]
    primary_key: Tuple[str, ...]
    indexes: Tuple[Index, ...]
    foreign_keys: Tuple[ForeignKey, ...]
    checks: Tuple[Tuple[str, str], ...]
    rows_estimate: Optional[int]

    def column(self, name: str) -> Optional[Column]:
        """The column of this name."""
        return next((column for column in self.columns if column.name == name), None)


class Catalog(NamedTuple):
    """Everything that was found."""

    version: str
    tables: Tuple[Table, ...]
    others: Tuple[Tuple[str, str, str], ...]
    """What is not a table: what it is, its name, and its words."""

    def table(self, name: str) -> Optional[Table]:
        """The table of this name."""
        return next((table for table in self.tables if table.name == name), None)

    def spelled(self, name: str) -> str:
        """A name, as it is spelled by the table that the library finds by it."""
        folded = fold(name)
        found = [table.name for table in self.tables if fold(table.name) == folded]
        return name if name in found or not found else found[0]


def fold(name: str) -> str:
    """A name as the library compares it: letters of ASCII without their case."""
    return "".join(char.lower() if char.isascii() else char for char in name)


def of(place: Place) -> Catalog:
    """What is in a file."""
    with place.open() as session:
        return read(session)


def read(session: Session) -> Catalog:
    """Reads it; the ledger's own tables are left out."""
    import sqlite3

    with session.place.told("read the catalogue"):
        sql = (
            "SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND type = 'table' "
            "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
        )
        names = [(_text(name), bool(strict)) for name, strict in session.rows(sql)]
        ours = (LEDGER_JOBS, LEDGER_SPANS)
        tables = [_table(session, name, strict) for name, strict in names if name not in ours]
        return Catalog("SQLite " + sqlite3.sqlite_version, tuple(tables), _others(session))


def _text(value: Any) -> str:
    """A name: one that is not UTF-8 is no name that could be written."""
    if isinstance(value, NotText):
        raise Fault("DATABASE_REFUSED", "a name in the catalogue is not UTF-8")
    return "" if value is None else str(value)


def _others(session: Session) -> Tuple[Tuple[str, str, str], ...]:
    sql = (
        "SELECT type, name, sql FROM sqlite_schema WHERE type IN ('view', 'trigger') "
        "OR (type = 'table' AND sql LIKE 'CREATE VIRTUAL%') ORDER BY name"
    )
    found = []
    for what, name, words in session.rows(sql):
        kind = "virtual table" if _text(what) == "table" else _text(what)
        found.append((kind, _text(name), _text(words)))
    sql = "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND sql LIKE '%collate%'"
    for name, words in session.rows(sql):
        for collation in ddl.collations(_text(words)):
            found.append(("collation", _text(name), "COLLATE %s" % collation))
    return tuple(found)


class _Found(NamedTuple):
    key: int
    column: Column


def _table(session: Session, name: str, strict: bool) -> Table:
    sql = "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?"
    statement = [_text(row[0]) for row in session.rows(sql, (name,))]
    parts = ddl.parts(statement[-1] if statement else "")
    found = _columns(session, name, strict, parts)
    keys = sorted((one for one in found if one.key > 0), key=lambda one: one.key)
    key = tuple(one.column.name for one in keys)
    columns = [one.column for one in found]
    alias = bool(keys) and is_rowid(session, name, key, keys[0].column.declared)
    for at, column in enumerate(columns):
        if alias and column.name == key[0]:
            following = _next(session, name, column.name)
            columns[at] = column._replace(nullable=False, counts=True, next=following)
    checks = (
        (own or "%s_check%d" % (name, at), expression)
        for at, (own, expression) in enumerate(parts.checks, 1)
    )
    return Table(
        name,
        tuple(columns),
        key,
        _indexes(session, name),
        _foreign_keys(session, name),
        tuple(checks),
        _estimate(session, name),
    )


def _columns(session: Session, table: str, strict: bool, parts: ddl.Parts) -> List[_Found]:
    sql = (
        'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?) '
        "ORDER BY cid"
    )
    made = {name.lower(): words for name, words in reversed(parts.generated)}
    found = []
    for row in session.rows(sql, (table,)):
        name, declared, hidden = _text(row[0]), _text(row[1]), row[5]
        kind = ANY if strict and declared.upper() == "ANY" else kind_of(declared)
        generated = (made.get(name.lower(), ""), hidden == 3) if hidden > 1 else None
        default = None if row[3] is None else _default(_text(row[3]))
        column = Column(name, kind, declared, not row[2], default, generated)
        found.append(_Found(row[4], column))
    return found


def _default(text: str) -> Optional[Default]:
    """What a default's words say."""
    if len(text) > 1 and text.startswith("'") and text.endswith("'"):
        inner = text[1:-1]
        if "'" not in inner.replace("''", ""):
            return Default("text", inner.replace("''", "'"))
    word = text.upper()
    if word == "NULL":
        return None
    plain = {"TRUE": "true", "FALSE": "false", "CURRENT_TIMESTAMP": "now", "CURRENT_DATE": "today"}
    if word in plain:
        return Default(plain[word])
    sort = "number" if _is_number(text) else "expression"
    return Default(sort, text)


def _is_number(text: str) -> bool:
    signs = len(text) - len(text.lstrip("+-"))
    return signs < 2 and _NUMBER.fullmatch(text) is not None


def is_rowid(session: Session, table: str, key: Sequence[str], declared: str) -> bool:
    """Whether the key is the rowid itself.

    That is one column declared ``INTEGER``, of a table that has rowids, and no index made for it.
    """
    if len(key) != 1 or declared.upper() != "INTEGER":
        return False
    sql = "SELECT 1 FROM pragma_index_list(?) WHERE origin = 'pk'"
    return not session.rows(sql, (table,)) and not without_rowid(session, table)


def without_rowid(session: Session, table: str) -> bool:
    """Whether a table has no rowids."""
    sql = "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ? COLLATE NOCASE"
    rows = session.rows(sql, (table,))
    return bool(rows and rows[-1][0])


def _has(session: Session, name: str) -> bool:
    return bool(session.rows("SELECT 1 FROM sqlite_schema WHERE name = ?", (name,)))


def _next(session: Session, table: str, column: str) -> Optional[int]:
    """Behind the greatest there ever was, as far as the table remembers it."""
    most = session.rows("SELECT max(%s) FROM %s" % (quote(column), quote(table)))[0][0]
    known = [] if most is None else [int(most)]
    if _has(session, "sqlite_sequence"):
        rows = session.rows("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,))
        known.extend(int(row[0]) for row in rows[-1:])
    return max(known) + 1 if known else None


def _indexes(session: Session, table: str) -> Tuple[Index, ...]:
    sql = (
        'SELECT l.name, l."unique", l.origin, l.partial, s.sql FROM pragma_index_list(?) l '
        "LEFT JOIN sqlite_schema s ON s.type = 'index' AND s.name = l.name "
        "WHERE l.origin <> 'pk' ORDER BY l.seq DESC"
    )
    made = []
    for name, unique, origin, partial, words in session.rows(sql, (table,)):
        columns = _index_columns(session, _text(name))
        definition = _text(words)
        # The library's own names of constraints cannot be given by anybody else.
        named = "%s_%s_key" % (table, "_".join(column.name for column in columns))
        shown = named if origin == "u" else _text(name)
        condition = ddl.predicate(definition) if partial else ""
        made.append(Index(shown, columns, bool(unique), condition, definition))
    return tuple(made)


def _index_columns(session: Session, index: str) -> Tuple[IndexColumn, ...]:
    sql = 'SELECT cid, name, "desc" FROM pragma_index_xinfo(?) WHERE key = 1 ORDER BY seqno'
    return tuple(
        # The words of an expression are in the index's own statement.
        IndexColumn("" if number < 0 else _text(name), bool(down))
        for number, name, down in session.rows(sql, (index,))
    )


def _foreign_keys(session: Session, table: str) -> Tuple[ForeignKey, ...]:
    sql = (
        'SELECT id, "table", "from", "to", on_update, on_delete '
        "FROM pragma_foreign_key_list(?) ORDER BY id DESC, seq"
    )
    keys: List[ForeignKey] = []
    last = None
    for number, to, own, there, update, delete in session.rows(sql, (table,)):
        if number != last:
            last, name = number, "%s_fkey%d" % (table, len(keys) + 1)
            keys.append(ForeignKey(name, (), _text(to), (), _action(update), _action(delete)))
        # Without names it is the primary key there.
        there_columns = keys[-1].to_columns + ((_text(there),) if there else ())
        columns = (*keys[-1].columns, _text(own))
        keys[-1] = keys[-1]._replace(columns=columns, to_columns=there_columns)
    return tuple(keys)


def _action(word: Any) -> str:
    known = ("CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT")
    return str(word) if word in known else "NO ACTION"


def _estimate(session: Session, table: str) -> Optional[int]:
    """What ``ANALYZE`` counted, or the width of the rowids."""
    import sqlite3

    if _has(session, "sqlite_stat1"):
        for row in session.rows("SELECT stat FROM sqlite_stat1 WHERE tbl = ?", (table,)):
            first = _text(row[0]).split(" ")[0]
            if first.isascii() and first.isdigit():
                return int(first)
    if without_rowid(session, table):
        return None
    name = quote(table)
    sql = "SELECT (SELECT max(rowid) FROM %s) - (SELECT min(rowid) FROM %s) + 1" % (name, name)
    try:
        width = session.rows(sql)[0][0]
    except sqlite3.OperationalError:
        # A table whose columns hide the rowid has no estimate.
        return None
    if width is None:
        return 0
    return max(0, width) if isinstance(width, int) else None
