"""Rate bounds that may change while work runs."""

from __future__ import annotations

import threading
import time
from typing import Optional


class Limiter:
    """A bound per second, shared by any number of threads; ``None`` means no bound.

    An amount is paid after the fact: the caller is told how long to wait before it goes on, so
    that one large chunk needs no special case and the average holds.
    """

    def __init__(self, per_s: Optional[int] = None) -> None:
        self._lock = threading.Lock()
        self._per_s = per_s
        self._free_at = 0.0

    @property
    def per_s(self) -> Optional[int]:
        """The bound in force."""
        return self._per_s

    def change(self, per_s: Optional[int]) -> None:
        """Sets or lifts the bound; what was paid under the old one is forgiven."""
        with self._lock:
            self._per_s = per_s
            self._free_at = 0.0

    def pay(self, amount: int) -> float:
        """Takes ``amount``; the monotonic time from which the caller may go on."""
        with self._lock:
            if self._per_s is None:
                return 0.0
            self._free_at = max(self._free_at, time.monotonic()) + amount / self._per_s
            return self._free_at

    def waiting(self, until: float) -> bool:
        """Whether ``until`` still has to be waited for under the bound in force."""
        with self._lock:
            return self._per_s is not None and min(until, self._free_at) > time.monotonic()
