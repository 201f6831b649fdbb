"""One instant of a database, and what is read of it."""

from __future__ import annotations

from typing import Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ..faults import Fault
from . import catalog, values
from .catalog import Table
from .cells import Cell, Question
from .place import Place, Session
from .span import WHOLE, Batch, Range, Read, Reject, condition, end_text
from .sql import quote, quote_all
from .values import NULL, Taken, Value

_SAMPLES = 10
_BATCH_BYTES = 1 << 20
_LENGTH_LEAST = 1 << 20


class Finding(NamedTuple):
    """An answer of the census."""

    question: Question
    rows: int
    samples: Tuple[str, ...]


class Instant:
    """A read transaction: it sees what was committed when it began."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._session = place.open()
        try:
            with place.told("begin the snapshot"):
                self._session.run("BEGIN")
                # Reading anything begins the transaction in the file.
                self._session.rows("SELECT 1 FROM sqlite_schema LIMIT 1")
        except BaseException:
            self._session.close()
            raise

    def close(self) -> None:
        """Ends the instant."""
        self._session.close()

    def __enter__(self) -> "Instant":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self, table: str, filter_: str) -> None:
        """Makes sure that a filter is one expression, which closes no brackets around it."""
        sql = "SELECT CASE WHEN %s\n THEN 1 END FROM %s LIMIT 0" % (filter_, quote(table))
        with self._place.told("read the filter", table):
            self._session.rows(sql)

    def order(self, table: str) -> Tuple[str, ...]:
        """The columns by which the table's own tree is ordered.

        A key that is the rowid, the primary key of a table without rowids, or the rowid; none where
        the table's columns hide it.
        """
        sql = "SELECT name, pk, type FROM pragma_table_xinfo(?) ORDER BY pk"
        columns = self._session.rows(sql, (table,))
        keys = tuple(str(name) for name, place, _ in columns if place > 0)
        if catalog.without_rowid(self._session, table):
            return keys
        declared = next((str(type_) for _, place, type_ in columns if place == 1), "")
        if catalog.is_rowid(self._session, table, keys, declared):
            return keys
        names = {str(name).lower() for name, *_ in columns}
        free = (name for name in ("rowid", "_rowid_", "oid") if name not in names)
        return tuple(free)[:1]

    def split(self, table: str, filter_: str, rows: int) -> List[Range]:
        """Cuts a table: about every ``rows``-th key of its tree begins a range."""
        with self._place.told("cut the table into ranges"):
            order = self.order(table)
            if not order:
                return [WHOLE]
            name = quote(order[0])
            where, _ = condition(WHOLE, filter_)
            sql = "SELECT %s FROM %s%s ORDER BY %s" % (name, quote(table), where, name)
            ends = self._ends(sql, rows)
        edges = [None, *ends, None]
        if not ends:
            return [WHOLE]
        return [Range(order[0], edges[at], edges[at + 1]) for at in range(len(ends) + 1)]

    def _ends(self, sql: str, rows: int) -> List[str]:
        ends: List[str] = []
        since = 0
        for (value,) in self._session.each(sql):
            # Rows that share the first column of a key stay together.
            if since >= rows:
                end = end_text(value)
                if end is not None and (not ends or ends[-1] != end):
                    ends.append(end)
                    since = 0
            since += 1
        return ends

    def count(self, table: str) -> int:
        """Rows in a table."""
        with self._place.told("count rows"):
            return int(self._session.rows("SELECT count(*) FROM %s" % quote(table))[0][0])

    def census(self, table: Table, filter_: str, asked: Sequence[Question]) -> List[Finding]:
        """Counts the values that the target cannot hold; samples in the order of the tree."""
        key = table.primary_key or self.order(table.name)
        columns = [question.column for question in asked]
        where, _ = condition(WHOLE, filter_)
        names = quote_all([*columns, *key])
        takes = [values.taker(question.kind) for question in asked]
        counts = [0] * len(asked)
        samples: List[List[str]] = [[] for _ in asked]
        with self._place.told("take the census"):
            sql = "SELECT %s FROM %s%s" % (names, quote(table.name), where)
            for row in self._session.each(sql):
                for at, question in enumerate(asked):
                    if row[at] is None or not _is_lost(question, row[at], takes[at]):
                        continue
                    counts[at] += 1
                    if len(samples[at]) < _SAMPLES:
                        samples[at].append(",".join(_key_text(one) for one in row[len(asked) :]))
        return [
            Finding(question, rows, tuple(found))
            for question, rows, found in zip(asked, counts, samples)
        ]

    def reader(self, read: Read, part: Range) -> "Reader":
        """Reads a part of a table."""
        return Reader(self, self._place, self._session, read, part)


def _is_lost(question: Question, value: Value, take: values.Take) -> bool:
    if question.loss == "not_declared":
        return not values.is_declared(question.kind, value, take)
    low, high = question.bounds
    if question.loss == "integer_outside":
        return isinstance(value, int) and not low <= value <= high
    if question.loss == "decimal_outside":
        text = values.plain_digits(value)
        return text is not None and values.is_wider(text, low, high)
    if isinstance(value, bytes):
        return len(value) > high
    text = values.as_text(value)
    return text is not None and len(text) > high


def _key_text(value: Value) -> str:
    text = values.shown(value)
    return "NULL" if text is None else text.decode("utf-8", "replace")


def _taker(cell: Cell) -> values.Take:
    take, mask = values.taker(cell.kind), cell.mask
    if mask is None:
        return take

    def hidden(value: Value) -> Optional[Taken]:
        taken = take(value)
        return None if taken is None else take(mask.of(str(taken.bound)))

    return hidden


def _otherwise(cell: Cell, value: Value) -> Optional[Taken]:
    if cell.misfit == "null":
        return NULL
    return values.nearest(cell.kind, value) if cell.misfit == "clamp" else None


class Reader:
    """Rows of a part of a table, in batches."""

    def __init__(
        self, instant: Instant, place: Place, session: Session, read: Read, part: Range
    ) -> None:
        self._place = place
        self._read = read
        self.changed = 0
        self.rejected: List[Reject] = []
        self._takes = [_taker(cell) for cell in read.cells]
        self._width = len(read.cells)
        with place.told("read rows", read.table):
            order = instant.order(read.table)
            # The key stands behind the cells, for whoever must be told which row it was.
            names = quote_all([*(cell.name for cell in read.cells), *order]) or "NULL"
            where, ends = condition(part, read.filter)
            session.bound_length(max(read.row_bytes_max, _LENGTH_LEAST))
            sql = "SELECT %s FROM %s%s" % (names, quote(read.table), where)
            self._rows = session.each(sql, ends)

    def batches(self) -> Iterator[Batch]:
        """The rows; a row is never cut."""
        batch = Batch()
        while True:
            with self._place.told("read rows", self._read.table):
                row = self._rows.fetchone()
            if row is None:
                break
            size = self._size(row)
            if batch.bound and batch.bytes + size > _BATCH_BYTES:
                yield batch
                batch = Batch()
            taken = self._row(row)
            if taken is not None:
                batch.canonical.append(b"".join([one.canonical for one in taken]))
                batch.bound.append(tuple([one.bound for one in taken]))
                batch.bytes += size
            if len(batch.bound) >= self._read.batch_rows:
                yield batch
                batch = Batch()
        if batch.bound:
            yield batch

    def _size(self, row: Sequence[Value]) -> int:
        size = 8 * self._width
        for value in row[: self._width]:
            if isinstance(value, (str, bytes, values.NotText)):
                size += len(values.shown(value) or b"")
        if size > self._read.row_bytes_max:
            message = "the row %s is %d bytes long" % (self._key(row), size)
            raise self._at(Fault("ROW_TOO_LARGE", message))
        return size

    def _at(self, fault: Fault) -> Fault:
        return fault.at(self._read.table.encode("utf-8"))

    def _row(self, row: Sequence[Value]) -> Optional[List[Taken]]:
        """The values of a row; ``None`` where it is rejected."""
        taken: List[Taken] = []
        changed = 0
        failed: Optional[int] = None
        for at, cell in enumerate(self._read.cells):
            value = row[at]
            one = NULL if value is None else self._takes[at](value)
            if one is None and cell.misfit == "reject":
                self.rejected.append(self._reject(row, at))
                return None
            if one is None:
                changed += 1
                one = _otherwise(cell, value)
            if one is not None:
                taken.append(one)
            elif failed is None:
                failed = at
        if failed is not None:
            raise self._refused(row, failed)
        self.changed += changed
        return taken

    def _reject(self, row: Sequence[Value], at: int) -> Reject:
        cells = self._read.cells
        told = [(cell.name, values.shown(value)) for cell, value in zip(cells, row)]
        return Reject(told, cells[at].name, self._refused(row, at))

    def _refused(self, row: Sequence[Value], at: int) -> Fault:
        cell = self._read.cells[at]
        message = "%s holds %s in the row %s: no %s" % (
            cell.name,
            values.class_of(row[at]),
            self._key(row),
            cell.kind.shown,
        )
        return self._at(Fault("VALUE_REFUSED", message))

    def _key(self, row: Sequence[Value]) -> str:
        """The key of a row, for people."""
        parts = [_key_text(value)[:100] for value in row[self._width :]]
        return ",".join(parts) or "(no key)"
