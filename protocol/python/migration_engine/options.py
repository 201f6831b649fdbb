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


class _TimetableEntryBase(TypedDict):
    at: str


class TimetableEntry(_TimetableEntryBase, total=False):
    """Bounds from ``at`` (``"HH:MM"``, local time of the engine's machine) to the next entry.

    ``days`` are of ``mon`` to ``sun``, all by default. A bound left out stays as it is without the
    table, ``None`` lifts it.
    """

    days: Sequence[str]
    bytes_per_s: Optional[Size]
    ops_per_s: Optional[int]
    rows_per_s: Optional[int]


class LimitOptions(TypedDict, total=False):
    """Bounds of one job."""

    bytes_per_s: Optional[Size]
    ops_per_s: Optional[int]
    rows_per_s: Optional[int]
    timetable: Optional[Sequence[TimetableEntry]]


class MaxDelete(TypedDict, total=False):
    """The most that ``delete`` removes.

    ``count`` is of names, directories included; ``percent`` of the items that stood there before.
    """

    count: Optional[int]
    percent: Optional[int]


class _CompressInFlightBase(TypedDict):
    format: str


class CompressInFlight(_CompressInFlightBase, total=False):
    """How a copy packs each file: ``gzip``, ``zstd``, ``lz4`` or ``brotli``, and a level of it."""

    level: int


class SelectionOptions(EnvelopeOptions, total=False):
    """Which items are taken."""

    include: Sequence[str]
    exclude: Sequence[str]


class CopyOptions(SelectionOptions, total=False):
    """Of ``copy``.

    ``preserve``: any of ``mode times owner setuid xattrs acls hard_links holes specials``.
    ``compare``: how ``on_exists="update"`` tells what is equal, by ``time`` or ``digest``.
    ``delete`` removes from the destination what the source does not have, up to ``max_delete``.
    ``lock``: whether the lease on the destination is held (``none``, ``fail``, ``wait``), and
    ``lock_timeout`` how long ``wait`` waits. ``compress`` packs each file and gives its name the
    ending of the format, ``decompress`` unpacks those that end so. ``parallel_chunks``: parts of
    one large file in hand at once, 1 to 64.
    """

    on_exists: str
    compare: str
    checksum: str
    verify: str
    preserve: Sequence[str]
    symlinks: str
    durability: str
    manifest: Location
    chunk_bytes: Size
    parallel_files: int
    parallel_chunks: int
    delete: bool
    max_delete: MaxDelete
    lock: str
    lock_timeout: Duration
    compress: Union[str, CompressInFlight, None]
    decompress: bool
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


class RejectOptions(TypedDict, total=False):
    """Rows that may be rejected, and the file they are added to."""

    limit: int
    file: str


class TablesOptions(SelectionOptions, total=False):
    """Of ``tables``.

    ``mode``: ``create append replace merge``. ``columns`` and ``where`` go by the name of a table,
    ``rename`` by that or by ``table.column``, ``mask`` by ``table.column``: ``redact``,
    ``hash``, or ``{"constant": text}``; so does ``cast``: the name of a type. ``policy``: by kind
    of loss, or ``default``, one of ``fail null clamp text reject``.
    ``retry_rejects``: a file of rejected rows, which are taken again by their keys.
    ``verify``: ``stream`` or ``readback``.
    """

    mode: str
    columns: Dict[str, Sequence[str]]
    where: Dict[str, str]
    rename: Dict[str, str]
    mask: Dict[str, Union[str, Dict[str, str]]]
    cast: Dict[str, str]
    policy: Dict[str, str]
    rejects: RejectOptions
    retry_rejects: str
    span_rows: int
    batch_rows: int
    parallel_spans: int
    lock_timeout_s: int
    statement_timeout_s: int
    replica_lag_s: int
    indexes: bool
    verify: str
    limits: LimitOptions


class CompressOptions(SelectionOptions, total=False):
    """Of ``compress``.

    ``format``: ``gzip zstd lz4 brotli``, or of archives ``tar tar_gzip tar_zstd``; by default told
    by the ending of ``dst``. ``verify="decode"`` decodes and compares before it is published.
    ``include`` and ``exclude`` choose the members of an archive.
    """

    format: str
    level: int
    threads: int
    on_exists: str
    verify: str
    limits: LimitOptions


class DecompressOptions(SelectionOptions, total=False):
    """Of ``decompress``.

    ``format`` is told by the file itself by default. ``max_bytes`` and ``max_ratio`` bound what it
    may grow to (1 TiB, and 1000 to 1 once 1 MiB came out, by default).
    """

    format: str
    threads: int
    on_exists: str
    max_bytes: Size
    max_ratio: int
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
    """Of ``limits``: what is left out stays, ``None`` lifts a bound or the timetable."""

    bytes_per_s: Optional[Size]
    ops_per_s: Optional[int]
    rows_per_s: Optional[int]
    timetable: Optional[Sequence[TimetableEntry]]
    jobs: int
