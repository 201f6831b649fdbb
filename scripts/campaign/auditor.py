"""Judges what an engine left behind. Shares no code with it: find, sha256sum, gzip, tar.

A tree is a mapping from names to facts. Judgements are lists of problems, empty when all is well.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional

FIELDS = 9
FORMAT = r"%y\0%P\0%s\0%m\0%T@\0%C@\0%i\0%n\0%l\0"
# The names that an engine keeps for itself: files in the making, and its lease of a directory.
TEMPORARY = re.compile(rb"(^|/)\.mig-([0-9a-f]{8}-[0-9]+\.part|lease.*)$")
# Times inside archives have whole seconds in some forms.
SECONDS = re.compile(rb"\..*")


@dataclass(frozen=True)
class Fact:
    """What one name is."""

    kind: bytes
    size: int
    mode: bytes
    mtime: bytes
    ctime: bytes
    inode: bytes
    links: int
    target: bytes
    sha256: str = ""

    def content(self) -> "tuple[bytes, bytes, str]":
        """What a reader of the name sees."""
        return (self.kind, self.target, self.sha256)

    def dressed(self) -> "tuple[bytes, ...]":
        """What is carried over beside content; links have no mode of their own."""
        return (b"" if self.kind == b"l" else self.mode, self.mtime)


Tree = Dict[bytes, Fact]
Problems = List[str]


def run(*command: object, stdin: Optional[bytes] = None) -> bytes:
    """The output of a program that must end well."""
    words = [word if isinstance(word, bytes) else str(word) for word in command]
    return subprocess.run(words, input=stdin, stdout=subprocess.PIPE, check=True).stdout


def show(name: bytes) -> str:
    """A name for people."""
    return ascii(name.decode(errors="backslashreplace"))[:120]


def look(root: Path, digests: bool = True) -> Tree:
    """Every name beneath a root, the root itself as the empty name; nothing where it is absent."""
    if not root.is_symlink() and not root.exists():
        return {}
    words = run("find", root, "-printf", FORMAT).split(b"\0")
    rows = [words[at : at + FIELDS] for at in range(0, len(words) - 1, FIELDS)]
    sums = digests_of(root) if digests else {}
    return {
        row[1]: Fact(
            row[0], int(row[2]) if row[0] == b"f" else 0, row[3], row[4], row[5], row[6],
            int(row[7]), row[8], sums.get(row[1], ""),
        )
        for row in rows
    }


def digests_of(root: Path) -> Dict[bytes, str]:
    """SHA-256 of every file beneath a root."""
    names = run("find", root, "-type", "f", "-printf", r"%p\0")
    lines = run("xargs", "-0", "-r", "sha256sum", "-z", "--", stdin=names).split(b"\0")
    prefix = len(bytes(root)) + 1
    return {line[66:][prefix:]: line[:64].decode() for line in lines if line}


def leftovers(root: Path) -> List[bytes]:
    """Temporary files beneath a root."""
    names = run("find", root, "-name", ".mig-*", "-printf", r"%P\0").split(b"\0")
    return [name for name in names if TEMPORARY.search(name)]


def without_temporaries(tree: Tree) -> Tree:
    """What has a name of its own."""
    return {name: fact for name, fact in tree.items() if not TEMPORARY.search(name)}


def moment(now: Tree, old: Tree, new: Tree, removes: bool) -> Problems:
    """At any instant each name is what it was or what it becomes, whole.

    `removes`: names that are not in `new` go away at the end, after all of `new` is there.
    """
    problems = []
    for name, fact in without_temporaries(now).items():
        states = [tree[name] for tree in (old, new) if name in tree]
        if not states:
            problems.append(f"a stranger's name: {show(name)}")
        elif fact.kind == b"d":
            if all(state.kind != b"d" for state in states):
                problems.append(f"a directory where none goes: {show(name)}")
        elif fact.content() not in [state.content() for state in states]:
            problems.append(f"torn: {show(name)} of {fact.size} bytes is neither old nor new")
        elif fact.dressed() not in [
            state.dressed() for state in states if state.content() == fact.content()
        ]:
            problems.append(f"half dressed: {show(name)} {fact.dressed()}")
    gone = [name for name in old if name not in now]
    for name in gone:
        if name in new or not removes:
            problems.append(f"lost: {show(name)} stood there before")
    if gone and removes:
        missing = [name for name in new if name not in now]
        problems += [f"removed before {show(name)} was there" for name in missing[:1]]
    problems += [
        f"touched: {show(name)} is not in conflict"
        for name, fact in old.items()
        if fact.kind != b"d" and name in now and name not in new and now[name] != fact
    ]
    return problems


def final(now: Tree, old: Tree, new: Tree, removes: bool, replaces: bool) -> Problems:
    """In the end the names are exactly those of the source, with its content and dress.

    `replaces`: directories that stood there get the source's dress too.
    """
    wanted = dict(new) if removes else {**old, **new}
    problems = [f"lost: {show(name)}" for name in wanted if name not in now]
    problems += [f"doubled or strange: {show(name)}" for name in now if name not in wanted]
    for name, fact in now.items():
        want = wanted.get(name)
        if want is None:
            continue
        if fact.content() != want.content():
            problems.append(f"lost: {show(name)} has other content")
        elif fact.kind == b"d" and name in old and not replaces:
            if fact.mode != old[name].mode:
                problems.append(f"dress: {show(name)} was somebody else's directory")
        elif fact.dressed() != want.dressed():
            problems.append(f"dress: {show(name)} {fact.dressed()} instead of {want.dressed()}")
        if name in old and name not in new and fact.kind != b"d" and fact != old[name]:
            problems.append(f"touched: {show(name)} is not in conflict")
    return problems


def left_alone(old: Tree, now: Tree, new: Tree) -> Problems:
    """What was equal before is the same file still."""
    problems = []
    for name, fact in old.items():
        equal = name in new and fact.content() == new[name].content() and fact.kind != b"d"
        if equal and fact.mtime == new[name].mtime and name in now and now[name] != fact:
            problems.append(f"touched: {show(name)} was equal")
    return problems


def kept(old: Tree, before: Tree, after: Tree, new: Tree) -> Problems:
    """What an attempt had completed at its kill was not written again by the resume.

    One of several names may be made one with the others again.
    """
    problems = []
    for name, fact in without_temporaries(before).items():
        made = fact != old.get(name) and fact.kind != b"d"
        done = made and name in new and fact.content() == new[name].content()
        done = done and new[name].links == 1
        now = after.get(name)
        if done and now is not None:
            # A name more or less changes the times of its file.
            touched = fact.ctime != now.ctime and fact.links == now.links == 1
            same = fact.inode == now.inode and not touched
            if not same and fact.dressed() == new[name].dressed():
                problems.append(f"redone: {show(name)} was complete at the kill")
    return problems


def done_names(now: Tree, new: Tree) -> int:
    """Items that stand there with the new content and dress."""
    count = 0
    for name, fact in now.items():
        if fact.kind != b"d" and name in new:
            want = new[name]
            count += fact.content() + fact.dressed() == want.content() + want.dressed()
    return count


def unchanged(before: Tree, now: Tree) -> Problems:
    """A source is as it was: names, inodes, times, modes."""
    problems = []
    for name in sorted(set(before) | set(now)):
        was, fact = before.get(name), now.get(name)
        same = was and fact and (was.dressed(), was.size, was.inode, was.ctime) == (
            fact.dressed(), fact.size, fact.inode, fact.ctime,
        )
        if not same:
            problems.append(f"the source changed: {show(name)}")
    return problems


def unzipped(root: Path) -> Tree:
    """A tree whose files are stored as NAME.gz, seen through gzip."""
    tree: Tree = {}
    for name, fact in look(root).items():
        if fact.kind != b"f" or TEMPORARY.search(name):
            tree[name] = fact
            continue
        with open(bytes(root) + (b"/" + name if name else b""), "rb") as stored:
            plain = subprocess.run(["gzip", "-dc"], stdin=stored, capture_output=True, check=False)
        digest = run("sha256sum", stdin=plain.stdout)[:64].decode()
        sha256 = digest if plain.returncode == 0 else "damaged"
        short = name[:-3] if name.endswith(b".gz") else b"no .gz: " + name
        tree[short] = Fact(**{**fact.__dict__, "sha256": sha256})
    return tree


def unpacked(archive: Path, scratch: Path) -> Tree:
    """What tar finds in an archive; nothing where there is none."""
    if not archive.exists():
        return {}
    scratch.mkdir()
    words = ["tar", "--zstd", "-xpf", str(archive), "-C", str(scratch)]
    unpacked = subprocess.run(words, stderr=subprocess.PIPE, check=False)
    tree = look(scratch)
    if unpacked.returncode != 0:
        tree[unpacked.stderr[:100]] = Fact(b"damaged", 0, b"", b"", b"", b"", 1, b"")
    run("rm", "-rf", scratch)
    return tree


def carried(source: Path, dst: Path) -> Problems:
    """Hard links, holes and extended attributes are at the destination too."""
    problems = []
    for name, names in groups(source).items():
        if groups(dst).get(name) != names:
            problems.append(f"the hard links of {show(name)} are not one file")
    for path in [path for path in source.rglob("*") if path.is_file() and not path.is_symlink()]:
        copy = dst / path.relative_to(source)
        if attributes(path) != attributes(copy):
            problems.append(f"extended attributes: {show(bytes(copy))}")
        if copy.stat().st_blocks > path.stat().st_blocks + 64:
            problems.append(f"holes were filled: {show(bytes(copy))}")
    return problems


def attributes(path: Path) -> Dict[str, bytes]:
    """Extended attributes of a file."""
    return {name: os.getxattr(path, name) for name in os.listxattr(path)}


def groups(root: Path) -> Dict[bytes, List[bytes]]:
    """Names of one inode, by the first of them."""
    by_inode: Dict[bytes, List[bytes]] = {}
    for name, fact in look(root, digests=False).items():
        if fact.kind == b"f" and fact.links > 1:
            by_inode.setdefault(fact.inode, []).append(name)
    return {min(names): sorted(names) for names in by_inode.values()}


def in_seconds(tree: Tree) -> Tree:
    """The same with whole seconds, and without the root, whose own entry is optional."""
    return {
        name: Fact(**{**fact.__dict__, "mtime": SECONDS.sub(b"", fact.mtime)})
        for name, fact in tree.items()
        if name
    }
