"""CRC-64/NVME and CRC-32C in pure Python, many lanes at once.

A table-driven CRC takes one step per byte, and a step in the interpreter costs far more than the
arithmetic in it. Here a block is cut into lanes and every lane takes its step in the same call:
the state is one big integer made of byte planes (plane ``k`` holds byte ``k`` of every lane's
register), the table look-up is ``bytes.translate``, and the XOR is one of big integers. The lanes
are then joined by the linear map "this many zero bytes follow".
"""

from __future__ import annotations

from functools import cache
from typing import List, Tuple

# Lanes and bytes per lane, largest block first. Few lanes for short input, since joining costs
# one table walk per lane; never more than 1 MiB, so that a block stays in the cache.
_GEOMETRIES = ((1024, 1024), (1024, 256), (256, 128), (64, 64))

# Longer runs of zeros are taken by doubling.
_STEPPED_POWER_MAX = 8

_Tables = Tuple[Tuple[int, ...], ...]


class _Family:
    """What all registers of one polynomial share: tables and joining maps."""

    def __init__(self, polynomial: int, width_bytes: int) -> None:
        self.width_bytes = width_bytes
        self.ones = (1 << (8 * width_bytes)) - 1
        self.table = tuple(_table_entry(index, polynomial) for index in range(256))
        self.planes = tuple(
            bytes((entry >> (8 * plane)) & 0xFF for entry in self.table)
            for plane in range(width_bytes)
        )

    def bytewise(self, state: int, data: bytes) -> int:
        """The register after ``data``, one byte at a time."""
        table = self.table
        for byte in data:
            state = (state >> 8) ^ table[(state ^ byte) & 0xFF]
        return state

    def lanes(self, block: bytes, lanes: int, length: int) -> int:
        """The register of ``block`` (``lanes * length`` bytes) started from zero."""
        plane_bits = 8 * lanes
        mask = (1 << plane_bits) - 1
        planes = self.planes
        state = 0
        for column in range(length):
            byte = int.from_bytes(block[column::length], "little")
            index = ((state ^ byte) & mask).to_bytes(lanes, "little")
            looked_up = b"".join([index.translate(plane) for plane in planes])
            state = (state >> plane_bits) ^ int.from_bytes(looked_up, "little")
        return self._join(state.to_bytes(lanes * self.width_bytes, "little"), lanes, length)

    def _join(self, planes: bytes, lanes: int, length: int) -> int:
        shift = shift_tables(self, length)
        joined = 0
        for lane in range(lanes):
            register = int.from_bytes(planes[lane::lanes], "little")
            joined = apply_tables(shift, joined) ^ register
        return joined


def _table_entry(index: int, polynomial: int) -> int:
    for _ in range(8):
        index = (index >> 1) ^ (polynomial if index & 1 else 0)
    return index


@cache
def shift_tables(family: _Family, length: int) -> _Tables:
    """The map "``length`` zero bytes follow" as one table per byte of the register."""
    bits = 8 * family.width_bytes
    return _tables(family, [_after_zeros(family, 1 << bit, length) for bit in range(bits)])


@cache
def _power_tables(family: _Family, power: int) -> _Tables:
    """The map "two to the ``power`` zero bytes follow"."""
    if power <= _STEPPED_POWER_MAX:
        return shift_tables(family, 1 << power)
    half = _power_tables(family, power - 1)
    bits = 8 * family.width_bytes
    return _tables(
        family, [apply_tables(half, apply_tables(half, 1 << bit)) for bit in range(bits)]
    )


def _tables(family: _Family, columns: List[int]) -> _Tables:
    return tuple(
        tuple(_combine(columns[8 * byte : 8 * byte + 8], index) for index in range(256))
        for byte in range(family.width_bytes)
    )


def _after_zeros(family: _Family, state: int, length: int) -> int:
    table = family.table
    for _ in range(length):
        state = (state >> 8) ^ table[state & 0xFF]
    return state


def _combine(columns: List[int], index: int) -> int:
    value = 0
    for bit, column in enumerate(columns):
        if index >> bit & 1:
            value ^= column
    return value


def apply_tables(tables: _Tables, state: int) -> int:
    """The register ``state`` mapped through ``tables``."""
    value = 0
    for table in tables:
        value ^= table[state & 0xFF]
        state >>= 8
    return value


class Crc:
    """A running CRC with the interface of :mod:`hashlib` objects."""

    def __init__(self, family: _Family) -> None:
        self._family = family
        self._state = family.ones

    def update(self, data: bytes) -> None:
        """Feeds ``data``."""
        family = self._family
        state, at, left = self._state, 0, len(data)
        for lanes, length in _GEOMETRIES:
            size = lanes * length
            while left >= size:
                block = data[at : at + size]
                state = family.lanes(_with_state(block, state, family), lanes, length)
                at += size
                left -= size
        self._state = family.bytewise(state, data[at:])

    def append(self, other: "Crc", length: int) -> None:
        """Feeds the ``length`` bytes that ``other`` was fed, without seeing them again."""
        state = self._state ^ self._family.ones
        for power in range(length.bit_length()):
            if length >> power & 1:
                state = apply_tables(_power_tables(self._family, power), state)
        self._state = state ^ other._state

    def hexdigest(self) -> str:
        """The value so far: lower case, fixed width."""
        return format(self._state ^ self._family.ones, "0%dx" % (2 * self._family.width_bytes))


def _with_state(block: bytes, state: int, family: _Family) -> bytes:
    # A register before the first bytes equals these bytes XORed with it, started from zero.
    head = int.from_bytes(block[: family.width_bytes], "little") ^ state
    return head.to_bytes(family.width_bytes, "little") + block[family.width_bytes :]


@cache
def _crc64nvme_family() -> _Family:
    return _Family(0x9A6C9329AC4BC9B5, 8)


@cache
def _crc32c_family() -> _Family:
    return _Family(0x82F63B78, 4)


def crc64nvme() -> Crc:
    """CRC-64/NVME: polynomial 0xAD93D23594C93659, reflected, all ones in and out."""
    return Crc(_crc64nvme_family())


def crc32c() -> Crc:
    """CRC-32C (Castagnoli): polynomial 0x1EDC6F41, reflected, all ones in and out."""
    return Crc(_crc32c_family())
