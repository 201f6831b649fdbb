"""What the S3 races need beside the contenders: it makes, clears and compares, with boto3.

Usage: judge.py bucket BUCKET | clear BUCKET PREFIX | same BUCKET KEY PLACE | keys BUCKET PREFIX COUNT
KEY of a tree ends in a slash. `same` compares sizes and md5 of all objects and all files.
"""

import asyncio
import hashlib
import os
import sys

import boto3
import botocore.config
from obstore.store import S3Store

AT_ONCE = 64
KEYS_PER_FOLDER = 1000


def client():
    """Path style, as a host that is an address needs it."""
    return boto3.client("s3", config=botocore.config.Config(s3={"addressing_style": "path"}))


def listed(s3, bucket, prefix):
    """Every object under the prefix."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Contents", [])


def bucket(s3, name):
    """Makes the bucket unless it is there."""
    if name not in [found["Name"] for found in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=name)


def clear(s3, name, prefix):
    """Removes what is under the prefix."""
    while True:
        found = s3.list_objects_v2(Bucket=name, Prefix=prefix).get("Contents", [])
        if not found:
            return
        keys = [{"Key": item["Key"]} for item in found]
        answer = s3.delete_objects(Bucket=name, Delete={"Objects": keys, "Quiet": True})
        if answer.get("Errors"):
            sys.exit(str(answer["Errors"][0]))


def md5(pieces):
    """The digest of pieces of content."""
    digest = hashlib.md5()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def md5_of_file(path):
    """The digest of a file."""
    with open(path, "rb") as file:
        return md5(iter(lambda: file.read(1 << 20), b""))


def md5_of_object(s3, name, item):
    """The digest the server took of an object sent whole; of one in parts, by reading it."""
    tag = item["ETag"].strip('"')
    if "-" not in tag:
        return tag
    return md5(s3.get_object(Bucket=name, Key=item["Key"])["Body"].iter_chunks(1 << 20))


def same(s3, name, key, place):
    """Fails unless objects and files agree."""
    files = {key: place}
    if key.endswith("/"):
        paths = [os.path.join(at, one) for at, _, names in os.walk(place) for one in names]
        files = {key + os.path.relpath(path, place): path for path in paths}
    for item in listed(s3, name, key):
        path = files.pop(item["Key"], None)
        if path is None:
            sys.exit(f"{item['Key']} is too much")
        if item["Size"] != os.path.getsize(path) or md5_of_object(s3, name, item) != md5_of_file(path):
            sys.exit(f"{item['Key']} differs")
    if files:
        sys.exit(f"{min(files)} is missing")


def keys(s3, name, prefix, count):
    """Makes so many small objects under the prefix unless they are there; prints what they hold."""
    sizes = [item["Size"] for item in listed(s3, name, prefix)]
    if len(sizes) != count:
        asyncio.run(make(S3Store(name, client_options={"allow_http": True}), prefix, count))
        sizes = [item["Size"] for item in listed(s3, name, prefix)]
    print(len(sizes), sum(sizes))


async def make(store, prefix, count):
    """Sends the objects, so many at once."""
    numbers = iter(range(count))

    async def sender():
        for n in numbers:
            key = f"{prefix}{n // KEYS_PER_FOLDER:04}/{n % KEYS_PER_FOLDER:04}-of-a-common-length"
            await store.put_async(key, b"x" * (n % 100), use_multipart=False)

    await asyncio.gather(*[sender() for _ in range(AT_ONCE)])


def main():
    """Does as it is told; what is wrong is said on standard error, with exit status 1."""
    verb, name, *rest = sys.argv[1:]
    s3 = client()
    if verb == "keys":
        keys(s3, name, rest[0], int(rest[1]))
    else:
        {"bucket": bucket, "clear": clear, "same": same}[verb](s3, name, *rest)


if __name__ == "__main__":
    main()
