"""The registry of job ops, one line each."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Callable, Dict, Mapping, NamedTuple

from ..fields import Field, read_fields
from ..job import Job, Outcome
from . import (
    batch,
    checksum,
    cleanup,
    compress,
    copy,
    decompress,
    inspect,
    monitor,
    plan,
    resume,
    tables,
    verify,
)


class JobOp(NamedTuple):
    """A job op: its fields, what they may not be together, and what does it."""

    fields: Mapping[str, Field]
    check: Callable[[Mapping[str, Any]], None]
    run: Callable[[Job, Mapping[str, Any]], Outcome]

    def read(self, raw: Mapping[str, Any]) -> Dict[str, Any]:
        """The command's own fields, checked one by one and together."""
        params = read_fields(raw, self.fields)
        self.check(params)
        return params


def _op(module: ModuleType) -> JobOp:
    return JobOp(module.FIELDS, getattr(module, "check", _any), module.run)


def _any(params: Mapping[str, Any]) -> None:
    """Most ops take their fields in any combination."""


JOB_OPS: Dict[str, JobOp] = {
    "batch": _op(batch),
    "checksum": _op(checksum),
    "cleanup": _op(cleanup),
    "compress": _op(compress),
    "copy": _op(copy),
    "decompress": _op(decompress),
    "inspect": _op(inspect),
    "monitor": _op(monitor),
    "plan": _op(plan),
    "resume": _op(resume),
    "tables": _op(tables),
    "verify": _op(verify),
}
