"""The transfers of obstore (object_store in Rust) as a program: up, down and list.

Usage: with_obstore.py up|down|list BUCKET KEY PLACE
KEY of a tree ends in a slash; PLACE is a file or a directory. The endpoint comes from the
environment. A large object is fetched in ranges, several at once, since a plain get is one stream.
"""

import asyncio
import os
import sys
from pathlib import Path

import obstore
from obstore.store import S3Store

AT_ONCE = 16
RANGE_BYTES = 8 << 20


def fetch_part(store, key, handle, start, end):
    """One range of an object, to its place in the file."""
    part = obstore.get_range(store, key, start=start, end=end)
    os.pwrite(handle, part, start)


def fetch(store, key, size, path):
    """An object: the work of each of its ranges."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    for start in range(0, size, RANGE_BYTES):
        yield fetch_part, store, key, handle, start, min(start + RANGE_BYTES, size)


def down(store, key, place):
    """The work of an object or of all under a prefix."""
    if not key.endswith("/"):
        yield from fetch(store, key, obstore.head(store, key)["size"], place)
        return
    for page in obstore.list(store, prefix=key):
        for item in page:
            yield from fetch(store, item["path"], item["size"], place / item["path"][len(key):])


def send(store, key, path):
    """A file; object_store takes parts and several at once where it is large."""
    obstore.put(store, key, path)


def up(store, key, place):
    """The work of a file or a tree."""
    if place.is_file():
        yield send, store, key, place
        return
    for folder, _, names in os.walk(place):
        for name in names:
            path = Path(folder, name)
            yield send, store, key + str(path.relative_to(place)), path


async def all_of(work):
    """All the work, on threads, so many at once."""
    loop = asyncio.get_running_loop()
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(step, *arguments):
        try:
            await asyncio.to_thread(step, *arguments)
        finally:
            slots.release()

    tasks = []
    for step in work:
        await slots.acquire()
        tasks.append(loop.create_task(one(*step)))
    await asyncio.gather(*tasks)


def main():
    """Transfers, or counts and sums."""
    verb, bucket, key, place = sys.argv[1:]
    store = S3Store(bucket, client_options={"allow_http": True})
    if verb == "list":
        sizes = [item["size"] for page in obstore.list(store, prefix=key) for item in page]
        print(len(sizes), sum(sizes))
        return
    asyncio.run(all_of({"up": up, "down": down}[verb](store, key, Path(place))))


if __name__ == "__main__":
    main()
