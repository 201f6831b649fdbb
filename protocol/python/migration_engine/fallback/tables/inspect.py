"""What ``inspect`` does where the location is a database."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from ..glob import Selection
from ..job import Job, Outcome
from . import catalog
from .catalog import Column, Table
from .choices import takes
from .place import Place, at_field
from .report import sample

_LIST_BYTES, _LIST_ENTRIES = 16 << 10, 1000


def inspect_tables(job: Job, params: Mapping[str, Any]) -> Outcome:
    """Its tables with their columns, keys and sizes."""
    found = catalog.of(Place(job, params["src"], writes=False))
    selection = Selection(params["include"], params["exclude"])
    tables = [table for table in found.tables if takes(selection, table.name)]
    job.items_total = len(tables)
    for table in tables:
        job.item_ok(table.name.encode("utf-8"))
    others: Dict[str, int] = {}
    for what, _, _ in found.others:
        others[what] = others.get(what, 0) + 1
    data = {
        "kind": "database",
        "engine": "sqlite",
        "version": found.version,
        "tables_total": len(tables),
        "rows_estimate": sum(table.rows_estimate or 0 for table in tables),
        "bytes": 0,
        "others": others,
        "tables": sample(map(_seen, tables), _LIST_ENTRIES, _LIST_BYTES),
    }
    return Outcome(data=data)


def selected(job: Job, params: Mapping[str, Any]) -> List[Table]:
    """The tables that a command's selection takes."""
    selection = Selection(params["include"], params["exclude"])
    with at_field("src"):
        found = catalog.of(Place(job, params["src"], writes=False))
    return [table for table in found.tables if takes(selection, table.name)]


def _seen(table: Table) -> Dict[str, Any]:
    return {
        "table": table.name,
        "columns": [_column(column) for column in table.columns],
        "primary_key": list(table.primary_key) or None,
        "indexes": [index.name for index in table.indexes],
        "foreign_keys": [key.name for key in table.foreign_keys],
        "checks": [name for name, _ in table.checks],
        "rows_estimate": table.rows_estimate,
        "bytes": None,
        "partitioned": False,
        "comment": "",
    }


def _column(column: Column) -> Dict[str, Any]:
    told: Dict[str, Any] = {"name": column.name, "type": column.declared}
    if not column.nullable:
        told["not_null"] = True
    if column.counts:
        told["identity"] = True
    if column.generated is not None:
        told["generated"] = column.generated[0]
    return told
