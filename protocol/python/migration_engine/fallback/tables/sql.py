"""SQLite's SQL: names, literals, defaults."""

from __future__ import annotations

from typing import Iterable

from ..faults import Fault

NAME_BYTES_MAX = 1 << 16


def quote(name: str) -> str:
    """A name, quoted; ``NAME_REFUSED`` for one that no statement can hold."""
    if not name or "\0" in name or len(name.encode("utf-8")) > NAME_BYTES_MAX:
        message = "the database takes no such name"
        raise Fault("NAME_REFUSED", message, path=name.encode("utf-8"))
    return '"%s"' % name.replace('"', '""')


def quote_all(names: Iterable[str]) -> str:
    """Names, quoted, with commas between."""
    return ", ".join(quote(name) for name in names)


def literal(text: str) -> str:
    """A text as a literal."""
    if "\0" in text:
        # A NUL would end the statement.
        return "(CAST(x'%s' AS TEXT))" % text.encode("utf-8").hex()
    return "'%s'" % text.replace("'", "''")
