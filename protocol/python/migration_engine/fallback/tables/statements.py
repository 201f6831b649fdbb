"""The statements that make a table and what hangs on it."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Tuple

from .catalog import Column, Default, ForeignKey, Index, Table
from .kinds import Kind, declared_as
from .sql import literal, quote, quote_all


class Named(NamedTuple):
    """A statement that makes a thing of a name: on resume, what is there is not made again."""

    name: str
    sql: str


class Statements(NamedTuple):
    """What is run for a table, in this order."""

    create: str
    indexes: Tuple[Named, ...]
    checks_keys: bool
    """Whether rows are looked for that point nowhere, after all indexes of all tables."""
    finish: Tuple[str, ...]
    drop: str
    clear: str
    left: Tuple[str, ...]
    """What could not be said, with why."""

    def foreign_key_check(self, table: str) -> str:
        """The statement whose answers are rows that point nowhere."""
        return "PRAGMA foreign_key_check(%s)" % quote(table)


def make(table: Table) -> Statements:
    """The statements for a table whose columns' kinds are what travels."""
    left: List[str] = []
    table, counted = _prepared(table, left)
    create = _create_table(table)
    indexes = []
    for index in table.indexes:
        sql = _create_index(table, index)
        if sql is None:
            condition = "it has a condition: %s" % index.predicate
            why = condition if index.predicate else "it is of an expression"
            left.append("the index %s is not carried: %s" % (index.name, why))
        else:
            indexes.append(Named(index.name, sql))
    name = quote(table.name)
    finish = _sequence(table.name, counted.next) if counted and counted.next is not None else []
    finish.append("ANALYZE %s" % name)
    return Statements(
        create,
        tuple(indexes),
        bool(table.foreign_keys),
        tuple(finish),
        "DROP TABLE IF EXISTS %s" % name,
        "DELETE FROM %s" % name,
        tuple(left),
    )


def _sequence(table: str, following: int) -> List[str]:
    text, last = literal(table), following - 1
    return [
        "INSERT INTO sqlite_sequence (name, seq) SELECT %s, 0 "
        "WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = %s)" % (text, text),
        "UPDATE sqlite_sequence SET seq = %d WHERE name = %s AND seq < %d" % (last, text, last),
    ]


def _prepared(table: Table, left: List[str]) -> Tuple[Table, Optional[Column]]:
    """The table with its counted column, the one of a key that is one integer."""
    columns = list(table.columns)
    counted: Optional[Column] = None
    for at, column in enumerate(columns):
        if not column.counts:
            continue
        of_key = table.primary_key == (column.name,) and column.kind.word in ("int", "uint")
        if of_key and counted is None:
            counted = columns[at] = column._replace(kind=Kind("int", 64))
        else:
            columns[at] = column._replace(counts=False)
            text = "identity of %s: only a key of one integer is counted up"
            left.append(text % column.name)
    key = () if counted else table.primary_key
    return table._replace(columns=tuple(columns), primary_key=key), counted


def _create_table(table: Table) -> str:
    lines = [_column_line(column) for column in table.columns]
    if table.primary_key:
        lines.append("PRIMARY KEY (%s)" % quote_all(table.primary_key))
    lines.extend(_foreign_key(key) for key in table.foreign_keys)
    lines.extend("CONSTRAINT %s CHECK (%s)" % (quote(name), text) for name, text in table.checks)
    return "CREATE TABLE %s (\n  %s\n)" % (quote(table.name), ",\n  ".join(lines))


def _column_line(column: Column) -> str:
    line = "%s %s" % (quote(column.name), declared_as(column.kind))
    if not column.nullable:
        line += " NOT NULL"
    if column.counts:
        return line + " PRIMARY KEY AUTOINCREMENT"
    if column.generated is not None:
        expression, stored = column.generated
        return "%s GENERATED ALWAYS AS (%s) %s" % (
            line,
            expression,
            "STORED" if stored else "VIRTUAL",
        )
    return line if column.default is None else "%s DEFAULT %s" % (line, _default(column))


def _default(column: Column) -> str:
    default = column.default or Default("expression", "NULL")
    if default.sort == "text":
        return literal(default.text)
    if default.sort == "number":
        # As a number a decimal would lose what its text keeps.
        return literal(default.text) if column.kind.word == "decimal" else default.text
    words = {"true": "1", "false": "0", "now": "CURRENT_TIMESTAMP", "today": "CURRENT_DATE"}
    return words.get(default.sort) or "(%s)" % default.text


def _create_index(table: Table, index: Index) -> Optional[str]:
    """An index; one of odd parts by its own statement, ``None`` where that is not at hand."""
    odd = not index.columns or any(not column.name for column in index.columns)
    if index.predicate or odd:
        return index.definition or None
    parts = (
        quote(column.name) + (" DESC" if column.descending else "") for column in index.columns
    )
    return "CREATE %sINDEX %s ON %s (%s)" % (
        "UNIQUE " if index.unique else "",
        quote(index.name),
        quote(table.name),
        ", ".join(parts),
    )


def _foreign_key(key: ForeignKey) -> str:
    there = " (%s)" % quote_all(key.to_columns) if key.to_columns else ""
    return "CONSTRAINT %s FOREIGN KEY (%s) REFERENCES %s%s ON UPDATE %s ON DELETE %s" % (
        quote(key.name),
        quote_all(key.columns),
        quote(key.to),
        there,
        key.on_update,
        key.on_delete,
    )
