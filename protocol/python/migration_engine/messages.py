"""What the engine says, as frozen dataclasses. Fields of newer engines are ignored."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, Dict, Generic, List, Mapping, Optional, Tuple, Type, TypeVar, Union

from .paths import WirePath

Id = Union[str, int]
Event = Mapping[str, Any]
T = TypeVar("T")
D = TypeVar("D", bound="Data")


def _known(cls: Type[Any], raw: Mapping[str, Any]) -> Dict[str, Any]:
    names = {item.name for item in fields(cls)}
    return {name: value for name, value in raw.items() if name in names}


@dataclass(frozen=True)
class Info:
    """Who answers: the engine's ``hello``."""

    backend: str
    version: str
    protocol: int
    session: str
    pid: int
    ops: Tuple[str, ...]
    features: Tuple[str, ...]
    line_in: int
    outstanding: int

    @classmethod
    def read(cls, hello: Event) -> "Info":
        """From a ``hello`` line."""
        limits = hello.get("limits", {})
        return cls(
            backend=str(hello["backend"]),
            version=str(hello["engine"]["version"]),
            protocol=int(hello["protocol"]),
            session=str(hello["session"]),
            pid=int(hello["pid"]),
            ops=tuple(hello.get("ops", ())),
            features=tuple(hello.get("features", ())),
            line_in=int(limits.get("line_in", 1 << 20)),
            outstanding=int(limits.get("outstanding", 1024)),
        )


@dataclass(frozen=True)
class Active:
    """An item in hand: bytes done of ``bytes_total``."""

    path: WirePath
    bytes_done: int
    bytes_total: Optional[int]


@dataclass(frozen=True)
class Progress:
    """Where a job stands. Rates are bytes per second; what is unknown is ``None``."""

    phase: str = ""
    bytes_done: int = 0
    bytes_total: Optional[int] = None
    total_is_estimate: bool = False
    items_done: int = 0
    items_total: Optional[int] = None
    bytes_per_s: int = 0
    bytes_per_s_avg: int = 0
    eta_s: Optional[float] = None
    elapsed_ms: int = 0
    retries: int = 0
    errors: int = 0
    throttled: Optional[Mapping[str, Any]] = None
    network: Optional[Mapping[str, int]] = None
    active: Tuple[Active, ...] = ()

    @classmethod
    def read(cls, event: Event) -> "Progress":
        """From a ``progress`` line."""
        known = _known(cls, event)
        known["active"] = tuple(
            Active(WirePath.read(one), one["bytes_done"], one.get("bytes_total"))
            for one in event.get("active", ())
        )
        return cls(**known)

    @property
    def fraction(self) -> Optional[float]:
        """0 to 1, or ``None`` while the total is unknown."""
        if not self.bytes_total:
            return None
        return min(1.0, self.bytes_done / self.bytes_total)


@dataclass(frozen=True)
class Metrics:
    """What a job cost and moved."""

    bytes: int = 0
    bytes_wire: int = 0
    items_ok: int = 0
    items_failed: int = 0
    items_skipped: int = 0
    rows: int = 0
    rows_rejected: int = 0
    elapsed_ms: int = 0
    bytes_per_s_avg: int = 0
    cpu_ms: int = 0
    peak_rss_bytes: int = 0
    retries: int = 0
    throttled_ms: int = 0
    requests: int = 0
    cache_hits: int = 0
    cache_misses: int = 0
    bottleneck: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Verified:
    """What was proven about the content: ``none``, ``size``, ``stream``, ``readback``, …."""

    level: str = "none"
    algorithm: Optional[str] = None
    items: int = 0
    bytes: int = 0
    mismatches: int = 0


@dataclass(frozen=True)
class Failure:
    """One failed item."""

    path: WirePath
    code: str
    message: str

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> "Failure":
        """From an entry of ``failures``."""
        return cls(WirePath.read(raw["at"]), str(raw["code"]), str(raw.get("message", "")))


@dataclass(frozen=True)
class Data:
    """What an op answers; ``raw`` is the object of the wire."""

    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def read(cls: Type[D], raw: Mapping[str, Any]) -> D:
        """From the ``data`` of a result."""
        known = _known(cls, raw)
        for name in ("dst", "manifest"):
            if isinstance(known.get(name), Mapping):
                known[name] = WirePath.read(known[name])
        known["raw"] = raw
        return cls(**known)


@dataclass(frozen=True)
class Loss:
    """A kind of metadata that the destination could not hold, and how many items lost it."""

    what: str
    items: int


@dataclass(frozen=True)
class CopyData(Data):
    """Of ``copy``; with ``dry_run`` see :class:`PlanData` in ``raw``.

    ``method`` is ``direct`` (one stream), ``chunked`` (parts of one file at once) or ``batches``;
    ``offload`` counts items that the storage took over, by way; ``deleted`` the names that
    ``delete`` removed, ``None`` where it was not asked for; ``lost`` what could not be kept.
    """

    dst: Optional[WirePath] = None
    kind: str = ""
    method: str = ""
    offload: Mapping[str, int] = field(default_factory=dict)
    durability: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)
    deleted: Optional[int] = None
    lost: Tuple[Loss, ...] = ()
    manifest: Optional[WirePath] = None

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> "CopyData":
        """From the ``data`` of a result."""
        lost = tuple(Loss(str(one["what"]), int(one["items"])) for one in raw.get("lost", ()))
        return replace(super().read(raw), lost=lost)


@dataclass(frozen=True)
class Digested:
    """One file with its digests in hex, by algorithm."""

    path: WirePath
    bytes: int
    digests: Mapping[str, str]


@dataclass(frozen=True)
class ChecksumData(Data):
    """Of ``checksum``: the first digests by name, all of them in ``manifest``."""

    digests: Tuple[Digested, ...] = ()
    digests_total: int = 0
    manifest: Optional[WirePath] = None
    check: Optional[Mapping[str, int]] = None

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> "ChecksumData":
        """From the ``data`` of a result."""
        listed = [
            Digested(WirePath.read(one), one["bytes"], one["digests"])
            for one in raw.get("digests", ())
        ]
        manifest = raw.get("manifest")
        return cls(
            raw=raw,
            digests=tuple(listed),
            digests_total=int(raw.get("digests_total", len(listed))),
            manifest=None if manifest is None else WirePath.read(manifest),
            check=raw.get("check"),
        )


@dataclass(frozen=True)
class VerifyData(Data):
    """Of ``verify``: items by outcome."""

    matched: int = 0
    mismatched: int = 0
    missing: int = 0
    extra: int = 0
    level: str = ""


@dataclass(frozen=True)
class InspectData(Data):
    """Of ``inspect``: what is there."""

    kind: str = ""
    files: int = 0
    directories: int = 0
    symlinks: int = 0
    specials: int = 0
    bytes: int = 0
    unreadable: int = 0
    not_utf8: int = 0
    longest_name_bytes: int = 0
    deepest: int = 0
    largest: List[Mapping[str, Any]] = field(default_factory=list)
    endpoint: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TablesData(Data):
    """Of ``tables``: the certificate of a copy.

    ``tables``: per table ``table target rows rejected changed digest algorithm spans spans_kept
    spans_redone proof``. ``rejects``: the file of rejected rows, where there is one.
    ``retried``: ``lines taken missing left`` of a file whose rows were taken again.
    """

    plan: str = ""
    mode: str = ""
    source: Mapping[str, Any] = field(default_factory=dict)
    target: Mapping[str, Any] = field(default_factory=dict)
    snapshot: str = ""
    tables_total: int = 0
    rows: int = 0
    rejected: int = 0
    rejects: Optional[Mapping[str, Any]] = None
    retried: Optional[Mapping[str, Any]] = None
    tables: List[Mapping[str, Any]] = field(default_factory=list)
    losses: List[Mapping[str, Any]] = field(default_factory=list)
    notes: List[Mapping[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class PlanData(Data):
    """Of ``plan``: what the command would do."""

    op: str = ""
    method: str = ""
    why: str = ""
    items: int = 0
    bytes: int = 0
    directories: int = 0
    new: Optional[int] = None
    replace: Optional[int] = None
    skip: Optional[int] = None
    conflict: Optional[int] = None
    delete: Optional[int] = None
    delete_sample: List[Mapping[str, Any]] = field(default_factory=list)
    losses: List[Mapping[str, Any]] = field(default_factory=list)
    digest: str = ""


@dataclass(frozen=True)
class CompressData(Data):
    """Of ``compress``; ``ratio`` is stored over original, ``items`` counts an archive's members.

    ``method`` is ``stored`` where nothing of it would shrink; ``digests`` are of the plain bytes.
    """

    dst: Optional[WirePath] = None
    format: str = ""
    method: str = ""
    original_bytes: int = 0
    stored_bytes: int = 0
    ratio: float = 0.0
    items: Optional[int] = None
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DecompressData(Data):
    """Of ``decompress``; ``original_bytes`` are the plain ones, ``items`` an archive's members."""

    dst: Optional[WirePath] = None
    format: str = ""
    original_bytes: int = 0
    stored_bytes: int = 0
    items: Optional[int] = None
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class MonitorData(Data):
    """Of ``monitor`` without an interval: one measurement."""

    timestamp: str = ""
    cpu: Mapping[str, Any] = field(default_factory=dict)
    memory: Mapping[str, Any] = field(default_factory=dict)
    disk: List[Mapping[str, Any]] = field(default_factory=list)
    network: Mapping[str, Any] = field(default_factory=dict)
    engine: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BatchData(Data):
    """Of ``batch``: items by status."""

    ok: int = 0
    partial: int = 0
    failed: int = 0
    cancelled: int = 0
    skipped: int = 0


@dataclass(frozen=True)
class CleanupData(Data):
    """Of ``cleanup``: what was removed, and what could not be."""

    jobs: int = 0
    removed: int = 0
    bytes: int = 0
    leftovers: List[Mapping[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Limits:
    """The bounds in force; ``None`` is no bound."""

    bytes_per_s: Optional[int]
    ops_per_s: Optional[int]
    jobs: int
    rows_per_s: Optional[int] = None


@dataclass(frozen=True)
class JobInfo:
    """One entry of ``jobs``."""

    id: Id
    job: str
    op: str
    state: str
    labels: Mapping[str, str]
    key: Optional[str]
    bytes_done: int
    bytes_total: Optional[int]
    items_done: int
    elapsed_ms: int


@dataclass(frozen=True)
class Result(Generic[T]):
    """How a command ended; ``raw`` is the whole line."""

    id: Id
    op: str
    status: str
    backend: str
    job: Optional[str]
    data: T
    metrics: Metrics
    verify: Optional[Verified]
    failures: Tuple[Failure, ...]
    failures_total: int
    warnings_total: int
    report: Optional[WirePath]
    resume: Optional[str]
    replayed: bool
    advice: Tuple[str, ...]
    raw: Event = field(repr=False, compare=False)

    @property
    def ok(self) -> bool:
        """Whether all is done, verified at the level asked."""
        return self.status == "ok"


def read_result(line: Event, data: T) -> Result[T]:
    """A ``result`` line with its ``data`` as read by the op's own class."""
    verify, report = line.get("verify"), line.get("report")
    return Result(
        id=line["id"],
        op=str(line["op"]),
        status=str(line["status"]),
        backend=str(line["backend"]),
        job=line.get("job"),
        data=data,
        metrics=Metrics(**_known(Metrics, line.get("metrics") or {})),
        verify=None if verify is None else Verified(**_known(Verified, verify)),
        failures=tuple(Failure.read(one) for one in line.get("failures", ())),
        failures_total=int(line.get("failures_total") or 0),
        warnings_total=int(line.get("warnings_total") or 0),
        report=None if report is None else WirePath.read(report),
        resume=line.get("resume"),
        replayed=bool(line.get("replayed", False)),
        advice=tuple(line.get("advice", ())),
        raw=line,
    )


def read_job_info(raw: Mapping[str, Any]) -> JobInfo:
    """An entry of ``jobs``."""
    return JobInfo(**_known(JobInfo, raw))
