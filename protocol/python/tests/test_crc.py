"""The CRCs: known answers, and the same value however the bytes are cut."""

import random
import zlib
from typing import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migration_engine.fallback import crc

BOTH = (crc.crc64nvme, crc.crc32c)


def bytewise(make: Callable[[], crc.Crc], data: bytes) -> str:
    """The definition, one bit at a time."""
    polynomial, width = (0x9A6C9329AC4BC9B5, 64) if make is crc.crc64nvme else (0x82F63B78, 32)
    ones = (1 << width) - 1
    state = ones
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (polynomial if state & 1 else 0)
    return format(state ^ ones, "0%dx" % (width // 4))


def value(make: Callable[[], crc.Crc], *parts: bytes) -> str:
    running = make()
    for part in parts:
        running.update(part)
    return running.hexdigest()


def test_check_values() -> None:
    assert value(crc.crc64nvme, b"123456789") == "ae8b14860a799888"
    assert value(crc.crc32c, b"123456789") == "e3069283"
    assert value(crc.crc64nvme) == "0" * 16
    assert value(crc.crc32c) == "0" * 8


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("size", [1, 7, 8, 63, 4095, 4096, 4097, 32768, 40000, 270001])
def test_lanes_agree_with_the_definition(make: Callable[[], crc.Crc], size: int) -> None:
    data = random.Random(size).randbytes(size)
    assert value(make, data) == bytewise(make, data)


@pytest.mark.parametrize("make", BOTH)
def test_large_blocks_agree_with_small_ones(make: Callable[[], crc.Crc]) -> None:
    data = random.Random(1).randbytes((1 << 20) + 300_001)
    pieces = [data[at : at + 999] for at in range(0, len(data), 999)]
    assert value(make, data) == value(make, *pieces)


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=20_000), st.integers(0, 20_000))
def test_the_value_does_not_depend_on_the_cut(data: bytes, cut: int) -> None:
    for make in BOTH:
        assert value(make, data) == value(make, data[:cut], data[cut:])


def test_one_changed_bit_is_seen() -> None:
    data = bytearray(random.Random(2).randbytes(100_000))
    before = value(crc.crc64nvme, bytes(data))
    data[77_777] ^= 1
    assert value(crc.crc64nvme, bytes(data)) != before


def test_the_lane_method_holds_for_another_well_known_polynomial() -> None:
    """The same code with the polynomial of zlib's CRC-32 gives zlib's values."""
    family = crc._Family(0xEDB88320, 4)
    data = random.Random(3).randbytes(300_000)
    running = crc.Crc(family)
    running.update(data)
    assert int(running.hexdigest(), 16) == zlib.crc32(data)
