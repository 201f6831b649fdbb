"""BLAKE3 with 256 bits, for names in the ledger: short texts, and no key."""

from __future__ import annotations

import struct
from typing import List, Sequence

_M32 = (1 << 32) - 1
_IV = (
    0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
    0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
)  # fmt: skip
_PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
_CHUNK, _BLOCK = 1024, 64
_CHUNK_START, _CHUNK_END, _PARENT, _ROOT = 1, 2, 4, 8
_COLUMNS_AND_DIAGONALS = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)  # fmt: skip


def blake3_hex(data: bytes) -> str:
    """The digest of ``data``, 64 hex digits."""
    return struct.pack("<8I", *_node(data, 0, _ROOT)).hex()


def _node(data: bytes, first: int, flags: int) -> List[int]:
    """The words of the part of the tree over ``data``, whose first chunk has number ``first``."""
    if len(data) <= _CHUNK:
        return _chunk(data, first, flags)
    # The left side is the largest power of two of chunks that leaves something to the right.
    left = 1 << ((len(data) - 1) // _CHUNK).bit_length() - 1
    words = [
        *_node(data[: left * _CHUNK], first, 0),
        *_node(data[left * _CHUNK :], first + left, 0),
    ]
    return _compressed(_IV, words, 0, _BLOCK, _PARENT | flags)


def _chunk(data: bytes, number: int, flags: int) -> List[int]:
    value: Sequence[int] = _IV
    blocks = [data[at : at + _BLOCK] for at in range(0, len(data), _BLOCK)] or [b""]
    for at, block in enumerate(blocks):
        own = (_CHUNK_START if at == 0 else 0) | (
            _CHUNK_END | flags if at == len(blocks) - 1 else 0
        )
        words = struct.unpack("<16I", block.ljust(_BLOCK, b"\0"))
        value = _compressed(value, words, number, len(block), own)
    return list(value)


def _compressed(
    value: Sequence[int], words: Sequence[int], number: int, length: int, flags: int
) -> List[int]:
    state = [*value, *_IV[:4], number & _M32, number >> 32, length, flags]
    for turn in range(7):
        if turn:
            words = [words[at] for at in _PERMUTATION]
        for at, places in enumerate(_COLUMNS_AND_DIAGONALS):
            _mix(state, places, words[2 * at], words[2 * at + 1])
    return [state[at] ^ state[at + 8] for at in range(8)]


def _mix(state: List[int], places: Sequence[int], one: int, other: int) -> None:
    a, b, c, d = places
    for word, turns in ((one, (16, 12)), (other, (8, 7))):
        state[a] = (state[a] + state[b] + word) & _M32
        state[d] = _turned(state[d] ^ state[a], turns[0])
        state[c] = (state[c] + state[d]) & _M32
        state[b] = _turned(state[b] ^ state[c], turns[1])


def _turned(word: int, by: int) -> int:
    return (word >> by | word << 32 - by) & _M32
