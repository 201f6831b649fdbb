"""Bounds by the time of day: which entry of a weekly table is in force."""

from __future__ import annotations

import bisect
import re
import time
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from . import fields as f
from .fields import Field

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MINUTES_A_DAY = 24 * 60
_AT = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])\Z")


def _minute(value: Any, field: str) -> int:
    found = _AT.match(f.text(value, field))
    if found is None:
        raise f.invalid(field, "a time of day from 00:00 to 23:59")
    return int(found.group(1)) * 60 + int(found.group(2))


_ENTRY: Dict[str, Field] = {
    "at": Field(_minute, required=True),
    "days": Field(f.one_or_more(f.choice(*DAYS)), default=DAYS),
    "bytes_per_s": Field(f.optional(f.size(low=1)), default=f.ABSENT),
    "ops_per_s": Field(f.optional(f.integer(low=1)), default=f.ABSENT),
    "rows_per_s": Field(f.optional(f.integer(low=1)), default=f.ABSENT),
}


class Timetable:
    """A table of bounds, in the local time of the machine."""

    def __init__(self, entries: Sequence[Mapping[str, Any]]) -> None:
        at: Dict[int, Mapping[str, Any]] = {}
        for entry in entries:
            for day in entry["days"]:
                at[DAYS.index(day) * _MINUTES_A_DAY + entry["at"]] = entry
        self._minutes: List[int] = sorted(at)
        self._entries = [at[minute] for minute in self._minutes]

    def in_force(self, weekday: int, minute: int) -> Mapping[str, Any]:
        """The latest entry at or before that minute; before the first, last week's last one."""
        if not self._entries:
            return {}
        now = weekday * _MINUTES_A_DAY + minute
        return self._entries[bisect.bisect_right(self._minutes, now) - 1]

    def now(self) -> Mapping[str, Any]:
        """The entry in force now."""
        return self.in_force(*_clock())


def _clock() -> Tuple[int, int]:
    local = time.localtime()
    return local.tm_wday, local.tm_hour * 60 + local.tm_min


def table(value: Any, field: str) -> Timetable:
    """A list of entries, as a field of a command."""
    return Timetable(f.many(f.obj(_ENTRY))(value, field))


LIMITS = Field(
    f.obj(
        {
            "bytes_per_s": Field(f.optional(f.size(low=1))),
            "ops_per_s": Field(f.optional(f.integer(low=1))),
            "rows_per_s": Field(f.optional(f.integer(low=1))),
            "timetable": Field(f.optional(table)),
        }
    )
)
"""The ``limits`` of a job."""
