"""Exact texts of days, times, decimals and identifiers, both ways.

Days are counted from 1970-01-01 of the proleptic Gregorian calendar, times in microseconds. What is
written here is read back as the very same value, infinity and years of any length included.
"""

from __future__ import annotations

import re
from typing import Optional, Tuple

SECOND = 1_000_000
DAY = 86_400 * SECOND
DATE_INFINITE, DATE_MINUS_INFINITE = (1 << 31) - 1, -(1 << 31)
MOMENT_INFINITE, MOMENT_MINUS_INFINITE = (1 << 63) - 1, -(1 << 63)

_DAY = re.compile(r"([-+][0-9]{6,7}|[0-9]{4})-([0-9]{2})-([0-9]{2})")
_MINUTES = re.compile(r":([0-5][0-9])(?::([0-5][0-9]))?(?:\.([0-9]{1,6})0*)?")
_HOURS = re.compile(r"-?([0-9]{2,10})(?=:)")
_OFFSET = re.compile(r"Z|([-+])([01][0-9]|2[0-3]):?([0-5][0-9])?")
_UUID = re.compile(r"([0-9a-fA-F]{8})" + r"-([0-9a-fA-F]{4})" * 3 + r"-([0-9a-fA-F]{12})")
_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?|NaN|-?Infinity")


def days(year: int, month: int, day: int) -> Optional[int]:
    """The number of a day; ``None`` where the calendar has none."""
    if not 1 <= month <= 12 or not 1 <= day <= _month_days(year, month):
        return None
    # Years begin with March here, so that the day that leaps is a year's last.
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def civil(number: int) -> Tuple[int, int, int]:
    """The year, month and day of a day."""
    era, of_era = divmod(number + 719_468, 146_097)
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    shifted = (5 * of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year + era * 400 + (month <= 2), month, of_year - (153 * shifted + 2) // 5 + 1


def _month_days(year: int, month: int) -> int:
    if month == 2:
        return 28 + (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0))
    return 30 if month in (4, 6, 9, 11) else 31


def write_date(number: int) -> str:
    """``2024-02-29``; a sign and six digits of the year beyond four; ``infinity``."""
    if number == DATE_INFINITE:
        return "infinity"
    return "-infinity" if number == DATE_MINUS_INFINITE else _write_day(number)


def _write_day(number: int) -> str:
    year, month, day = civil(number)
    shape = "%04d-%02d-%02d" if 0 <= year <= 9999 else "%+07d-%02d-%02d"
    return shape % (year, month, day)


def write_time(micros: int) -> str:
    """``HH:MM:SS`` with as many digits of a second as there are."""
    seconds, fraction = divmod(abs(micros), SECOND)
    sign = "-" if micros < 0 else ""
    text = "%s%02d:%02d:%02d" % (sign, seconds // 3600, seconds // 60 % 60, seconds % 60)
    return text + (".%06d" % fraction).rstrip("0") if fraction else text


def write_moment(micros: int, zone: str, between: str = " ") -> str:
    """A day with a time behind it, and ``zone`` behind what is finite."""
    if micros == MOMENT_INFINITE:
        return "infinity"
    if micros == MOMENT_MINUS_INFINITE:
        return "-infinity"
    day, time = divmod(micros, DAY)
    return _write_day(day) + between + write_time(time) + zone


def write_uuid(value: bytes) -> str:
    """Five groups of digits."""
    digits = value.hex()
    ends = (0, 8, 12, 16, 20, 32)
    return "-".join(digits[a:b] for a, b in zip(ends, ends[1:]))


def read_date(text: str) -> Optional[int]:
    """What :func:`write_date` writes."""
    if text in ("infinity", "-infinity"):
        return DATE_INFINITE if text == "infinity" else DATE_MINUS_INFINITE
    found = _DAY.fullmatch(text)
    number = _day_of(found.groups()) if found else None
    finite = number is not None and DATE_MINUS_INFINITE < number < DATE_INFINITE
    return number if finite else None


def _day_of(parts: Tuple[str, ...]) -> Optional[int]:
    return days(int(parts[0]), int(parts[1]), int(parts[2]))


def read_time(text: str) -> Optional[int]:
    """A time of day, ``24:00:00`` included; seconds may be left out."""
    micros, end = _clock(text, 0)
    return micros if micros is not None and end == len(text) and micros <= DAY else None


def read_duration(text: str) -> Optional[int]:
    """A span of time: hours of any length, and a sign."""
    found = _HOURS.match(text)
    if not found:
        return None
    micros, end = _minutes(text, found.end())
    if micros is None or end != len(text):
        return None
    total = int(found.group(1)) * 3600 * SECOND + micros
    total = -total if text.startswith("-") else total
    return total if MOMENT_MINUS_INFINITE <= total <= MOMENT_INFINITE else None


def _clock(text: str, at: int) -> Tuple[Optional[int], int]:
    hours = text[at : at + 2]
    if len(hours) < 2 or not (hours.isascii() and hours.isdigit()):
        return None, at
    micros, end = _minutes(text, at + 2)
    return (None if micros is None else int(hours) * 3600 * SECOND + micros), end


def _minutes(text: str, at: int) -> Tuple[Optional[int], int]:
    found = _MINUTES.match(text, at)
    if not found:
        return None, at
    minutes, seconds, fraction = found.groups(default="0")
    micros = (int(minutes) * 60 + int(seconds)) * SECOND + int(fraction.ljust(6, "0"))
    return micros, found.end()


def read_moment(text: str, zoned: bool) -> Optional[int]:
    """A day with a time behind it, or a day alone; ``zoned``: an offset must follow, else none."""
    if text in ("infinity", "-infinity"):
        return MOMENT_INFINITE if text == "infinity" else MOMENT_MINUS_INFINITE
    found = _DAY.match(text)
    day = _day_of(found.groups()) if found else None
    if found is None or day is None:
        return None
    time: Optional[int] = 0
    end = found.end()
    if text[end : end + 1] in (" ", "T"):
        time, end = _clock(text, end + 1)
    offset = _offset(text[end:]) if zoned else (0 if end == len(text) else None)
    if time is None or time > DAY or offset is None:
        return None
    micros = day * DAY + time - offset
    return micros if MOMENT_MINUS_INFINITE < micros < MOMENT_INFINITE else None


def _offset(text: str) -> Optional[int]:
    found = _OFFSET.fullmatch(text)
    if not found:
        return None
    sign, hours, minutes = found.groups(default="0")
    ahead = (int(hours) * 60 + int(minutes)) * 60 * SECOND
    return -ahead if sign == "-" else ahead


def read_uuid(text: str) -> Optional[bytes]:
    """32 digits in five groups."""
    found = _UUID.fullmatch(text)
    return bytes.fromhex("".join(found.groups())) if found else None


def is_decimal(text: str) -> bool:
    """Plain digits with or without a point, or one of ``NaN``, ``Infinity``, ``-Infinity``."""
    return _DECIMAL.fullmatch(text) is not None


def decimal_parts(text: str) -> Tuple[str, Optional[str]]:
    """The digits in front of the point and behind it; ``None`` without a point."""
    whole, point, behind = (text[1:] if text.startswith("-") else text).partition(".")
    return whole, behind if point else None
