"""The types of jobs that are killed: their source, what stands at the destination, the command.

A type knows how to look at its destination, so that one judgement fits all: names to facts.
"""

import os
import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List

from campaign import auditor, data
from campaign.auditor import Tree

Command = Dict[str, Any]
SEED = "campaign"


@dataclass(frozen=True)
class JobType:
    """One type of job."""

    name: str
    # Makes the source at a path that is not there, at full or small size.
    build: Callable[[Path, bool], None]
    # Fields of the command beside src, dst, key.
    fields: Command
    # Makes what stands at the destination before, from the source.
    before: Callable[[Path, Path], None] = lambda source, dst: None
    # How the destination is looked at; the second path is free scratch.
    view: Callable[[Path, Path], Tree] = lambda dst, scratch: auditor.look(dst)
    # How the source is looked at, where the destination cannot show all of it.
    expect: Callable[[Path], Tree] = auditor.look
    # Whether names that the source does not have go away.
    removes: bool = False
    # Whether equal files at the destination stay the same files.
    leaves_equal: bool = False
    # Whether all of it appears at once.
    at_once: bool = False
    # Whether hard links, holes and extended attributes are carried over.
    carries: bool = False
    # Fields that change from run to run without changing what is expected.
    varied: Dict[str, List[Any]] = field(default_factory=dict)
    # Name of the destination in a place.
    dst: str = "dst"

    @property
    def replaces(self) -> bool:
        """Whether what stands there may be replaced."""
        return self.fields.get("on_exists") in ("update", "replace")

    def command(self, place: Path, source: Path, rng: random.Random) -> Command:
        """The command line of a run."""
        varied = {name: rng.choice(values) for name, values in sorted(self.varied.items())}
        chosen = {name: value for name, value in varied.items() if value is not None}
        dst = str(place / self.dst)
        return {"op": "copy", "id": "job", "src": str(source), "dst": dst, **self.fields, **chosen}


def large(path: Path, small: bool) -> None:
    """One file of many chunks, with an odd tail."""
    data.write_random(path, f"{SEED}/large", (3 if small else 96) * data.MIB + 4097)
    data.age(path, 1)


def parts(path: Path, small: bool) -> None:
    """One file of several parts that are moved at once, with an odd tail."""
    data.write_random(path, f"{SEED}/parts", (17 if small else 160) * data.MIB + 4097)
    data.age(path, 1)


def text(path: Path, small: bool) -> None:
    """One file that compresses well."""
    data.write_text(path, f"{SEED}/text", (2 if small else 48) * data.MIB + 13)
    data.age(path, 1)


def tree(path: Path, small: bool) -> None:
    """A tree with sizes around every boundary; the small one has a dozen of files."""
    if small:
        small_tree(path)
        return
    sizes = {f"size-{size}": size for size in data.BOUNDARIES}
    data.write_tree(path, f"{SEED}/tree", 1200, sizes)


def small_tree(path: Path) -> None:
    """A dozen files, two directories, two links."""
    (path / "d/e").mkdir(parents=True)
    for n, size in enumerate((0, 1, 100, 4096, 70_000, data.MIB + 1)):
        data.write_random(path / f"f{n}", f"{SEED}/f{n}", size)
        data.write_random(path / "d" / f"g{n}", f"{SEED}/g{n}", n * 17)
    data.write_random(path / "d/e/h", f"{SEED}/h", 900)
    (path / "link").symlink_to("d/g1")
    (path / "d/dangling").symlink_to("nowhere")
    data.dress(path, random.Random(SEED))


def bystanders(_source: Path, dst: Path) -> None:
    """Files of somebody else that are in nobody's way."""
    dst.mkdir()
    (dst / "theirs").mkdir()
    for n in range(5):
        data.write_random(dst / "theirs" / f"t{n}", f"{SEED}/theirs/{n}", 1000 + n)
    data.write_random(dst / "t", f"{SEED}/theirs", 5000)
    data.age(dst / "theirs", 3)


def older(source: Path, dst: Path) -> None:
    """The whole tree with every file's content of before, some longer and some shorter."""
    shutil.copytree(source, dst, symlinks=True)
    for number, path in enumerate(sorted(dst.rglob("*"))):
        if path.is_file() and not path.is_symlink():
            size = max(0, path.stat().st_size + (number % 3 - 1) * 777)
            path.chmod(0o644)
            data.write_random(path, f"{SEED}/older/{number}", min(size, 2 * data.MIB))
            data.age(path, 5000 + number)


def older_file(source: Path, dst: Path) -> None:
    """A longer file than the source, of other content."""
    data.write_random(dst, f"{SEED}/older", source.stat().st_size + 12_345)
    data.age(dst, 5000)


def drifted(source: Path, dst: Path) -> None:
    """A copy of before: a third equal, a third older, a third missing, and names of its own."""
    shutil.copytree(source, dst, symlinks=True)
    for number, path in enumerate(sorted(dst.rglob("*"))):
        if not path.is_file() or path.is_symlink() or number % 3 == 0:
            continue
        path.chmod(0o644)
        if number % 3 == 1:
            path.unlink()
            continue
        data.write_random(path, f"{SEED}/drifted/{number}", min(path.stat().st_size, 500))
        data.age(path, 5000 + number)
    (dst / "extra/deep").mkdir(parents=True)
    # Fewer than what stays, since no more than half may go.
    for n in range(20 if number > 100 else 6):
        data.write_random(dst / ("extra" if n % 2 else "extra/deep") / f"x{n}", f"{SEED}/x{n}", 50)
    (dst / "extra/deep/link").symlink_to("nowhere")
    shutil.copystat(source, dst)
    for path in source.rglob("*"):
        copied = dst / path.relative_to(source)
        if path.is_dir() and not path.is_symlink():
            shutil.copystat(path, copied)


def linked(path: Path, small: bool) -> None:
    """A tree with hard links, holes and extended attributes beside plain files."""
    small_tree(path)
    count = 5 if small else 400
    (path / "names").mkdir()
    for n in range(count):
        file = path / "names" / f"n{n}"
        data.write_random(file, f"{SEED}/n{n}", n)
        if n % 2 == 0:
            (path / "d" / f"same{n}").hardlink_to(file)
        if n % 5 == 0:
            os.setxattr(file, "user.campaign", f"value {n}".encode())
    with (path / "sparse").open("wb") as sparse:
        for at in (0, 5, 9):
            sparse.seek(at * data.MIB)
            sparse.write(b"%d" % at)
    data.dress(path, random.Random(SEED))


def tarred(dst: Path, scratch: Path) -> Tree:
    """What is in the archive: the same thing as long as the archive is."""
    if not dst.exists():
        return {}
    status = dst.stat()
    same = {"inode": b"%d" % status.st_ino, "ctime": b"%d" % status.st_ctime_ns, "links": 1}
    members = auditor.in_seconds(auditor.unpacked(dst, scratch))
    return {name: auditor.Fact(**{**fact.__dict__, **same}) for name, fact in members.items()}


def short_names(path: Path, small: bool) -> None:
    """A tree whose names can take an ending."""
    tree(path, small)
    for longest in [name for name in path.rglob("*") if len(os.fsencode(name.name)) > 240]:
        folder = longest.parent.stat()
        longest.unlink()
        os.utime(longest.parent, ns=(folder.st_atime_ns, folder.st_mtime_ns))


def gunzipped(dst: Path, _scratch: Path) -> Tree:
    """The one file behind a gzip file, without the times and mode that op compress makes anew."""
    return plain(auditor.unzipped(dst)) if dst.exists() else {}


def plain(tree: Tree) -> Tree:
    """Names and content only."""
    blank = {"mode": b"", "mtime": b""}
    return {
        name.replace(b"no .gz: ", b""): auditor.Fact(**{**fact.__dict__, **blank})
        for name, fact in tree.items()
    }


Varied = Dict[str, List[Any]]
READ: Varied = {"chunk_bytes": [None, "64KiB", "8MiB"], "verify": [None, "readback"]}
LASTS: Varied = {"durability": [None, None, "crash"]}
MANY: Varied = {**READ, **LASTS, "parallel_files": [None, 1, 7]}

TYPES = [
    JobType("large", large, {}, varied={**READ, **LASTS}),
    JobType("many", tree, {}, before=bystanders, varied=MANY),
    JobType("replace", tree, {"on_exists": "replace"}, before=older, varied=MANY),
    JobType("replace-large", large, {"on_exists": "replace"}, before=older_file, varied=READ),
    JobType(
        "sync", tree, {"on_exists": "update", "delete": True}, before=drifted, varied=LASTS,
        removes=True, leaves_equal=True,
    ),
    JobType(
        "squeeze", short_names, {"compress": "gzip"}, varied=LASTS,
        view=lambda dst, scratch: auditor.unzipped(dst),
    ),
    JobType("chunked", parts, {"parallel_chunks": 4}, varied=READ),
    JobType(
        "linked", linked,
        {"preserve": ["mode", "times", "holes", "hard_links", "xattrs"]}, varied=LASTS,
        carries=True,
    ),
    JobType("pack", text, {"op": "compress", "format": "gzip"}, view=gunzipped, dst="dst.gz",
            expect=lambda source: plain(auditor.look(source))),
    JobType(
        "archive", tree, {"op": "compress", "format": "tar_zstd"}, view=tarred, dst="dst.tar.zst",
        expect=lambda source: auditor.in_seconds(auditor.look(source)), at_once=True,
    ),
]


def chosen(names: str) -> List[JobType]:
    """The types of these names, separated by commas; all for none.

    Raises `KeyError` for a name that is not one.
    """
    known = {kind.name: kind for kind in TYPES}
    return [known[name] for name in names.split(",")] if names else TYPES
