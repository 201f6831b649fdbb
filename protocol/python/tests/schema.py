"""Lines of output against the published schema."""

import json
from functools import cache
from typing import Any

import jsonschema

from .backends import SCHEMA

LINE_OUT_MAX_BYTES = 32 << 10


@cache
def _validator() -> Any:
    return jsonschema.Draft202012Validator(json.loads((SCHEMA / "events.json").read_text()))


def check_line(raw: bytes) -> None:
    """One line of output: whole, bounded, and as the schema says."""
    assert raw.endswith(b"\n") and len(raw) <= LINE_OUT_MAX_BYTES
    error = jsonschema.exceptions.best_match(_validator().iter_errors(json.loads(raw)))
    assert error is None, "%s in %r" % (error.message if error else "", raw)
