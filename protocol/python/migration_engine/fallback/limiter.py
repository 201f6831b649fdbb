"""Rate bounds that may change while work runs."""

from __future__ import annotations

import threading
import time
from typing import Optional

from .fields import ABSENT
from .timetable import Timetable

_LOOK_S = 0.25
"""Time between two looks at a timetable."""


class Limiter:
    """A bound per second, shared by any number of threads; ``None`` means no bound.

    An amount is paid after the fact: the caller is told how long to wait before it goes on, so
    that one large chunk needs no special case and the average holds. Where a timetable has an
    entry in force that names ``bound``, that entry's value holds.
    """

    def __init__(
        self, bound: str, per_s: Optional[int] = None, table: Optional[Timetable] = None
    ) -> None:
        self._bound = bound
        self._lock = threading.Lock()
        self._usual = per_s
        self._table = table
        self._look_at = 0.0
        self._per_s = per_s
        self._free_at = 0.0

    @property
    def per_s(self) -> Optional[int]:
        """The bound in force."""
        with self._lock:
            return self._in_force()

    def change(self, per_s: Optional[int]) -> None:
        """Sets or lifts the bound; what was paid under the old one is forgiven."""
        with self._lock:
            self._usual = per_s
            self._look_at = self._free_at = 0.0
            self._per_s = per_s

    def follow(self, table: Optional[Timetable]) -> None:
        """Sets or lifts the timetable."""
        with self._lock:
            self._table = table
            self._look_at = self._free_at = 0.0
            self._per_s = self._usual

    def pay(self, amount: int) -> float:
        """Takes ``amount``; the monotonic time from which the caller may go on."""
        with self._lock:
            per_s = self._in_force()
            if per_s is None:
                return 0.0
            self._free_at = max(self._free_at, time.monotonic()) + amount / per_s
            return self._free_at

    def waiting(self, until: float) -> bool:
        """Whether ``until`` still has to be waited for under the bound in force."""
        with self._lock:
            per_s = self._in_force()
            return per_s is not None and min(until, self._free_at) > time.monotonic()

    def _in_force(self) -> Optional[int]:
        if self._table is None:
            return self._per_s
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_S
            named = self._table.now().get(self._bound, ABSENT)
            per_s: Optional[int] = self._usual if named is ABSENT else named
            if per_s != self._per_s:
                self._per_s, self._free_at = per_s, 0.0
        return self._per_s
