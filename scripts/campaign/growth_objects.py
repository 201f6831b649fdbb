"""Memory as objects grow: one large object up and down, and many keys kept in step, under a cap.

Usage: python3 -m campaign.growth_objects [--large SIZE] [--keys COUNT]
The server is the one that TEST_GARAGE_* name.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import List

from campaign.data import MIB
from campaign.engine import HELLO, Engine, Event
from campaign.growth import FILES_PER_DIRECTORY, build_many, done, size_of

MEMORY_CAP = 64 * MIB
PARALLEL_CHUNKS = 32
# One file of so many is changed, one removed, and one key of so many is too much.
CHANGED_EVERY, REMOVED_EVERY = 100, 101
PATIENCE_S = 3600.0
BUCKET = "benches"
# Makes the bucket, and empties what an earlier run left under a prefix.
PREPARE = f"""
import os, sys, boto3
s3 = boto3.client("s3", endpoint_url=os.environ["TEST_GARAGE_ENDPOINT"],
    region_name=os.environ["TEST_GARAGE_REGION"],
    aws_access_key_id=os.environ["TEST_GARAGE_ACCESS_KEY"],
    aws_secret_access_key=os.environ["TEST_GARAGE_SECRET_KEY"])
if "{BUCKET}" not in [one["Name"] for one in s3.list_buckets()["Buckets"]]:
    s3.create_bucket(Bucket="{BUCKET}")
while True:
    found = s3.list_objects_v2(Bucket="{BUCKET}", Prefix=sys.argv[1]).get("Contents", [])
    if not found:
        break
    keys = [{{"Key": one["Key"]}} for one in found]
    s3.delete_objects(Bucket="{BUCKET}", Delete={{"Objects": keys, "Quiet": True}})
"""
# Names and sizes of what is under a prefix, sorted as names of files are.
LISTED = PREPARE.split("while")[0] + f"""
for page in s3.get_paginator("list_objects_v2").paginate(Bucket="{BUCKET}", Prefix=sys.argv[1]):
    for one in page.get("Contents", []):
        print(one["Key"][len(sys.argv[1]):], one["Size"])
"""


def client(script: str, prefix: str) -> str:
    """What an independent client prints."""
    words = [os.environ["TEST_CLIENTS_PYTHON"], "-c", script, prefix]
    return subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True).stdout


def at(key: str) -> Event:
    """The location of a key. The server knows no conditions on writes."""
    names = {"access_key_id": "ACCESS_KEY", "secret_access_key": "SECRET_KEY"}
    return {
        "url": f"s3://{BUCKET}/{key}",
        "endpoint": os.environ["TEST_GARAGE_ENDPOINT"],
        "region": os.environ["TEST_GARAGE_REGION"],
        "allow_racy": True,
        "auth": {field: {"env": f"TEST_GARAGE_{name}"} for field, name in names.items()},
    }


def timed(place: Path, what: str, command: Event) -> List[str]:
    """Runs a command in an engine of its own. Returns problems."""
    with Engine(place, ["--memory-cap", str(MEMORY_CAP)]) as engine:
        begun = time.monotonic()
        engine.send(HELLO, {"id": "c", **command})
        result = engine.until(lambda e: e["type"] == "result" and e["id"] == "c", PATIENCE_S)
        seconds = time.monotonic() - begun
        peak, used = engine.peak_bytes(), cpu_seconds(engine)
    if result is None:
        return [f"{what}: the engine ended"]
    print(f"{what}: {seconds:.1f} s, {used:.1f} s CPU, peak {peak} bytes, {brief(result)}")
    problems = [f"{what}: {why}" for why in done(result)]
    if peak > MEMORY_CAP:
        problems.append(f"{what}: {peak} bytes of memory, the cap is {MEMORY_CAP}")
    return problems


def cpu_seconds(engine: Engine) -> float:
    """User and system time of the engine up to now."""
    fields = Path(f"/proc/{engine.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def brief(result: Event) -> Event:
    """The counts of a result."""
    totals = result["metrics"]
    return {name: value for name, value in totals.items() if name.startswith("items")}


def large(place: Path, size: int) -> List[str]:
    """One object, with more parts at once than there is memory for."""
    key = "growth/large"
    client(PREPARE, key)
    with (place / "large").open("wb") as file:
        block = os.urandom(64 * MIB - 1)
        for start in range(0, size, len(block)):
            file.write(block[: size - start])
    copy = {"op": "copy", "parallel_chunks": PARALLEL_CHUNKS}
    problems = timed(place, f"{size} bytes up", {**copy, "src": "large", "dst": at(key)})
    problems += timed(place, f"{size} bytes down", {**copy, "src": at(key), "dst": "copy"})
    if subprocess.run(["cmp", place / "large", place / "copy"], check=False).returncode:
        problems.append("a large object: what came back differs")
    client(PREPARE, key)
    return problems


def many(place: Path, count: int) -> List[str]:
    """A tree of `count` files sent, changed here and there, and sent again."""
    key = "growth/many"
    client(PREPARE, key)
    source = place / "src"
    build_many(source, count)
    keep = {
        "op": "copy", "src": "src", "dst": at(key), "on_exists": "update", "delete": True,
    }
    problems = timed(place, f"{count} keys made", keep)
    problems += timed(place, f"{count} keys found as they are", keep)
    for n in range(0, count, CHANGED_EVERY):
        file_of(source, n).write_bytes(b"changed %d\n" % n)
    for n in range(0, count, REMOVED_EVERY):
        file_of(source, n).unlink()
    problems += timed(place, f"{count} keys brought into step", keep)
    found = sorted(client(LISTED, f"{key}/").splitlines())
    files = sorted(
        f"{folder.name}/{file.name} {file.stat().st_size}"
        for folder in source.iterdir() for file in folder.iterdir()
    )
    if found != files:
        problems.append(f"{count} keys: {len(found)} objects are there for {len(files)} files")
    return problems


def file_of(source: Path, n: int) -> Path:
    """The n-th file that `build_many` made."""
    return source / f"d{n // FILES_PER_DIRECTORY:04}" / f"f{n}"


def main() -> None:
    """Exits with 1 when a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", type=size_of, default=size_of("4GiB"))
    parser.add_argument("--keys", type=int, default=100_000)
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="growth-objects-"))
    problems: List[str] = []
    for name, work, amount in (("large", large, options.large), ("many", many, options.keys)):
        if amount:
            (root / name).mkdir()
            problems += work(root / name, amount)
            shutil.rmtree(root / name)
    shutil.rmtree(root)
    for problem in problems:
        print(f"FAILED {problem}")
    print(f"growth of objects: {len(problems)} FAILED")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
