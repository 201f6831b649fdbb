"""Whether the host process still lives, where end of input cannot tell."""

from __future__ import annotations

import os
from typing import Optional, Tuple

_Mark = Tuple[str, str]


class Parent:
    """Watches a process id; one that is not visible at the start is not watched."""

    def __init__(self, pid: Optional[int]) -> None:
        self._pid = pid
        self._mark = None if pid is None else _mark(pid)

    def gone(self) -> bool:
        """Whether the process ended, or its id now belongs to another one."""
        if self._pid is None or self._mark is None:
            return False
        return _mark(self._pid) != self._mark


def _mark(pid: int) -> Optional[_Mark]:
    """What tells this process from another of the same id; ``None`` for none and for a zombie."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return _signalled(pid)
    return None if fields[0] in (b"Z", b"X") else ("started", fields[19].decode("ascii"))


def _signalled(pid: int) -> Optional[_Mark]:
    if os.path.exists("/proc/self/stat"):
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return ("alive", "")
    return ("alive", "")
