"""The transfers of boto3 as a program: up, down and list. The endpoint comes from the environment.

Usage: with_boto3.py classic|crt up|down|list BUCKET KEY PLACE
KEY of a tree ends in a slash; PLACE is a file or a directory.
"""

import os
import sys
from pathlib import Path

import boto3
import botocore.config
import botocore.session
from boto3.s3.transfer import TransferConfig, create_transfer_manager
from s3transfer import crt


def client():
    """Path style, as a host that is an address needs it."""
    config = botocore.config.Config(s3={"addressing_style": "path"}, max_pool_connections=32)
    return boto3.client("s3", config=config)


def manager_of(transfers, s3):
    """The transfers of Python, or of the C library. boto3 sets up the latter for TLS alone; this is
    the same, without.
    """
    if transfers == "classic":
        config = TransferConfig(preferred_transfer_client="classic", max_concurrency=16)
        return create_transfer_manager(s3, config)
    session = botocore.session.Session()
    credentials = crt.BotocoreCRTCredentialsWrapper(session.get_credentials())
    client = crt.create_s3_crt_client(
        s3.meta.region_name, credentials.to_crt_credentials_provider(), use_ssl=False
    )
    place = {"region_name": s3.meta.region_name, "endpoint_url": s3.meta.endpoint_url}
    return crt.CRTTransferManager(client, crt.BotocoreCRTRequestSerializer(session, place))


def listed(s3, bucket, prefix):
    """Every object under the prefix."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Contents", [])


def up(s3, manager, bucket, key, place):
    """Sends a file or a tree."""
    if place.is_file():
        yield manager.upload(str(place), bucket, key)
        return
    for folder, _, names in os.walk(place):
        for name in names:
            path = os.path.join(folder, name)
            yield manager.upload(path, bucket, key + os.path.relpath(path, place))


def down(s3, manager, bucket, key, place):
    """Fetches an object or all under a prefix."""
    if not key.endswith("/"):
        yield manager.download(bucket, key, str(place))
        return
    for item in listed(s3, bucket, key):
        path = place / item["Key"][len(key):]
        path.parent.mkdir(parents=True, exist_ok=True)
        yield manager.download(bucket, item["Key"], str(path))


def main():
    """Transfers, or counts and sums."""
    transfers, verb, bucket, key, place = sys.argv[1:]
    s3 = client()
    if verb == "list":
        sizes = [item["Size"] for item in listed(s3, bucket, key)]
        print(len(sizes), sum(sizes))
        return
    with manager_of(transfers, s3) as manager:
        begun = {"up": up, "down": down}[verb](s3, manager, bucket, key, Path(place))
        for future in list(begun):
            future.result()


if __name__ == "__main__":
    main()
