"""The options of each op, as keyword arguments; see PROTOCOL.md for their meaning."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, TypedDict, Union

from .paths import Location

Size = Union[int, str]
Duration = Union[int, str]


class EnvelopeOptions(TypedDict, total=False):
    """What every job op takes."""

    id: Union[str, int]
    after: Sequence[Union[str, int]]
    after_status: Sequence[str]
    labels: Dict[str, str]
    key: str


class LimitOptions(TypedDict, total=False):
    """Bounds of one job."""

    bytes_per_s: Optional[Size]
    ops_per_s: Optional[int]


class SelectionOptions(EnvelopeOptions, total=False):
    """Which items are taken."""

    include: Sequence[str]
    exclude: Sequence[str]


class CopyOptions(SelectionOptions, total=False):
    """Of ``copy``."""

    on_exists: str
    checksum: str
    verify: str
    preserve: Sequence[str]
    symlinks: str
    durability: str
    manifest: Location
    chunk_bytes: Size
    parallel_files: int
    limits: LimitOptions
    dry_run: bool


class ChecksumOptions(SelectionOptions, total=False):
    """Of ``checksum``."""

    algorithm: Union[str, Sequence[str]]
    manifest: Location
    check: Location
    parallel_files: int
    limits: LimitOptions


class VerifyOptions(SelectionOptions, total=False):
    """Of ``verify``."""

    level: str
    limits: LimitOptions


class CompressOptions(EnvelopeOptions, total=False):
    """Of ``compress``."""

    format: str
    level: int
    on_exists: str
    limits: LimitOptions


class MonitorOptions(EnvelopeOptions, total=False):
    """Of ``monitor``."""

    interval_ms: Duration
    count: int
    alerts: Dict[str, Any]


class BatchOptions(EnvelopeOptions, total=False):
    """Of ``batch``."""

    mode: str
    max_parallel: int
    on_error: str


class CleanupOptions(EnvelopeOptions, total=False):
    """Of ``cleanup``."""

    target: str
    locations: Union[Location, List[Location]]
    forget: bool
    dry_run: bool


class ChangeOptions(TypedDict, total=False):
    """Of ``limits``: what is left out stays, ``None`` lifts a bound."""

    bytes_per_s: Optional[Size]
    ops_per_s: Optional[int]
    jobs: int
