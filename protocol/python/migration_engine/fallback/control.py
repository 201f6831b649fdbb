"""Control ops: answered at once, on the reader's own path, ahead of all queued work."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from . import fields as f
from .faults import Fault
from .fields import Field
from .job import Id, Job
from .ops.cleanup import job_of_token
from .scheduler import SLOTS_MAX
from .session import EVENT_KINDS, Session
from .signed import lacks
from .timetable import table

PROTOCOL = 1
NAME_MAX_BYTES = 128
LABELS_MAX = 16
FEATURES = (
    "after",
    "batch",
    "cancel",
    "checkpoint",
    "key",
    "labels",
    "limits",
    "path_b64",
    "pause",
)
_PAGE_BYTES = 20 << 10
_LISTED_MAX = 20


def id_(value: Any, field: str) -> Id:
    """A string of 1 to 128 bytes, or an integer from 0 to 2^53 - 1."""
    if type(value) is int and 0 <= value <= (1 << 53) - 1:
        return value
    if isinstance(value, str) and 0 < len(value.encode("utf-8")) <= NAME_MAX_BYTES:
        return value
    raise f.invalid(field, "a string of 1 to 128 bytes or an integer from 0 to 2^53 - 1")


def name_(value: Any, field: str) -> str:
    """A string of 1 to 128 bytes."""
    if not isinstance(value, str) or not 0 < len(value.encode("utf-8")) <= NAME_MAX_BYTES:
        raise f.invalid(field, "a string of 1 to %d bytes" % NAME_MAX_BYTES)
    return value


def labels_(value: Any, field: str) -> Dict[str, str]:
    """Names and texts of 1 to 128 bytes each."""
    if not isinstance(value, dict):
        raise f.invalid(field, "an object of names and texts")
    if len(value) > LABELS_MAX:
        raise f.invalid(field, "an object of at most %d names" % LABELS_MAX)
    return {name_(name, field): name_(text, field) for name, text in value.items()}


def _target(value: Any, field: str) -> Any:
    if isinstance(value, dict):
        return f.obj({"label": Field(labels_, required=True)})(value, field)
    return id_(value, field)


def _defaults(value: Any, field: str) -> Dict[str, Any]:
    if not isinstance(value, dict):
        raise f.invalid(field, "an object")
    return value


_CLIENT = {"name": Field(f.text, required=True), "version": Field(f.text, required=True)}
_STATES = ("queued", "running", "paused", "cancelling", "finished")
_TARGET = {"target": Field(_target, required=True)}


class Control(NamedTuple):
    """A control op: its fields, and what answers it."""

    fields: Mapping[str, Field]
    run: Callable[[Session, Mapping[str, Any]], Dict[str, Any]]


def _hello(session: Session, params: Mapping[str, Any]) -> Dict[str, Any]:
    if params["protocol"] and PROTOCOL not in params["protocol"]:
        message = "none of the protocols asked for is spoken"
        detail = {"requested": params["protocol"], "supported": [PROTOCOL]}
        raise Fault("PROTOCOL_VERSION", message, detail=detail)
    missing = [name for name in params["require"] if name not in FEATURES]
    if missing:
        message = "the feature %s is missing" % missing[0]
        raise Fault("FEATURE_MISSING", message, field="require", detail={"missing": missing})
    if params["progress_ms"] is not None:
        session.progress_s = params["progress_ms"] / 1000
    if params["events"] is not None:
        session.events = set(params["events"])
    if params["on_eof"] is not None:
        session.on_eof = params["on_eof"]
    session.defaults.update(params["defaults"])
    present = [name for name in params["optional"] if name in FEATURES]
    return {"protocol": PROTOCOL, "optional": present}


def _ping(session: Session, params: Mapping[str, Any]) -> Dict[str, Any]:
    return {}


def _chosen(session: Session, target: Any) -> List[Job]:
    if isinstance(target, dict):
        return session.scheduler.labelled(target["label"])
    job = session.scheduler.find(target)
    return [] if job is None else [job]


def _states(jobs: List[Job]) -> Dict[str, Any]:
    listed = [{"id": job.id, "job": job.name, "state": job.state} for job in jobs[:_LISTED_MAX]]
    return {"jobs": listed, "jobs_total": len(jobs)}


def _cancel(session: Session, params: Mapping[str, Any]) -> Dict[str, Any]:
    jobs = _chosen(session, params["target"])
    for job in jobs:
        for child in job.children:
            session.scheduler.cancel(child, params["reason"])
        session.scheduler.cancel(job, params["reason"])
    return _states(jobs)


def _pause(session: Session, params: Mapping[str, Any]) -> Dict[str, Any]:
    jobs = _chosen(session, params["target"])
    for job in jobs:
        for each in [job, *job.children]:
            each.pause()
    return _states(jobs)


def _resume(session: Session, params: Mapping[str, Any]) -> Dict[str, Any]:
    if params["target"] is None:
        raise Fault("MISSING_FIELD", "one of target, token and key is needed", field="target")
    jobs = _chosen(session, params["target"])
    for job in jobs:
        for each in [job, *job.children]:
            each.resume()
    return _states(jobs)


def _limits(session: Session, params: Mapping[str, Any]) -> Dict[str, Any]:
    holders: List[Any] = [session]
    if params["target"] is not None:
        holders = _chosen(session, params["target"])
    for holder in holders:
        for bound, limiter in (
            ("bytes_per_s", holder.bytes_limit),
            ("ops_per_s", holder.ops_limit),
            ("rows_per_s", holder.rows_limit),
        ):
            if params[bound] is not f.ABSENT:
                limiter.change(params[bound])
            if params["timetable"] is not f.ABSENT:
                limiter.follow(params["timetable"])
    if params["jobs"] is not None:
        session.scheduler.change_slots(params["jobs"])
    shown = holders[0] if holders else session
    return {
        "bytes_per_s": shown.bytes_limit.per_s,
        "ops_per_s": shown.ops_limit.per_s,
        "rows_per_s": shown.rows_limit.per_s,
        "jobs": session.scheduler.slots,
    }


def _jobs(session: Session, params: Mapping[str, Any]) -> Dict[str, Any]:
    states = params["state"] or [state for state in _STATES if state != "finished"]
    jobs = session.scheduler.all_jobs(finished="finished" in states)
    if params["target"] is not None:
        chosen = {job.name for job in _chosen(session, params["target"])}
        jobs = [job for job in jobs if job.name in chosen]
    jobs = [job for job in jobs if job.state in states]
    if params["cursor"] is not None:
        jobs = [job for job in jobs if job.name > params["cursor"]]
    jobs.sort(key=lambda job: job.name)
    page: List[Dict[str, Any]] = []
    length = 0
    for job in jobs[: params["limit"]]:
        entry = _listed(job)
        length += len(json.dumps(entry, ensure_ascii=False).encode("utf-8"))
        if length > _PAGE_BYTES:
            break
        page.append(entry)
    cursor = page[-1]["job"] if page and len(page) < len(jobs) else None
    return {"jobs": page, "cursor": cursor}


def _listed(job: Job) -> Dict[str, Any]:
    return {
        "id": job.id,
        "job": job.name,
        "op": job.op,
        "state": job.state,
        "labels": job.labels,
        "key": job.key,
        "bytes_done": job.bytes_seen,
        "bytes_total": job.bytes_total,
        "items_done": job.items_done,
        "elapsed_ms": job.elapsed_ms(),
    }


def stored_job(
    session: Session, key: Optional[str], token: Optional[str]
) -> Tuple[Optional[str], str]:
    """The key and the stored command that ``resume`` means; no key where none is stored.

    ``RESUME_REFUSED`` where a part of it is not stored, since it proved who asks.
    """
    if token is not None:
        key = session.state.key_of_job(job_of_token(token))
    stored = session.state.command_of(key) if key is not None else None
    if stored is None:
        return None, ""
    if lacks(json.loads(stored[1])):
        message = "a URL of the command was signed, and signatures are not stored"
        hint = "send the command again with its key and a URL that is signed now"
        raise Fault("RESUME_REFUSED", message, hint=hint)
    return key, stored[1]


RESUME_FIELDS: Dict[str, Field] = {"target": Field(_target), "token": Field(f.text)}
SHUTDOWN_FIELDS: Dict[str, Field] = {
    "mode": Field(f.choice("drain", "cancel"), default="drain"),
    "grace_ms": Field(f.millis()),
}
CONTROL_OPS: Dict[str, Control] = {
    "cancel": Control(
        dict(
            _TARGET,
            mode=Field(f.choice("graceful"), default="graceful"),
            reason=Field(name_),
        ),
        _cancel,
    ),
    "hello": Control(
        {
            "protocol": Field(f.many(f.integer()), default=()),
            "client": Field(f.obj(_CLIENT)),
            "require": Field(f.many(f.text), default=()),
            "optional": Field(f.many(f.text), default=()),
            "progress_ms": Field(f.integer(50)),
            "events": Field(f.many(f.choice(*EVENT_KINDS))),
            "on_eof": Field(f.choice("finish", "cancel")),
            "defaults": Field(_defaults, default={}),
        },
        _hello,
    ),
    "jobs": Control(
        {
            "state": Field(f.many(f.choice(*_STATES))),
            "target": Field(_target),
            "limit": Field(f.integer(1, 100), default=50),
            "cursor": Field(f.optional(f.text)),
        },
        _jobs,
    ),
    "limits": Control(
        {
            "target": Field(_target),
            "bytes_per_s": Field(f.optional(f.size(low=1)), default=f.ABSENT),
            "ops_per_s": Field(f.optional(f.integer(low=1)), default=f.ABSENT),
            "rows_per_s": Field(f.optional(f.integer(low=1)), default=f.ABSENT),
            "timetable": Field(f.optional(table), default=f.ABSENT),
            "jobs": Field(f.integer(1, SLOTS_MAX)),
        },
        _limits,
    ),
    "pause": Control(_TARGET, _pause),
    "ping": Control({}, _ping),
    "resume": Control(RESUME_FIELDS, _resume),
}
CONTROL_NAMES = tuple(sorted([*CONTROL_OPS, "shutdown"]))
