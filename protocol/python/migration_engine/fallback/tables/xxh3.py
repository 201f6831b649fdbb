"""XXH3 with 128 bits, as rows are digested by it.

One row at a time and no seed. It is slow beside a compiled one, and gives the same sums.
"""

from __future__ import annotations

import struct
from typing import Callable, List, Tuple

_M64 = (1 << 64) - 1
_M32 = (1 << 32) - 1
_P32_1, _P32_2, _P32_3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
_P64_1, _P64_2, _P64_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_P64_4, _P64_5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
_MX1, _MX2 = 0x165667919E3779F9, 0x9FB21C651E98DF25

# The algorithm's own constant.
_SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
_STRIPE, _BLOCK = 64, 1024
_u32: Callable[[bytes, int], Tuple[int]] = struct.Struct("<I").unpack_from
_u64: Callable[[bytes, int], Tuple[int]] = struct.Struct("<Q").unpack_from
_2u64 = struct.Struct("<2Q").unpack_from
_8u64 = struct.Struct("<8Q").unpack_from


def _word(at: int) -> int:
    return _u64(_SECRET, at)[0]


def _avalanche(h: int) -> int:
    h = (h ^ (h >> 37)) * _MX1 & _M64
    return h ^ (h >> 32)


def _avalanche_64(h: int) -> int:
    h = (h ^ (h >> 33)) * _P64_2 & _M64
    h = (h ^ (h >> 29)) * _P64_3 & _M64
    return h ^ (h >> 32)


_EMPTY = _avalanche_64(_word(80) ^ _word(88)) << 64 | _avalanche_64(_word(64) ^ _word(72))
_FLIP_3 = (_word(0) ^ (_word(0) >> 32)) & _M32, (_word(8) ^ (_word(8) >> 32)) & _M32
_FLIP_8 = _word(16) ^ _word(24)
_FLIP_16 = _word(32) ^ _word(40), _word(48) ^ _word(56)
# The secret as 16 bytes from each place that short rows use.
_PAIRS = {at: (_word(at), _word(at + 8)) for at in range(177)}
_STRIPES = [_8u64(_SECRET, 8 * at) for at in range(_BLOCK // _STRIPE)]
_SCRAMBLE = _8u64(_SECRET, 128)
_LAST = _8u64(_SECRET, 121)
_BEGIN = (_P32_3, _P64_1, _P64_2, _P64_3, _P64_4, _P32_2, _P64_5, _P32_1)


def xxh3_128(data: bytes) -> int:
    """The digest of ``data`` as a number of 128 bits."""
    length = len(data)
    if length <= 16:
        return _short(data, length)
    if length <= 128:
        return _middle(data, length)
    if length <= 240:
        return _longer(data, length)
    return _long(data, length)


def _short(data: bytes, length: int) -> int:
    if length > 8:
        return _to_16(data, length)
    if length > 3:
        keyed = (_u32(data, 0)[0] | _u32(data, length - 4)[0] << 32) ^ _FLIP_8
        product = keyed * (_P64_1 + (length << 2))
        low, high = product & _M64, product >> 64 & _M64
        high = (high + (low << 1)) & _M64
        low ^= high >> 3
        low = (low ^ (low >> 35)) * _MX2 & _M64
        return _avalanche(high) << 64 | (low ^ (low >> 28))
    if not length:
        return _EMPTY
    one = data[0] << 16 | data[length >> 1] << 24 | data[length - 1] | length << 8
    other = int.from_bytes(one.to_bytes(4, "little"), "big")
    other = (other << 13 | other >> 19) & _M32
    return _avalanche_64(other ^ _FLIP_3[1]) << 64 | _avalanche_64(one ^ _FLIP_3[0])


def _to_16(data: bytes, length: int) -> int:
    first, last = _u64(data, 0)[0], _u64(data, length - 8)[0]
    product = (first ^ last ^ _FLIP_16[0]) * _P64_1
    low = ((product & _M64) + ((length - 1) << 54)) & _M64
    last ^= _FLIP_16[1]
    high = ((product >> 64) + last + (last & _M32) * (_P32_2 - 1)) & _M64
    low ^= int.from_bytes(high.to_bytes(8, "little"), "big")
    product = low * _P64_2
    high = ((product >> 64) + high * _P64_2) & _M64
    return _avalanche(high) << 64 | _avalanche(product & _M64)


def _mixed(low: int, high: int, data: bytes, one: int, other: int, at: int) -> Tuple[int, int]:
    a, b = _2u64(data, one)
    c, d = _2u64(data, other)
    k, m = _PAIRS[at]
    product = (a ^ k) * (b ^ m)
    low = ((low + ((product ^ (product >> 64)) & _M64)) & _M64) ^ ((c + d) & _M64)
    k, m = _PAIRS[at + 16]
    product = (c ^ k) * (d ^ m)
    high = ((high + ((product ^ (product >> 64)) & _M64)) & _M64) ^ ((a + b) & _M64)
    return low, high


def _ended(low: int, high: int, length: int) -> int:
    one = _avalanche((low + high) & _M64)
    other = _avalanche((low * _P64_1 + high * _P64_4 + length * _P64_2) & _M64)
    return (-other & _M64) << 64 | one


def _middle(data: bytes, length: int) -> int:
    low, high = length * _P64_1 & _M64, 0
    for at in range((length - 1) // 32, -1, -1):
        low, high = _mixed(low, high, data, 16 * at, length - 16 * (at + 1), 32 * at)
    return _ended(low, high, length)


def _longer(data: bytes, length: int) -> int:
    low, high = length * _P64_1 & _M64, 0
    for at in range(0, 128, 32):
        low, high = _mixed(low, high, data, at, at + 16, at)
    low, high = _avalanche(low), _avalanche(high)
    for at in range(128, length - 31, 32):
        low, high = _mixed(low, high, data, at, at + 16, at - 125)
    low, high = _mixed(low, high, data, length - 16, length - 32, 103)
    return _ended(low, high, length)


def _long(data: bytes, length: int) -> int:
    sums: List[int] = list(_BEGIN)
    whole = (length - 1) // _BLOCK
    for block in range(whole):
        for number, secret in enumerate(_STRIPES):
            _stripe(sums, _8u64(data, block * _BLOCK + number * _STRIPE), secret)
        for at, word in enumerate(sums):
            sums[at] = (word ^ (word >> 47) ^ _SCRAMBLE[at]) * _P32_1 & _M64
    for number in range((length - 1 - whole * _BLOCK) // _STRIPE):
        _stripe(sums, _8u64(data, whole * _BLOCK + number * _STRIPE), _STRIPES[number])
    _stripe(sums, _8u64(data, length - _STRIPE), _LAST)
    low = _merged(sums, 11, length * _P64_1)
    return _merged(sums, 117, ~(length * _P64_2)) << 64 | low


def _stripe(sums: List[int], words: Tuple[int, ...], secret: Tuple[int, ...]) -> None:
    for at, word in enumerate(words):
        key = word ^ secret[at]
        sums[at] = (sums[at] + (key & _M32) * (key >> 32)) & _M64
        sums[at ^ 1] = (sums[at ^ 1] + word) & _M64


def _merged(sums: List[int], at: int, start: int) -> int:
    total = start
    for pair in range(4):
        k, m = _PAIRS[at + 16 * pair]
        product = (sums[2 * pair] ^ k) * (sums[2 * pair + 1] ^ m)
        total += (product ^ (product >> 64)) & _M64
    return _avalanche(total & _M64)
