"""Parts of the fallback behind copies, leases, archives and timetables, each on its own."""

import errno
import gzip
import io
import os
import stat
import tarfile
import threading
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migration_engine.fallback import lease as leases
from migration_engine.fallback import metadata
from migration_engine.fallback.archive import Reader, end, header, padding, parts_of
from migration_engine.fallback.coding import Caps, GzipPacker, GzipUnpacker, form_of, split_ending
from migration_engine.fallback.crc import crc32c, crc64nvme
from migration_engine.fallback.digest import RANGE_BYTES, ContentDigests, Digests
from migration_engine.fallback.faults import Fault
from migration_engine.fallback.lease import Cell, Lease
from migration_engine.fallback.limiter import Limiter
from migration_engine.fallback.sparse import pieces
from migration_engine.fallback.timetable import Timetable, table
from migration_engine.fallback.transfer import Output

from . import scratch


def unpack(chunks: List[bytes], caps: Optional[Caps] = None) -> bytes:
    unpacker = GzipUnpacker(caps or Caps.none())
    plain = b"".join(piece for chunk in chunks for piece in unpacker.feed(chunk))
    unpacker.finish()
    return plain


@given(
    st.lists(st.binary(max_size=2000), min_size=1, max_size=4),
    st.integers(1, 500),
    st.integers(0, 9),
)
def test_any_gzip_file_is_unpacked_whatever_its_chunks(
    members: List[bytes], step: int, zeros: int
) -> None:
    packed = b"".join(gzip.compress(member) for member in members) + bytes(zeros)
    chunks = [packed[at : at + step] for at in range(0, len(packed), step)]
    assert unpack(chunks) == b"".join(members)


@given(st.binary(min_size=1, max_size=3000), st.integers(1, 9))
def test_what_is_packed_is_gzip(plain: bytes, level: int) -> None:
    packer = GzipPacker(level)
    assert gzip.decompress(packer.take(plain) + packer.finish()) == plain


@pytest.mark.parametrize(
    "packed",
    [b"", b"\x1f", gzip.compress(b"x" * 99)[:-1], b"no gzip at all",
     gzip.compress(b"x") + b"garbage", gzip.compress(b"x") + b"\0\0\1",
     gzip.compress(b"x" * 99)[:-5] + b"\0\0\0\0\0"],
)  # fmt: skip
def test_damage_is_told_with_its_place(packed: bytes) -> None:
    with pytest.raises(Fault) as fault:
        unpack([packed])
    assert fault.value.code == "SRC_CORRUPT"
    assert fault.value.offset is not None and 0 <= fault.value.offset <= len(packed)


def test_bombs_stop_at_the_caps() -> None:
    bomb = gzip.compress(bytes(8 << 20))
    for caps in (Caps(1 << 20, 10**9), Caps(1 << 40, 100)):
        given_ = 0
        with pytest.raises(Fault) as fault:
            for piece in GzipUnpacker(caps).feed(bomb):
                given_ += len(piece)
        assert fault.value.code == "OUTPUT_LIMIT" and given_ <= 2 << 20
    assert len(unpack([bomb], Caps(8 << 20, 2000))) == 8 << 20


def test_forms_are_told_by_content_then_by_name() -> None:
    packed = gzip.compress(b"x")
    assert form_of(packed, b"a") == form_of(packed, b"a.tar") == "gzip"
    assert form_of(packed, b"A.TGZ") == "tar_gzip"
    assert form_of(b"\x28\xb5\x2f\xfd...", b"a.gz") == "zstd"
    assert form_of(scratch.tar([{"path": "a"}])[:512], b"a") == "tar"
    assert (form_of(b"x", b"a.br"), form_of(b"x", b"a")) == ("brotli", None)
    assert split_ending(b"a.b.tar.gz") == (b"a.b", "tar_gzip")
    assert split_ending(b".gz") == (b".gz", None)


@given(st.binary(max_size=5000), st.integers(0, 5000))
def test_a_crc_is_appended_without_its_bytes(data: bytes, at: int) -> None:
    for make in (crc64nvme, crc32c):
        whole, left, right = make(), make(), make()
        whole.update(data)
        left.update(data[:at])
        right.update(data[at:])
        left.append(right, len(data[at:]))
        assert left.hexdigest() == whole.hexdigest()


@pytest.mark.parametrize("algorithm", ["crc64nvme", "crc32c", "sha256", None])
@pytest.mark.parametrize("size", [RANGE_BYTES, 2 * RANGE_BYTES + 7])
def test_ranges_are_digested_beside_the_whole(algorithm: Optional[str], size: int) -> None:
    data = scratch.pattern(1 << 20) * (size // (1 << 20) + 1)
    digests = ContentDigests(algorithm, True)
    for at in range(0, size, 999_999):
        digests.update(data[at : min(at + 999_999, size)])
    found = digests.finish()
    ranges = "crc32c" if algorithm == "crc32c" else "crc64nvme"
    expected = []
    for at in range(0, size, RANGE_BYTES):
        one = Digests([ranges])
        one.update(data[at : min(at + RANGE_BYTES, size)])
        expected.append(one.hex()[ranges])
    assert digests.ranges == expected
    if algorithm is not None:
        whole = Digests([algorithm])
        whole.update(data[:size])
        assert found == whole.hex()


def test_zeros_are_digested_like_bytes() -> None:
    holes, plain = ContentDigests("crc64nvme", False), Digests(["crc64nvme"])
    holes.update(b"a")
    holes.zeros(200_001)
    plain.update(b"a" + bytes(200_001))
    assert holes.finish() == plain.hex()


def test_holes_are_found_and_nothing_else_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with open(path, "wb") as file:
        file.truncate(1 << 20)
        for offset in (0, 300_000, (1 << 20) - 5):
            file.seek(offset)
            file.write(b"data!")
    fd = os.open(path, os.O_RDONLY)
    try:
        found = list(pieces(fd, 64 << 10, b"sparse", holes=True))
        whole = b"".join(piece.data or bytes(piece.length) for piece in found)
        assert whole == path.read_bytes()
        assert sum(piece.length for piece in found if piece.data is None) > 900_000
        os.lseek(fd, 0, os.SEEK_SET)
        read = list(pieces(fd, 64 << 10, b"sparse", holes=False))
        assert all(piece.data is not None for piece in read)
    finally:
        os.close(fd)


# Metadata.

ENTRIES = {"access": "system.posix_acl_access", "default": "system.posix_acl_default"}


def acl(*entries: Tuple[int, int, int]) -> bytes:
    """Tag, permissions and id of each."""
    out = (2).to_bytes(4, "little")
    for tag, permissions, who in entries:
        out += tag.to_bytes(2, "little") + permissions.to_bytes(2, "little")
        out += who.to_bytes(4, "little")
    return out


NOBODY = 0xFFFFFFFF
# The mask lets a named user write; the owning group may only read.
WIDE = acl((1, 6, NOBODY), (2, 6, 1234), (4, 4, NOBODY), (16, 6, NOBODY), (32, 0, NOBODY))


def set_acl(path: Path, which: str, value: bytes) -> None:
    try:
        os.setxattr(path, ENTRIES[which], value)
    except OSError as error:
        pytest.skip("no access lists here: %s" % error)


def dress(source: Path, target: Path, *preserve: str) -> List[str]:
    asked = frozenset(preserve)
    fd = os.open(source, os.O_RDONLY)
    try:
        given_ = metadata.read_attributes(fd, os.fstat(fd), asked)
    finally:
        os.close(fd)
    fd = os.open(target, os.O_RDONLY)
    try:
        return metadata.apply_attributes(fd, asked, given_)
    finally:
        os.close(fd)


def test_a_group_gets_no_more_than_its_list_gives_it(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_text("x")
    target.write_text("x")
    set_acl(source, "access", WIDE)
    assert stat.S_IMODE(source.stat().st_mode) == 0o660
    assert dress(source, target, "mode") == []
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert dress(source, target, "mode", "acls") == []
    assert os.getxattr(target, ENTRIES["access"]) == WIDE


def test_a_list_of_the_directory_above_is_not_inherited(tmp_path: Path) -> None:
    above = tmp_path / "dir"
    above.mkdir()
    set_acl(above, "default", WIDE)
    source, target = tmp_path / "a", above / "b"
    source.write_text("x")
    source.chmod(0o600)
    target.write_text("x")
    assert ENTRIES["access"] in os.listxattr(target)
    assert dress(source, target, "mode") == []
    assert os.listxattr(target) == []
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_what_is_refused_is_lost_and_what_is_broken_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_text("x")
    target.write_text("x")
    os.setxattr(source, "user.note", b"1")
    numbers = iter([errno.EOPNOTSUPP, errno.ENOSPC, errno.EIO])

    def refuse(*_: Any, **__: Any) -> None:
        number = next(numbers)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "setxattr", refuse)
    assert dress(source, target, "xattrs") == ["xattrs"]
    assert dress(source, target, "xattrs") == ["xattrs"]
    with pytest.raises(OSError, match="Input/output"):
        dress(source, target, "xattrs")


def test_times_that_come_out_coarser_are_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_text("x")
    target.write_text("x")
    os.utime(source, ns=(1, 1_000_000_007))
    keep = os.utime

    def coarse(path: Any, ns: Tuple[int, int], **more: Any) -> None:
        keep(path, ns=(ns[0], ns[1] // 10**9 * 10**9), **more)

    monkeypatch.setattr(os, "utime", coarse)
    assert dress(source, target, "times") == ["times"]


# Archives.


class _Pieces:
    """Plain bytes in pieces of an awkward length."""

    def __init__(self, data: bytes, step: int) -> None:
        self._chunks = [data[at : at + step] for at in range(0, len(data), step)]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)


def members(data: bytes, step: int = 700) -> List[Tuple[bytes, str, bytes]]:
    reader = Reader(iter(_Pieces(data, step)))
    return [(one.path, one.kind, b"".join(reader.content(99))) for one in reader]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("step", [1, 511, 512, 100_000])
def test_archives_of_other_tools_are_read(form: int, step: int) -> None:
    out = io.BytesIO()
    names = ["a", "d/" + "n" * 99, "d/ü"]
    if form != tarfile.USTAR_FORMAT:
        names.append("d/" + "very/" * 60 + "long")
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for at, name in enumerate(names):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = 600 * at, 1700000000
            archive.addfile(info, io.BytesIO(b"x" * 600 * at))
    found = members(out.getvalue(), step)
    expected = [(name.encode(), "file", b"x" * 600 * at) for at, name in enumerate(names)]
    assert found == expected


@given(st.lists(st.binary(min_size=1, max_size=300).filter(lambda n: b"\0" not in n), max_size=4))
def test_names_of_any_bytes_survive_an_archive(names: List[bytes]) -> None:
    status = os.stat(__file__)
    data = b""
    for name in names:
        data += header(b"d/" + name.strip(b"/") + b"x", "symlink", status, 0o777, name)
    data += end(len(data))
    assert len(data) % 10240 == 0
    reader = Reader(iter([data]))
    read = [(one.path, one.link) for one in reader]
    assert read == [(b"d/" + name.strip(b"/") + b"x", name) for name in names]


def test_times_of_members_are_kept_to_the_nanosecond() -> None:
    status = os.stat_result((0o100644, 1, 1, 1, 0, 0, 0, 0, 5, 0), {"st_mtime_ns": 5_000_000_007})
    data = header(b"a", "file", status, 0o644) + padding(0)
    (one,) = list(Reader(iter([data + end(len(data))])))
    assert (one.path, one.mtime_ns, one.mode) == (b"a", 5_000_000_007, 0o644)


@given(st.integers(0, 2047), st.integers(1, 255))
def test_damaged_headers_are_told(at: int, flip: int) -> None:
    whole = bytearray(scratch.tar([{"path": "a", "content": "x" * 600}, {"path": "b"}]))
    whole[at] ^= flip
    try:
        found = members(bytes(whole))
    except Fault as fault:
        assert fault.code == "SRC_CORRUPT" and fault.offset is not None
    else:
        # Only content has no checksum of its own, and the ends of the headers' sums no meaning.
        assert [(path, kind) for path, kind, _ in found] == [(b"a", "file"), (b"b", "file")]
        assert 512 <= at < 1536 or at % 512 in range(148, 156)


@given(st.integers(0, 2559))
def test_archives_that_are_cut_are_told(length: int) -> None:
    whole = scratch.tar([{"path": "a", "content": "x" * 600}, {"path": "b"}])
    with pytest.raises(Fault) as fault:
        members(whole[:length])
    assert fault.value.code == "SRC_CORRUPT"


@pytest.mark.parametrize("at", [100, 108, 116, 124, 136, 329, 337])
@pytest.mark.parametrize("text", [b"9", b"1x", b"-1", b"+1", b"1_0", b"0o1", b"\x80\0\0\1" * 2])
def test_numbers_that_are_none_are_told(at: int, text: bytes) -> None:
    block = bytearray(scratch.tar([{"path": "a"}])[:512])
    block[at : at + 8] = text.ljust(8, b"\0")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    if text[0] == 0x80 and at == 100:
        # Only the last bits of a mode mean anything.
        assert [path for path, _, _ in members(bytes(block) + end(len(block)))] == [b"a"]
        return
    with pytest.raises(Fault) as fault:
        members(bytes(block) + end(len(block)))
    assert fault.value.code == "SRC_CORRUPT"


@pytest.mark.parametrize("record", [b"17 uid=4294967296", b"10 gid=-1", b"13 mtime=--1"])
def test_attributes_that_are_no_numbers_are_told(record: bytes) -> None:
    body = record + b"\n"
    body = b"%d" % (len(body)) + body[2:]
    data = scratch.tar([{"path": "a"}])[:512]
    block = bytearray(data)
    block[124:136] = b"%011o\0" % len(body)
    block[156:157] = b"x"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    whole = bytes(block) + body + padding(len(body)) + data
    with pytest.raises(Fault) as fault:
        members(whole + end(len(whole)))
    assert fault.value.code == "SRC_CORRUPT"


def test_names_that_lead_out_are_told() -> None:
    assert parts_of(b".//a/b/") == [b"a", b"b"]
    assert parts_of(b".") == parts_of(b"./") == []
    for name in (b"/a", b"/", b"../a", b"a/../../b", b"a\0b", b"a//b", b"a/./b"):
        assert parts_of(name) is None


class _Job:
    """As much of a job as writing needs."""

    def timed(self, _: str) -> Any:
        return open(os.devnull)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class _Staged:
    path = b"staged"
    size = 0
    stored: Optional[int] = None

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT)

    def file(self) -> int:
        return self._fd


@pytest.mark.parametrize("level", [None, 6])
def test_what_is_taken_back_was_never_there(tmp_path: Path, level: Optional[int]) -> None:
    staged: Any = _Staged(tmp_path / "out")
    job: Any = _Job()
    output = Output(job, staged, level)
    output.write(b"one" * 1000)
    mark = output.mark()
    output.write(scratch.pattern(100_000))
    output.rewind(mark)
    output.write(b"two" * 1000)
    output.finish()
    data = (tmp_path / "out").read_bytes()
    plain = data if level is None else gzip.decompress(data)
    assert plain == b"one" * 1000 + b"two" * 1000
    assert (staged.size, output.stored) == (6000, len(data))


# Leases.


class _Named(_Job):
    name = "0123456789abcdef"


def take(fd: int, patience_ms: Optional[int] = None) -> Lease:
    job: Any = _Named()
    return Lease.take(job, fd, patience_ms)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def test_a_lease_is_held_by_one_and_given_back(directory: int, tmp_path: Path) -> None:
    lease = take(directory)
    record = (tmp_path / ".mig-lease").read_bytes()
    assert len(record) == leases.LEASE_BYTES and record.endswith(b" \n")
    with pytest.raises(Fault) as fault:
        take(directory)
    assert fault.value.code == "LOCKED"
    with lease.commit():
        pass
    waiting: List[Lease] = []
    other = threading.Thread(target=lambda: waiting.append(take(directory, 30_000)))
    other.start()
    time.sleep(0.2)
    lease.release()
    other.join(30)
    waiting[0].release()
    assert list(tmp_path.iterdir()) == []


def test_a_lease_that_is_another_s_is_lost(directory: int, tmp_path: Path) -> None:
    lease = take(directory)
    (tmp_path / ".mig-lease").unlink()
    other = take(directory)
    with pytest.raises(Fault) as fault, lease.commit():
        pytest.fail("committed under another's lease")
    assert fault.value.code == "LEASE_LOST"
    lease.release()
    with other.commit():
        pass
    other.release()


def test_a_lease_of_the_dead_is_taken_over(directory: int) -> None:
    lease = take(directory)
    cell = Cell(directory)
    record = leases.decode(cell.read())
    assert record is not None and not leases.is_dead(record)
    for numbers in ({"started": 1}, {"pid": 2**22 + 1}):
        assert leases.is_dead({**record, **numbers})
    for place in ({"boot_id": "other"}, {"namespaces": ""}, {"namespaces": "pid:[1] "}):
        assert not leases.is_dead({**record, "started": 1, **place})
    dead = leases.encode({**record, "started": 1, "epoch": 7})
    assert cell.swap(cell.read(), dead)
    heir = take(directory)
    taken = leases.decode(cell.read())
    assert taken is not None and taken["epoch"] == 8
    heir.release()
    lease.release()


def test_a_record_is_swapped_only_by_who_knows_it(directory: int) -> None:
    cell = Cell(directory)
    one, two = b"1".ljust(512), b"2".ljust(512)
    assert cell.swap(None, one) and not cell.swap(None, two) and not cell.swap(two, one)
    assert cell.renew(one, two) and not cell.renew(one, two) and cell.read() == two
    assert cell.swap(two, None) and cell.read() is None
    assert leases.decode(b"{torn") is None


# Timetables.


def entries(*given_: Dict[str, Any]) -> Timetable:
    read: Timetable = table(list(given_), "timetable")
    return read


def test_the_latest_entry_holds_around_the_week() -> None:
    week = entries(
        {"at": "08:00", "days": ["mon", "tue"], "bytes_per_s": 1},
        {"at": "20:00", "bytes_per_s": 2},
        {"at": "00:00", "days": ["sat"], "bytes_per_s": None},
    )

    def holds(weekday: int, minute: int) -> Any:
        return week.in_force(weekday, minute)["bytes_per_s"]

    assert [holds(0, 0), holds(0, 479), holds(0, 480), holds(0, 1199), holds(0, 1200)] == [
        2, 2, 1, 1, 2,
    ]  # fmt: skip
    assert [holds(2, 700), holds(4, 1439), holds(5, 0), holds(5, 1200), holds(6, 600)] == [
        2, 2, None, 2, 2,
    ]  # fmt: skip
    only = entries({"at": "12:00", "days": ["wed"], "ops_per_s": 5})
    assert only.in_force(0, 0)["ops_per_s"] == only.in_force(6, 1439)["ops_per_s"] == 5
    assert entries().in_force(3, 3) == {}


def test_a_limiter_follows_its_table(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [(0, 0)]
    monkeypatch.setattr("migration_engine.fallback.timetable._clock", lambda: clock[0])
    monkeypatch.setattr("migration_engine.fallback.limiter._LOOK_S", 0.0)
    day = entries({"at": "08:00", "bytes_per_s": 100}, {"at": "20:00", "bytes_per_s": None})
    limiter = Limiter("bytes_per_s", 7, day)
    assert limiter.per_s is None and limiter.pay(1 << 30) == 0.0
    clock[0] = (0, 480)
    assert limiter.per_s == 100 and limiter.waiting(limiter.pay(1000))
    clock[0] = (0, 1200)
    assert not limiter.waiting(time.monotonic() + 100)
    limiter.follow(None)
    assert limiter.per_s == 7
    assert Limiter("ops_per_s", 3, day).per_s == 3
