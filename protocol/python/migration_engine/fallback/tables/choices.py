"""What a command chooses about tables."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from .. import fields as f
from ..faults import Fault
from ..fields import Field
from ..glob import Selection
from .blake3 import blake3_hex

MODES = ("create", "append", "replace", "merge")
POLICIES = ("fail", "null", "clamp", "reject", "text")
"""Policies; of two for one column the later one here counts, but ``text``, which is no reader's."""
LOSSES = (
    "date_outside",
    "decimal_outside",
    "impossible_date",
    "infinite_date",
    "integer_outside",
    "longer",
    "not_boolean",
    "not_cast",
    "not_declared",
    "not_finite",
    "not_json",
    "not_text",
    "nul",
    "time_outside",
)
SPAN_ROWS, BATCH_ROWS, PARALLEL = 250_000, 10_000, 4
LOCK_S = 60
"""How long locks of others are waited for where the command does not say."""


REDACTED = "***"


class Mask(NamedTuple):
    """How the values of a column are hidden: its word, and the text of ``constant``."""

    word: str
    text: str = ""

    def of(self, value: str) -> str:
        """What stands for a value."""
        if self.word == "hash":
            return blake3_hex(value.encode("utf-8"))
        return REDACTED if self.word == "redact" else self.text


class Choices(NamedTuple):
    """Everything a command chooses."""

    selection: Selection
    mode: str = "create"
    columns: Mapping[str, Sequence[str]] = {}
    filters: Mapping[str, str] = {}
    rename: Mapping[str, str] = {}
    masks: Mapping[str, Mask] = {}
    policies: Mapping[str, str] = {}
    indexes: bool = True
    verify: str = "stream"
    reject_limit: int = 0
    reject_file: Optional[str] = None
    span_rows: int = SPAN_ROWS
    batch_rows: int = BATCH_ROWS
    parallel: int = PARALLEL

    def takes(self, table: str) -> bool:
        """Whether a table is selected."""
        return takes(self.selection, table)

    def policy(self, loss: str) -> str:
        """What becomes of a loss."""
        return self.policies.get(loss) or self.policies.get("default", "fail")


def takes(selection: Selection, table: str) -> bool:
    """Whether a table goes by a name that is selected."""
    name = table.encode("utf-8")
    last = name.rpartition(b"/")[2]
    return selection.included(name, last, False) and not selection.excluded(name, last)


def _by_name(inner: f.Check) -> f.Check:
    def check(value: Any, field: str) -> Dict[str, Any]:
        if not isinstance(value, dict):
            raise f.invalid(field, "an object by the name of a table")
        return {name: inner(one, "%s.%s" % (field, name)) for name, one in value.items()}

    return check


def _mask(value: Any, field: str) -> Mask:
    if isinstance(value, dict) and list(value) == ["constant"]:
        return Mask("constant", f.text(value["constant"], field + ".constant"))
    return Mask(f.choice("redact", "hash")(value, field))


def _policies(value: Any, field: str) -> Dict[str, str]:
    asked: Dict[str, str] = _by_name(f.choice(*POLICIES))(value, field)
    for name in asked:
        if name != "default" and name not in LOSSES:
            raise Fault(
                "INVALID_FIELD",
                "no kind of loss has this name",
                field="%s.%s" % (field, name),
                hint="kinds of loss: default, %s" % ", ".join(LOSSES),
            )
    return asked


def _bound(most: int) -> f.Check:
    return f.optional(f.integer(1, most))


FIELDS: Dict[str, Field] = {
    "include": f.GLOBS,
    "exclude": f.GLOBS,
    "mode": Field(f.choice(*MODES), default="create"),
    "columns": Field(_by_name(f.many(f.text)), default={}),
    "where": Field(_by_name(f.text), default={}),
    "rename": Field(_by_name(f.text), default={}),
    "mask": Field(_by_name(_mask), default={}),
    "cast": Field(_by_name(f.text), default={}),
    "policy": Field(_policies, default={}),
    "rejects": Field(
        f.obj({"limit": Field(f.integer(), default=0), "file": Field(f.optional(f.text))}),
        default={"limit": 0, "file": None},
    ),
    "retry_rejects": Field(f.not_built(None)),
    "span_rows": Field(_bound((1 << 53) - 1)),
    "batch_rows": Field(_bound(1 << 20)),
    "parallel_spans": Field(_bound(64)),
    "lock_timeout_s": Field(_bound(86_400), default=LOCK_S),
    "statement_timeout_s": Field(_bound(604_800)),
    "replica_lag_s": Field(_bound(86_400)),
    "indexes": Field(f.flag, default=True),
    "verify": Field(f.choice("stream", "readback"), default="stream"),
}


def read(params: Mapping[str, Any]) -> Choices:
    """The choices of a command, from its fields."""
    for field in ("cast", "replica_lag_s"):
        if params[field]:
            raise Fault(
                "UNSUPPORTED",
                "the Python backend has no %s" % field,
                field=field,
                hint="install the binary",
            )
    columns: Dict[str, List[str]] = params["columns"]
    return Choices(
        Selection(params["include"], params["exclude"]),
        params["mode"],
        columns,
        params["where"],
        params["rename"],
        params["mask"],
        params["policy"],
        params["indexes"],
        params["verify"],
        params["rejects"]["limit"],
        params["rejects"]["file"],
        params["span_rows"] or SPAN_ROWS,
        params["batch_rows"] or BATCH_ROWS,
        params["parallel_spans"] or PARALLEL,
    )
