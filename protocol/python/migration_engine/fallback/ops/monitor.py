"""``monitor``: figures of the machine and of this process, once or at intervals."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Tuple

from .. import fields as f
from ..fields import Field
from ..job import Cancelled, Job, Outcome
from ..measure import Meter

_FIRST_SPAN_S = 0.2
_ALERTS = {
    "memory_percent_above": Field(f.number),
    "cpu_percent_above": Field(f.number),
    "bytes_per_s_below": Field(f.number),
    "errors_above": Field(f.number),
}

FIELDS: Dict[str, Field] = {
    "interval_ms": Field(f.millis(low=200)),
    "count": Field(f.integer(1)),
    "alerts": Field(f.obj(_ALERTS), default={}),
}


def run(job: Job, params: Mapping[str, Any]) -> Outcome:
    """Measures once, or sends samples until the count or a cancel, which ends it with ``ok``."""
    job.phase, job.bytes_total = "monitor", 0
    meter = Meter(job.session)
    if params["interval_ms"] is None:
        job.sleep(_FIRST_SPAN_S)
        return Outcome(data=meter.measure())
    try:
        _sample(job, params, meter)
    except Cancelled:
        return Outcome(data={"samples": job.items_ok})
    return Outcome(data={"samples": job.items_ok})


def _sample(job: Job, params: Mapping[str, Any], meter: Meter) -> None:
    while params["count"] is None or job.items_ok < params["count"]:
        job.sleep(params["interval_ms"] / 1000)
        metrics = meter.measure()
        alerts = crossed(metrics, params["alerts"])
        job.items_ok += 1
        job.session.emit("sample", {"id": job.id, "metrics": metrics, "alerts": alerts})


def crossed(metrics: Mapping[str, Any], bounds: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The thresholds that ``metrics`` cross."""
    cores = metrics["cpu"]["usage_percent"]
    engine = metrics["engine"]
    figures: List[Tuple[str, float, str, bool]] = [
        ("memory_percent", metrics["memory"]["used_percent"], "memory_percent_above", True),
        ("cpu_percent", sum(cores) / len(cores) if cores else 0.0, "cpu_percent_above", True),
        ("bytes_per_s", engine["bytes_per_s"], "bytes_per_s_below", False),
        ("errors", engine["errors"], "errors_above", True),
    ]
    alerts = []
    for metric, value, name, above in figures:
        bound = bounds.get(name)
        if bound is not None and (value > bound if above else value < bound):
            alerts.append(
                {"metric": metric, "value": round(float(value), 1), "threshold": float(bound)}
            )
    return alerts
