"""Two servers' answers in one form: what the protocol leaves open is dropped."""

import json
from typing import Any, Dict, List, Tuple

Line = Dict[str, Any]

# Clocks, names made anew each time, what work cost, and words for people.
_DROPPED = {
    "seq", "ts", "pid", "session", "job", "queue_position",
    "elapsed_ms", "bytes_per_s_avg", "cpu_ms", "peak_rss_bytes", "throttled_ms", "bottleneck",
    "message", "hint", "cause", "detail", "advice", "why", "method",
    "backend", "report", "resume", "memory_cap", "version", "capabilities",
    "stored_bytes", "ratio", "dropped_before",
}  # fmt: skip
# When these come depends on time and on how work is batched.
_DROPPED_TYPES = ("progress", "checkpoint", "log")
_LEFT_OUT_WHEN_EMPTY = ("failures_total", "warnings_total", "failures", "digests")


def normal(lines: List[Line], directory: str, case: Dict[str, Any]) -> List[Line]:
    """``lines`` sorted by id, each id's own in their order."""
    dropped = (*_DROPPED_TYPES, *case.get("drop_types", ()))
    kept = [line for line in lines if line["type"] not in dropped]
    shaped = set(map(str, case.get("shape", [])))
    cleaned = []
    for line in kept:
        clean = _clean(line, directory)
        if str(line.get("id")) in shaped and line["type"] in ("result", "sample"):
            for field in ("data", "metrics"):
                if field in clean:
                    clean[field] = _shape(clean[field])
        cleaned.append(_drop(clean, case.get("drop", [])))
    return sorted(cleaned, key=_order)


def _order(line: Line) -> Tuple[int, str]:
    if line["type"] == "hello":
        return (0, "")
    if "id" in line:
        return (1, json.dumps(line["id"]))
    return (2, "%09d" % line["line"])


def _clean(value: Any, directory: str) -> Any:
    if isinstance(value, dict):
        out = {
            name: _clean(item, directory)
            for name, item in value.items()
            if name not in _DROPPED and not (name in _LEFT_OUT_WHEN_EMPTY and not item)
        }
        if "failures" in out:
            out["failures"].sort(key=lambda one: json.dumps(one, sort_keys=True))
        # Of plans each backend has its own; of rows with an algorithm there is one.
        if isinstance(out.get("digest"), str) and "algorithm" not in out:
            out["digest"] = "$DIGEST"
        if isinstance(out.get("plan"), str) and "snapshot" in out:
            out["plan"] = "$DIGEST"
        return out
    if isinstance(value, list):
        return [_clean(item, directory) for item in value]
    if isinstance(value, str):
        return value.replace(directory, "$DIR")
    return value


def _shape(value: Any) -> Any:
    """The names and kinds of a measurement, which no two machines share."""
    if isinstance(value, dict):
        return {name: _shape(item) for name, item in sorted(value.items())}
    if isinstance(value, list):
        return [_shape(item) for item in value[:1]]
    return "number" if isinstance(value, (int, float)) else type(value).__name__


def _drop(line: Line, places: List[str]) -> Line:
    for place in places:
        inner: Any = line
        *above, last = place.split(".")
        for name in above:
            inner = inner.get(name, {}) if isinstance(inner, dict) else {}
        if isinstance(inner, dict):
            inner.pop(last, None)
    return line
