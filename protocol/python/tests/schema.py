"""Lines of output against the published schema."""

import json
from functools import cache
from typing import Any

import jsonschema

from .backends import SCHEMA

LINE_OUT_MAX_BYTES = 32 << 10


@cache
def _validator() -> Any:
    path = SCHEMA / "events.json"
    if not path.exists():
        return None
    return jsonschema.Draft202012Validator(json.loads(path.read_text()))


def check_line(raw: bytes) -> None:
    """One line of output: whole, bounded, and as the schema says."""
    assert raw.endswith(b"\n") and len(raw) <= LINE_OUT_MAX_BYTES
    validator = _validator()
    if validator is not None:
        error = jsonschema.exceptions.best_match(validator.iter_errors(json.loads(raw)))
        assert error is None, "%s in %r" % (error.message if error else "", raw)
