"""What ``tables`` says: its plan before, its certificate after."""

from __future__ import annotations

import json
from typing import Any, Dict, Iterable, Iterator, List, Sequence, Tuple

from .blake3 import blake3_hex
from .catalog import Catalog
from .census import Loss
from .copy import Copied
from .mapping import TablePlan
from .span import ALGORITHM, DIGEST_MASK

_LIST_BYTES, _LIST_ENTRIES = 8 << 10, 1000
_SAMPLES = 5
_ABOUT_CHARS = 60
"""Characters shown of the words of what is not carried."""


def sample(entries: Iterable[Any], most: int, left: int) -> List[Any]:
    """As many entries as fit into so many, and so many bytes."""
    kept: List[Any] = []
    for entry in entries:
        text = json.dumps(entry, ensure_ascii=False, separators=(",", ":"))
        left -= len(text.encode("utf-8"))
        if left < 0 or len(kept) >= most:
            break
        kept.append(entry)
    return kept


def _listed(entries: Iterable[Any], left: int = _LIST_BYTES) -> List[Any]:
    return sample(entries, _LIST_ENTRIES, left)


def certificate(
    sides: Tuple[Catalog, Catalog], mode: str, plans: Sequence[TablePlan], losses: Sequence[Loss]
) -> Dict[str, Any]:
    """What is certified of a copy, but its outcome."""
    here, there = sides
    return {
        "plan": plan_digest(plans),
        "mode": mode,
        "source": {"engine": "sqlite", "version": here.version},
        "target": {"engine": "sqlite", "version": there.version},
        # Nothing tells one instant of a file from another.
        "snapshot": "",
        "tables_total": len(plans),
        "losses": _losses(losses),
        "not_carried": _not_carried(here),
        "notes": _notes(plans, here),
    }


def outcome(
    plans: Sequence[TablePlan], copied: Sequence[Copied], proofs: Sequence[str]
) -> Dict[str, Any]:
    """What became of the tables."""
    tables = (
        {
            "table": plan.source.name,
            "target": plan.target.name,
            "rows": count.tally.rows,
            "rejected": count.rejected,
            "changed": count.tally.changed,
            "digest": "%032x" % (count.tally.digest & DIGEST_MASK),
            "algorithm": ALGORITHM,
            "spans": count.spans,
            "spans_kept": count.kept,
            "spans_redone": count.redone,
            "proof": proof,
        }
        for plan, count, proof in zip(plans, copied, proofs)
    )
    return {
        "rows": sum(count.tally.rows for count in copied),
        "rejected": sum(count.rejected for count in copied),
        "tables": _listed(tables),
    }


def plan(
    here: Catalog, plans: Sequence[TablePlan], losses: Sequence[Loss], mode: str
) -> Dict[str, Any]:
    """The plan of a copy."""
    return {
        "op": "tables",
        "method": "arrays" if plans else "native",
        "why": "rows travel in the engine's own form where both sides have the same types",
        "mode": mode,
        "digest": plan_digest(plans),
        "items": len(plans),
        "rows_estimate": sum(one.source.rows_estimate or 0 for one in plans),
        "bytes": 0,
        "tables": _listed(map(_table, plans)),
        "statements": _listed(_statements(plans, mode)),
        "losses": _losses(losses),
        "not_carried": _not_carried(here),
        "notes": _notes(plans, here),
    }


def _statements(plans: Sequence[TablePlan], mode: str) -> Iterator[str]:
    for one in plans:
        made = one.statements
        if one.stands and mode == "replace":
            yield made.drop
        if one.stands and mode in ("append", "merge"):
            continue
        yield made.create
        for index in made.indexes:
            yield index.sql
        if made.checks_keys:
            yield made.foreign_key_check(one.target.name)


def plan_digest(plans: Sequence[TablePlan]) -> str:
    """A digest over everything that is planned: equal plans do the same."""
    decided = [[one.read, one.write, one.statements, one.filter] for one in plans]
    return blake3_hex(json.dumps(decided).encode("ascii"))


def _table(plan: TablePlan) -> Dict[str, Any]:
    columns = []
    for read, write in zip(plan.read, plan.write):
        own, made = plan.source.column(read.name), plan.target.column(write.name)
        columns.append(
            [
                write.name,
                own.declared if own else "",
                write.kind.shown,
                made.declared if made else "",
            ]
        )
    return {
        "table": plan.source.name,
        "target": plan.target.name,
        "stands": plan.stands,
        "rows_estimate": plan.source.rows_estimate,
        "way": "arrays",
        "columns": columns,
        "renamed": [list(pair) for pair in plan.renamed],
    }


def _losses(losses: Sequence[Loss]) -> List[Any]:
    return _listed(
        {
            "table": loss.table,
            "column": loss.finding.question.column,
            "class": loss.finding.question.loss,
            "rows": loss.finding.rows,
            "keys": list(loss.finding.samples[:_SAMPLES]),
            "policy": loss.policy,
        }
        for loss in losses
    )


def _not_carried(here: Catalog) -> Dict[str, int]:
    counts: Dict[str, int] = {}
    for what, _, _ in here.others:
        counts[what] = counts.get(what, 0) + 1
    return counts


def _notes(plans: Sequence[TablePlan], here: Catalog) -> List[Any]:
    def each() -> Iterator[Dict[str, str]]:
        for plan in plans:
            for column, text in plan.notes:
                note = {"table": plan.source.name, "note": text}
                yield dict(note, column=column) if column else note
        for what, name, words in here.others:
            about = " ".join(words[:_ABOUT_CHARS].split())
            article = "an" if what[0] in "aeio" else "a"
            told = "%s %s is not carried%s%s" % (article, what, ": " if about else "", about)
            yield {"table": name, "note": told}

    return _listed(each(), _LIST_BYTES // 2)
