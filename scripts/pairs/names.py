"""Odd names to every store and back, and odd keys that other programs made.

A name that a store cannot hold fails by its name; none becomes another one, or another's content.
"""

import base64
import os
from pathlib import Path
from typing import Any, Dict, Iterable, List, Set, Tuple

from campaign.engine import Engine, Event

from pairs.places import S3, Place

DEEP = b"/".join([b"d%02d" % level for level in range(40)]) + b"/leaf"
NAMES: List[bytes] = [
    b"plain", b"two words", b" leading", b"trailing ", b"100%", b"%41", b"a%2Fb", b"%", b"a?b=c",
    b"a#b", b"a+b", b"a&b;c=d,e", b"a:b", b"a@b", b"~a", b"-rf", b"quote'\"`$(x)", b"*?[a]{b}",
    b"<a>|^", b"n" * 255, b"\xc3\xa9" * 127, DEEP, b".hidden", b".folder/.hidden", b"a..b", b"...",
    b"dot.", b"folder./a", b"case", b"CASE", b"tab\there", b"line\nbreak", b"cr\rhere",
    b"control\x01", b"delete\x7f",
    "\u00e9-nfc".encode(), "e\u0301-nfd".encode(), "\u202ebidi".encode(), "\U0001f600".encode(),
    "\ufeffmark".encode(), "\uffff".encode(), b"not-utf8-\xff\xfe",
    b"back\\slash", b"back/slash", b"end\\", b"\\begin", b"..\\up",
]
# What no store can hold, and what each cannot.
NEVER = {b"not-utf8-\xff\xfe"}
BACKSLASHES = {name for name in NAMES if b"\\" in name}
# The servers of s3 and az take a backslash for a slash; that of gs keeps objects as files with
# names that it makes longer.
LONG = {name for name in NAMES if max(map(len, name.split(b"/"))) > 250}
REFUSED: Dict[str, Set[bytes]] = {"s3": BACKSLASHES, "rgw": set(), "gs": LONG, "az": BACKSLASHES}
# Where they are, Azurite cannot list anything: XML does not hold them.
UNLISTED = {b"control\x01", "\uffff".encode()}
# What a name or a store's refusal of it is called.
CODES = {"NAME_REFUSED", "STORE_REFUSED"}
# Keys that are no names of files, and some that look like what they are escaped to.
KEYS = [
    "plain", "a//b", "/leading", "//two", "../up", "x/../y", "./dot", "x/.", "z/..", "trailing/",
    "tail//", "%", "%2E", "100%25", "a%2Fb", "x/%/y", "...", "back\\slash",
]
UNSAFE = {
    key for key in KEYS if any(part in ("", ".", "..") for part in key.split("/"))
}


def exact(at: Event) -> bytes:
    """The path of an event, byte by byte."""
    if "path_b64" in at:
        return base64.b64decode(at["path_b64"])
    return str(at["path"]).encode()


def content(name: bytes) -> bytes:
    """What a file of this name holds."""
    return b"content of " + name


def build(root: bytes, names: Iterable[bytes]) -> None:
    """A tree of these names."""
    for name in names:
        path = root + b"/" + name
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content(name))


def tree(root: bytes) -> Dict[bytes, bytes]:
    """Names and content of all files."""
    files: Dict[bytes, bytes] = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                files[os.path.relpath(path, root)] = file.read()
    return files


def copied(engine: Engine, number: str, src: Any, dst: Any) -> Tuple[Event, Dict[bytes, str]]:
    """Copies, and tells which names failed with what."""
    first = len(engine.events)
    result = engine.call({"op": "copy", "id": number, "src": src, "dst": dst})
    items = [e for e in engine.events[first:] if e["type"] == "item" and e["id"] == number]
    return result, {exact(e): e["error"]["code"] for e in items if e["status"] == "failed"}


def shown(names: Any) -> str:
    """Names for people."""
    return ", ".join(repr(name) for name in sorted(names))


def round_trip(engine: Engine, place: Path, store: Place) -> List[str]:
    """A tree of odd names into a store and back."""
    odd, back = place / f"odd-{store.name}", place / f"back-{store.name}"
    build(os.fsencode(odd), [n for n in NAMES if store.name != "az" or n not in UNLISTED])
    there = store.location("odd")
    result, failed = copied(engine, f"to-{store.name}", {"url": str(odd)}, there)
    problems = []
    refused = REFUSED[store.name] | NEVER
    if failed.keys() != refused:
        problems.append(f"refused: {shown(failed)}; expected: {shown(refused)}; {result['status']}")
    if set(failed.values()) - CODES:
        problems.append(f"codes: {failed}")
    whole = tree(os.fsencode(odd))
    sent = {name: text for name, text in whole.items() if name not in failed}
    listed = {key.encode() for key in store.keys("odd/")}
    if listed != sent.keys():
        problems.append(
            f"listed too: {shown(listed - sent.keys())}; missing: {shown(sent.keys() - listed)}"
        )
    result, failed = copied(engine, f"from-{store.name}", there, {"url": str(back)})
    if result["status"] != "ok":
        problems.append(f"back: {result['status']} {result.get('error')} {failed}")
    returned = tree(os.fsencode(back))
    if returned != sent:
        wrong = {name for name in sent if returned.get(name) != sent[name]}
        problems.append(f"differ: {shown(wrong)}; more: {shown(returned.keys() - sent.keys())}")
    print(f"names {store.name}: {len(sent)} of {len(whole)} held, {len(problems)} FAILED")
    return [f"names {store.name}: {problem}" for problem in problems]


def held(store: S3, below: str) -> Dict[str, bytes]:
    """Keys and content of what stands there."""
    reads = {key: store.client.get_object(**store.where(below + key)) for key in store.keys(below)}
    return {key: answer["Body"].read() for key, answer in reads.items()}


def escapes(engine: Engine, place: Path, store: S3) -> List[str]:
    """Keys that are no names: refused as they are, and the same again by escapes."""
    for key in KEYS:
        body = f"content of {key}".encode()
        store.client.put_object(**store.where(f"keys/{key}"), Body=body)
    made = held(store, "keys/")
    problems = [] if set(made) == set(KEYS) else [f"the store has {shown(made)}"]
    plain = place / f"plain-{store.name}"
    result, _ = copied(engine, "plain", store.location("keys"), {"url": str(plain)})
    named = {failure["at"]["path"]: failure["code"] for failure in result.get("failures", [])}
    if named != dict.fromkeys(UNSAFE, "NAME_REFUSED"):
        problems.append(f"plain: {named}")
    if tree(os.fsencode(plain)).keys() != {key.encode() for key in set(KEYS) - UNSAFE}:
        problems.append(f"plain: copied {shown(tree(os.fsencode(plain)))}")
    disk = {"url": str(place / f"escaped-{store.name}")}
    for number, source, target in (
        ("escaped", {**store.location("keys"), "keys": "escape"}, disk),
        ("again", disk, {**store.location("again"), "keys": "escape"}),
    ):
        result, failed = copied(engine, number, source, target)
        if result["status"] != "ok":
            problems.append(f"{number}: {result.get('error')} {failed}")
    if held(store, "again/") != made:
        wrong = set(made.items()) ^ set(held(store, "again/").items())
        problems.append(f"not the same again: {shown(wrong)}")
    print(f"keys {store.name}: {len(KEYS)} keys, {len(problems)} FAILED")
    return [f"keys {store.name}: {problem}" for problem in problems]


def run(engine: Engine, place: Path, stores: List[Place]) -> List[str]:
    """All of it; SeaweedFS itself refuses keys that no tree can hold."""
    engine.call({"op": "hello", "id": "hello-names", "events": ["item"]})
    problems = [problem for store in stores for problem in round_trip(engine, place, store)]
    for store in stores:
        if isinstance(store, S3) and store.name == "rgw":
            problems += escapes(engine, place, store)
    return problems
