"""migration-engine for Python: moves files by one protocol, fast and provably whole.

The engine is a binary that this package finds and drives; where it is absent, a server in pure
Python answers the same commands in the same words, only slower.

    from migration_engine import Engine

    with Engine() as engine:
        result = engine.copy("data/in", "out", checksum="sha256").result()
        print(result.metrics.bytes)
"""

from typing import TYPE_CHECKING, Any

from .client import Engine
from .errors import (
    AuthError,
    Cancelled,
    ConfigError,
    DataError,
    EngineCrashed,
    EngineNotFound,
    IntegrityError,
    InternalError,
    MigrationError,
    PartialFailure,
    ResourceError,
    SourceNotFound,
    TransientError,
)
from .job import Job
from .locations import LocationOptions, location
from .messages import (
    BatchData,
    ChecksumData,
    CleanupData,
    CompressData,
    CopyData,
    DecompressData,
    Failure,
    Info,
    InspectData,
    JobInfo,
    Limits,
    Loss,
    Metrics,
    MonitorData,
    PlanData,
    Progress,
    Result,
    TablesData,
    Verified,
    VerifyData,
)
from .paths import WirePath
from .process import EngineConfig
from .version import __version__

if TYPE_CHECKING:
    from .aio import AsyncEngine, AsyncJob

__all__ = [
    "AsyncEngine",
    "AsyncJob",
    "AuthError",
    "BatchData",
    "Cancelled",
    "ChecksumData",
    "CleanupData",
    "CompressData",
    "ConfigError",
    "CopyData",
    "DataError",
    "DecompressData",
    "Engine",
    "EngineConfig",
    "EngineCrashed",
    "EngineNotFound",
    "Failure",
    "Info",
    "InspectData",
    "IntegrityError",
    "InternalError",
    "Job",
    "JobInfo",
    "Limits",
    "LocationOptions",
    "Loss",
    "Metrics",
    "MigrationError",
    "MonitorData",
    "PartialFailure",
    "PlanData",
    "Progress",
    "ResourceError",
    "Result",
    "SourceNotFound",
    "TablesData",
    "TransientError",
    "Verified",
    "VerifyData",
    "WirePath",
    "__version__",
    "location",
]


def __getattr__(name: str) -> Any:
    # asyncio takes longer to import than an engine to start.
    if name in ("AsyncEngine", "AsyncJob"):
        from . import aio

        return getattr(aio, name)
    raise AttributeError("module %r has no attribute %r" % (__name__, name))
