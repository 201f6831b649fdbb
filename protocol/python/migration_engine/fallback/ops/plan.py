"""``plan``: what a command would do, without touching anything."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Tuple

from .. import fields as f
from ..coding import ARCHIVES
from ..faults import Fault
from ..fields import Field
from ..forecast import CopyPlan, Tally
from ..glob import Selection
from ..job import Job, Outcome
from ..local import kind_of
from ..location import Location, Where, is_database
from ..origin import open_origin
from ..timetable import LIMITS
from . import tables

_PLANNED = ("copy", "checksum", "verify", "inspect", "compress", "decompress", "tables")


def _command(value: Any, field: str) -> Tuple[str, Dict[str, Any]]:
    if not isinstance(value, dict):
        raise f.invalid(field, "a command")
    from . import JOB_OPS

    op = value.get("op")
    if not isinstance(op, str):
        raise Fault("MISSING_FIELD", "the command has no op", field=field + ".op")
    if op not in _PLANNED:
        hint = f.suggestion(op, _PLANNED)
        raise Fault("UNSUPPORTED", "there is no plan for it", field=field + ".op", hint=hint)
    rest = {name: item for name, item in value.items() if name not in ("op", "id", "labels")}
    return op, f.within(field, JOB_OPS[op].read, rest)


WHY = {
    "archive": "a tree and one file, in the order of its members",
    "direct": "one stream",
}

FIELDS: Dict[str, Field] = {"command": Field(_command, required=True), "limits": LIMITS}


def run(job: Job, params: Mapping[str, Any]) -> Outcome:
    """Answers with the decisions."""
    op, command = params["command"]
    if op == "copy":
        return Outcome(data=plan_copy(job, command))
    if op == "tables":
        return Outcome(data=tables.plan(job, command))
    if op in ("verify", "inspect") and is_database(command["src"]):
        return Outcome(data=_plan_databases(job, op, command))
    return Outcome(data=_plan_reading(job, op, command))


def _plan_databases(job: Job, op: str, command: Mapping[str, Any]) -> Dict[str, Any]:
    if op == "inspect":
        why = "reads the catalogue, and no row"
        return {"op": op, "method": "catalogue", "why": why}
    from ..tables.inspect import selected

    found, why = selected(job, command), "reads both databases, writes nothing"
    rows = sum(table.rows_estimate or 0 for table in found)
    planned = {"op": op, "method": "compare", "why": why}
    return dict(planned, items=len(found), rows_estimate=rows)


def _plan_reading(job: Job, op: str, command: Mapping[str, Any]) -> Dict[str, Any]:
    src = command["src"]
    selection = Selection(command.get("include", ()), command.get("exclude", ()))
    tally = Tally()
    for source in src if isinstance(src, list) else [src]:
        _survey(job, source, selection, tally)
    data = tally.data(op)
    del data["digest"]
    data["method"] = _reading_method(op, command)
    data["why"] = WHY.get(data["method"], "each file is read once, from its beginning to its end")
    return data


def _reading_method(op: str, command: Mapping[str, Any]) -> str:
    from . import compress, decompress
    from .copy import source_status

    if op == "decompress":
        return "archive" if decompress.form_for(command) in ARCHIVES else "direct"
    if op == "compress":
        status = source_status({"src": command["src"], "symlinks": "follow"})
        form = compress.form_for(command, kind_of(status.st_mode))
        return "archive" if form in ARCHIVES else "direct"
    return "stream"


def _survey(job: Job, source: Where, selection: Selection, tally: Tally) -> None:
    origin = open_origin(job, source)
    try:
        kind = kind_of(origin.status.st_mode)
        if kind != "directory":
            tally.item(origin.shown, kind, origin.status, "read")
            return
        with origin.tree() as tree:
            for entry in tree.walk(selection, follow=False):
                job.step()
                if entry.what == "enter":
                    tally.directories += 1
                elif entry.what == "item":
                    tally.item(entry.path, entry.kind, entry.st, "read")
    finally:
        origin.close()


def plan_copy(job: Job, params: Mapping[str, Any]) -> Dict[str, Any]:
    """The decisions of a copy, in its own order and by its own rules."""
    from .copy import refuse_overlap, target_of

    origin = open_origin(job, params["src"], params["symlinks"], looks=True)
    try:
        dst = target_of(params["dst"], origin.name)
        if isinstance(dst, Location):
            from ..objects.forecast import ObjectPlan

            return ObjectPlan(job, params, origin, dst).make()
        if origin.local is not None:
            refuse_overlap(origin.local, dst, origin.status)
        return CopyPlan(job, params, origin, dst).make()
    finally:
        origin.close()
