"""Copies one span by one transaction; refused rows are found by halving."""

from __future__ import annotations

import contextlib
import struct
from typing import Iterator, List, Optional, Sequence, Tuple

from ..faults import Fault
from ..job import Job
from . import ledger, values
from .instant import Instant
from .ledger import LedgerJob
from .place import Place, Session
from .rejects import Rejects
from .span import DIGEST_MASK, Batch, Read, Receipt, Reject, Tally, Write
from .sql import quote, quote_all
from .values import Bound
from .xxh3 import xxh3_128

_SAVEPOINT = "migration_engine"


class _RowRefused(Exception):
    """The target refused one of several rows."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def digest(rows: Sequence[bytes]) -> int:
    """The sum of the digests of rows in their canonical form."""
    return sum(map(xxh3_128, rows)) & DIGEST_MASK


def misfit_digest(misfit: Reject) -> int:
    """The digest of a row that the reader could not carry: of its cells as they were told."""
    cells = (raw for _, raw in misfit.row)
    return xxh3_128(
        b"".join(
            b"\0" if raw is None else b"x" + struct.pack("<Q", len(raw)) + raw for raw in cells
        )
    )


def insert(write: Write) -> str:
    """The statement for a row.

    A table that stands may say for itself what comes of a key that is there, such as ``ON CONFLICT
    IGNORE``: ``OR ABORT`` overrules it.
    """
    names = quote_all(cell.name for cell in write.cells)
    marks = ", ".join("?" * len(write.cells))
    sql = "INSERT OR ABORT INTO %s (%s) VALUES (%s)" % (quote(write.table), names, marks)
    if not write.merges or not write.key:
        return sql
    others = (quote(cell.name) for cell in write.cells if cell.name not in write.key)
    sets = ", ".join("%s = excluded.%s" % (name, name) for name in others)
    what = "DO UPDATE SET " + sets if sets else "DO NOTHING"
    return "%s ON CONFLICT (%s) %s" % (sql, quote_all(write.key), what)


class _Hand:
    """What was written of a span so far."""

    def __init__(self, write: Write) -> None:
        self.write = write
        self.insert = insert(write)
        # One that is there, and that is nothing but its key, is left as it is.
        self.may_leave = self.insert.endswith("DO NOTHING")
        self.tally = Tally()
        self.refused: List[Reject] = []
        self.refused_digest = 0

    def count(self, canonical: Sequence[bytes], digested: int) -> None:
        self.tally = self.tally.plus(Tally(len(canonical), 0, digested))


class SpanCopier:
    """Copies spans; what was written is in the ledger when :meth:`copy` returns."""

    def __init__(
        self,
        job: Job,
        instant: Instant,
        place: Place,
        session: Session,
        rejects: Rejects,
        owner: LedgerJob,
    ) -> None:
        self._job = job
        self._instant = instant
        self._place = place
        self._session = session
        self._rejects = rejects
        self._owner = owner

    def copy(self, read: Read, write: Write, span: Receipt) -> Receipt:
        """Copies a span."""
        try:
            return self._attempt(read, _Hand(write), span, careful=False)
        except _RowRefused:
            self._job.step()
        try:
            return self._attempt(read, _Hand(write), span, careful=True)
        except _RowRefused as refused:
            raise refused.fault from refused

    def _attempt(self, read: Read, hand: _Hand, span: Receipt, careful: bool) -> Receipt:
        with self._place.told("begin a transaction"):
            # Within a transaction it cannot be said any more.
            self._session.run("PRAGMA foreign_keys = " + ("OFF" if hand.write.own else "ON"))
            self._session.run("BEGIN IMMEDIATE")
        try:
            receipt = self._written(read, hand, span, careful)
        except BaseException:
            self._session.give_up()
            raise
        self._commit(receipt)
        return receipt

    def _written(self, read: Read, hand: _Hand, span: Receipt, careful: bool) -> Receipt:
        reader = self._instant.reader(read, span.range)
        count = 0
        for batch in self._timed(reader.batches()):
            self._job.read(batch.bytes)
            self._job.pay_rows(len(batch.bound))
            count += len(batch.bound)
            with self._job.timed("hash_ms"):
                digested = 0 if careful else digest(batch.canonical)
            with self._job.timed("destination_write_ms"):
                if careful:
                    self._carefully(hand, read, batch.canonical, batch.bound)
                else:
                    self._put(hand, batch.bound)
                    hand.count(batch.canonical, digested)
        written = hand.tally._replace(changed=reader.changed)
        if count != written.rows + len(hand.refused):
            message = "%d rows were read, %d written and %d refused"
            raise Fault("ACCOUNTING", message % (count, written.rows, len(hand.refused)))
        rejected = [*hand.refused, *reader.rejected]
        names = dict(zip((cell.name for cell in hand.write.cells), read.cells))
        key = [names[name].name for name in hand.write.key if name in names]
        self._rejects.add(hand.write.table, span.number, key, rejected)
        refused = (hand.refused_digest + sum(map(misfit_digest, reader.rejected))) & DIGEST_MASK
        return span._replace(
            written=written, rejected=len(rejected), refused=refused, planned=False, makes=False
        )

    def _timed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        while True:
            with self._job.timed("source_read_ms"):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def _put(self, hand: _Hand, rows: Sequence[Tuple[Bound, ...]]) -> None:
        import sqlite3

        try:
            taken = self._session.many(hand.insert, rows)
        except sqlite3.Error as error:
            fault = self._place.fault("the database refused a row", error)
            if fault.code in ("ROW_REFUSED", "ROW_TOO_LARGE"):
                raise _RowRefused(fault.at(hand.write.table.encode("utf-8"))) from error
            with self._place.told("write rows", hand.write.table):
                raise
        # A trigger of the table's may have it that nothing is done, and no error told.
        if taken != len(rows) and not hand.may_leave:
            message = "the table took no row, by a rule of its own"
            raise _RowRefused(Fault("ROW_REFUSED", message).at(hand.write.table.encode("utf-8")))

    def _carefully(
        self,
        hand: _Hand,
        read: Read,
        canonical: Sequence[bytes],
        rows: Sequence[Tuple[Bound, ...]],
    ) -> None:
        """Writes what the target takes of these rows, and collects what it does not."""
        refused: Optional[Fault] = None
        with self._place.told("write rows"):
            self._session.run("SAVEPOINT " + _SAVEPOINT)
            try:
                self._put(hand, rows)
            except _RowRefused as one:
                refused = one.fault
                self._session.run("ROLLBACK TO " + _SAVEPOINT)
            self._session.run("RELEASE " + _SAVEPOINT)
        if refused is None:
            hand.count(canonical, digest(canonical))
        elif len(rows) == 1:
            hand.refused_digest += digest(canonical)
            hand.refused.append(_reject(read, rows[0], refused))
        else:
            half = len(rows) // 2
            self._carefully(hand, read, canonical[:half], rows[:half])
            self._carefully(hand, read, canonical[half:], rows[half:])

    def _commit(self, receipt: Receipt) -> None:
        """Commits the rows with their receipt; a lost answer is looked for in the ledger."""
        try:
            with self._job.timed("sync_ms"), self._place.told("commit"):
                ledger.fence(self._session, self._owner)
                ledger.record(self._session, self._owner, receipt)
                self._session.run("COMMIT")
        except BaseException:
            self._session.give_up()
            with contextlib.suppress(Fault), self._place.open() as other:
                if ledger.holds(other, self._owner, receipt):
                    return
            raise


def _reject(read: Read, row: Sequence[Bound], fault: Fault) -> Reject:
    told = [
        (cell.name, values.travelling(cell.kind, value)) for cell, value in zip(read.cells, row)
    ]
    return Reject(told, "", fault)
