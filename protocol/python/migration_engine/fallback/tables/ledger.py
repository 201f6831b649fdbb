"""The ledger: two tables in the target that say which spans of which job are committed.

A span's row is committed by the transaction of its rows, under the number of the attempt. What is
written here is what the binary writes: each goes on with what the other began.
"""

from __future__ import annotations

import json
import struct
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ..faults import Fault
from .blake3 import blake3_hex
from .catalog import LEDGER_JOBS, LEDGER_SPANS
from .place import Session
from .span import WHOLE, Range, Receipt, Tally

_CREATE = (
    'CREATE TABLE IF NOT EXISTS "%s" (job TEXT NOT NULL PRIMARY KEY, epoch BIGINT NOT NULL)'
    % LEDGER_JOBS,
    'CREATE TABLE IF NOT EXISTS "%s" (job TEXT NOT NULL, table_id TEXT NOT NULL, '
    "span BIGINT NOT NULL, about TEXT NOT NULL, PRIMARY KEY (job, table_id, span))" % LEDGER_SPANS,
)
_FIELDS = (
    "schema",
    "table",
    "span",
    "range",
    "rows",
    "changed",
    "rejected",
    "digest",
    "refused",
    "native",
    "planned",
    "makes",
)


class LedgerJob(NamedTuple):
    """A job in the ledger, at its attempt's number."""

    name: str
    epoch: int


def job_name(key: str, src: bytes, dst: bytes) -> str:
    """A keyed job's name in the ledger, the same in every attempt."""
    parts = (key.encode("utf-8"), src, dst)
    return blake3_hex(b"".join(struct.pack("<Q", len(part)) + part for part in parts))


def open_ledger(session: Session, job: str) -> Tuple[LedgerJob, List[Receipt]]:
    """The job at its new number, and what earlier attempts committed."""
    with session.transaction("open the ledger"):
        for statement in _CREATE:
            session.run(statement)
        raised = session.run(
            'UPDATE "%s" SET epoch = epoch + 1 WHERE job = ?' % LEDGER_JOBS, (job,)
        )
        if raised == 0:
            session.run('INSERT INTO "%s" (job, epoch) VALUES (?, 1)' % LEDGER_JOBS, (job,))
        epoch = session.rows('SELECT epoch FROM "%s" WHERE job = ?' % LEDGER_JOBS, (job,))
        sql = 'SELECT about FROM "%s" WHERE job = ? ORDER BY table_id, span' % LEDGER_SPANS
        receipts = [_receipt(row[0]) for row in session.rows(sql, (job,))]
    return LedgerJob(job, int(epoch[0][0])), receipts


def fence(session: Session, job: LedgerJob) -> None:
    """``LEASE_LOST`` where another attempt took over; within a transaction nobody can after it."""
    sql = 'SELECT 1 FROM "%s" WHERE job = ? AND epoch = ?' % LEDGER_JOBS
    if not session.rows(sql, job):
        raise Fault("LEASE_LOST", "another attempt of the job took over")


def note(session: Session, job: LedgerJob, receipts: Sequence[Receipt]) -> None:
    """Records what spans there are, before the first is written."""
    with session.transaction("write the ledger"):
        fence(session, job)
        for receipt in receipts:
            record(session, job, receipt)


def record(session: Session, job: LedgerJob, receipt: Receipt) -> None:
    """Records a span, within a transaction."""
    sql = 'INSERT INTO "%s" (job, table_id, span, about) VALUES (?, ?, ?, ?)' % LEDGER_SPANS
    session.run(sql, (*_named(job, receipt), _about(receipt)))


def holds(session: Session, job: LedgerJob, receipt: Receipt) -> bool:
    """Whether a span is recorded."""
    sql = 'SELECT 1 FROM "%s" WHERE job = ? AND table_id = ? AND span = ?' % LEDGER_SPANS
    return bool(session.rows(sql, _named(job, receipt)))


def forget(
    session: Session, job: LedgerJob, receipts: Sequence[Receipt], statements: Sequence[str]
) -> None:
    """Forgets spans, within one transaction with whatever ``statements`` do."""
    with session.transaction("write the ledger"):
        fence(session, job)
        for receipt in receipts:
            sql = 'DELETE FROM "%s" WHERE job = ? AND table_id = ? AND span = ?' % LEDGER_SPANS
            session.run(sql, _named(job, receipt))
        for statement in statements:
            session.run(statement)


def remove_leftovers(
    session: Session, job: str, made: Mapping[str, str]
) -> Optional[Tuple[int, str]]:
    """Removes the tables that a job made and did not fill, and its rows of the ledger.

    ``made``: by the names of tables, the statements that remove them. Returns the rows that were
    committed into tables that stood before, with one of those: they stay.
    """
    # A writer that still lives commits nothing from here on.
    _, receipts = open_ledger(session, job)
    done = {(receipt.table, receipt.number) for receipt in receipts if not receipt.planned}
    half = {one.table for one in receipts if one.planned and (one.table, one.number) not in done}
    for table, statement in made.items():
        if table in half:
            with session.place.told("remove a table"):
                session.run(statement)
    close_ledger(session, job)
    added = [one for one in receipts if not one.planned and one.table not in made]
    rows = sum(one.written.rows for one in added)
    return (rows, added[0].table) if rows else None


def close_ledger(session: Session, job: str) -> None:
    """Removes the job's rows, and the ledger once it is empty."""
    with session.transaction("close the ledger"):
        for statement in _CREATE:
            session.run(statement)
        session.run('DELETE FROM "%s" WHERE job = ?' % LEDGER_SPANS, (job,))
        session.run('DELETE FROM "%s" WHERE job = ?' % LEDGER_JOBS, (job,))
        if session.rows('SELECT count(*) FROM "%s"' % LEDGER_JOBS)[0][0] == 0:
            session.run('DROP TABLE "%s"' % LEDGER_SPANS)
            session.run('DROP TABLE "%s"' % LEDGER_JOBS)


def _named(job: LedgerJob, receipt: Receipt) -> Tuple[str, str, int]:
    planned = "true" if receipt.planned else "false"
    whole = "\0%s\0%s" % (receipt.table, planned)
    return job.name, blake3_hex(whole.encode("utf-8")), receipt.number


def _about(receipt: Receipt) -> str:
    part = receipt.range
    keys = {"keys": {"column": part.column, "from": part.from_, "to": part.to}}
    values = (
        "",
        receipt.table,
        receipt.number,
        "whole" if part.column is None else keys,
        receipt.written.rows,
        receipt.written.changed,
        receipt.rejected,
        "%032x" % receipt.written.digest,
        "%032x" % receipt.refused,
        False,
        receipt.planned,
        receipt.makes,
    )
    return json.dumps(dict(zip(_FIELDS, values)), ensure_ascii=False, separators=(",", ":"))


def _receipt(text: Any) -> Receipt:
    try:
        about = json.loads(text)
        if sorted(about) != sorted(_FIELDS) or about["schema"]:
            raise ValueError(text)
        written = Tally(int(about["rows"]), int(about["changed"]), int(about["digest"], 16))
        return Receipt(
            str(about["table"]),
            int(about["span"]),
            _range(about["range"]),
            written,
            int(about["rejected"]),
            int(about["refused"], 16),
            bool(about["planned"]),
            bool(about["makes"]),
        )
    except (TypeError, ValueError, KeyError, AttributeError):
        raise Fault(
            "JOURNAL_CORRUPT",
            "the ledger in the target cannot be understood",
            hint="another version wrote it; remove %s and %s to begin anew"
            % (LEDGER_SPANS, LEDGER_JOBS),
        ) from None


def _range(told: Any) -> Range:
    if told == "whole":
        return WHOLE
    keys: Dict[str, Any] = told["keys"]
    return Range(str(keys["column"]), keys["from"], keys["to"])
