"""Figures of the machine and of this process, from ``/proc``."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

from .writer import timestamp

if TYPE_CHECKING:
    from .session import Session

_NOT_DISKS = ("/dev/loop", "/dev/ram")
_Cores = List[Tuple[int, int]]


class Meter:
    """Measures; rates are taken over the time since the last measurement."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._cores = _core_times()
        self._at = time.monotonic()
        self._bytes = session.bytes_seen()

    def measure(self) -> Dict[str, Any]:
        """All figures, now."""
        cores, now = _core_times(), time.monotonic()
        usage = [_percent(after, before) for after, before in zip(cores, self._cores)]
        seen = self._session.bytes_seen()
        rate = int((seen - self._bytes) / max(now - self._at, 1e-3))
        self._cores, self._at, self._bytes = cores, now, seen
        return {
            "timestamp": timestamp(),
            "cpu": {
                "usage_percent": usage,
                "count": len(cores),
                "model_name": _model_name(),
            },
            "memory": _memory(),
            "disk": _disks(),
            "network": _network(),
            "engine": self._engine(rate),
        }

    def _engine(self, rate: int) -> Dict[str, Any]:
        status = _pairs("/proc/self/status")
        return {
            "pid": os.getpid(),
            "cpu_ms": int(time.process_time() * 1000),
            "rss_bytes": _kilobytes(status.get("VmRSS")),
            "peak_rss_bytes": _kilobytes(status.get("VmHWM")),
            "threads": threading.active_count(),
            "jobs_running": self._session.jobs_running(),
            "bytes_per_s": rate,
            "errors": self._session.errors,
        }


def _lines(path: str) -> List[str]:
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        return file.read().splitlines()
    return []


def _pairs(path: str) -> Dict[str, str]:
    return {
        name.strip(): value.strip()
        for name, colon, value in (line.partition(":") for line in _lines(path))
        if colon
    }


def _kilobytes(text: Any) -> int:
    return int(text.split()[0]) * 1024 if text else 0


def _core_times() -> _Cores:
    """Busy and total ticks of each core."""
    cores: _Cores = []
    for line in _lines("/proc/stat"):
        name, *ticks = line.split()
        if name.startswith("cpu") and name != "cpu":
            values = [int(tick) for tick in ticks[:8]]
            total = sum(values)
            cores.append((total - values[3] - values[4], total))
    return cores


def _percent(after: Tuple[int, int], before: Tuple[int, int]) -> float:
    total = after[1] - before[1]
    return round(100.0 * (after[0] - before[0]) / total, 1) if total > 0 else 0.0


def _model_name() -> str:
    return _pairs("/proc/cpuinfo").get("model name", "")


def _memory() -> Dict[str, Any]:
    info = {name: _kilobytes(value) for name, value in _pairs("/proc/meminfo").items() if value}
    total, available = info.get("MemTotal", 0), info.get("MemAvailable", 0)
    used = total - available
    return {
        "total": total,
        "available": available,
        "used": used,
        "used_percent": round(100.0 * used / total, 1) if total else 0.0,
        "free": info.get("MemFree", 0),
    }


def _disks() -> List[Dict[str, Any]]:
    disks: Dict[str, Dict[str, Any]] = {}
    for line in _lines("/proc/self/mounts"):
        device, mountpoint, fstype = line.split()[:3]
        mountpoint = mountpoint.encode("utf-8").decode("unicode_escape")
        if not device.startswith("/dev/") or device.startswith(_NOT_DISKS) or device in disks:
            continue
        with contextlib.suppress(OSError):
            disks[device] = _disk(device, mountpoint, fstype)
    return list(disks.values())


def _disk(device: str, mountpoint: str, fstype: str) -> Dict[str, Any]:
    figures = os.statvfs(mountpoint)
    total = figures.f_blocks * figures.f_frsize
    free = figures.f_bavail * figures.f_frsize
    used = total - figures.f_bfree * figures.f_frsize
    return {
        "device": device,
        "mountpoint": mountpoint,
        "fstype": fstype,
        "total": total,
        "free": free,
        "used": used,
        "used_percent": round(100.0 * used / total, 1) if total else 0.0,
    }


def _network() -> Dict[str, int]:
    sums = {"bytes_sent": 0, "bytes_recv": 0, "packets_sent": 0, "packets_recv": 0}
    for line in _lines("/proc/net/dev")[2:]:
        name, _, figures = line.partition(":")
        if name.strip() == "lo":
            continue
        columns = [int(figure) for figure in figures.split()]
        sums["bytes_recv"] += columns[0]
        sums["packets_recv"] += columns[1]
        sums["bytes_sent"] += columns[8]
        sums["packets_sent"] += columns[9]
    return sums
