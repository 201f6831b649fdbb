"""An independent client of the object store under test: boto3, in its own Python."""

import base64
import hashlib
import itertools
import json
import os
import subprocess
import uuid
from typing import Any, Dict, Iterator, List

import pytest

_SCRIPT = r"""
import base64, hashlib, json, os, sys
import boto3, botocore.config

s3 = boto3.client(
    "s3",
    endpoint_url=os.environ["TEST_S3_ENDPOINT"],
    region_name=os.environ["TEST_S3_REGION"],
    aws_access_key_id=os.environ["TEST_S3_ACCESS_KEY"],
    aws_secret_access_key=os.environ["TEST_S3_SECRET_KEY"],
    config=botocore.config.Config(s3={"addressing_style": "path"}),
)

def put(bucket, key, body, **more):
    s3.put_object(Bucket=bucket, Key=key, Body=base64.b64decode(body), **more)

def facts(bucket, key):
    found = s3.get_object(Bucket=bucket, Key=key)
    body = found["Body"].read()
    return {
        "bytes": len(body),
        "md5": hashlib.md5(body).hexdigest(),
        "etag": found["ETag"],
        "type": found["ContentType"],
        "cache": found.get("CacheControl"),
        "metadata": found["Metadata"],
    }

def keys(bucket):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return sorted(one["Key"] for page in pages for one in page.get("Contents", []))

def uploads(bucket):
    told = s3.list_multipart_uploads(Bucket=bucket)
    return sorted(one["Key"] for one in told.get("Uploads", []))

def drop(bucket):
    for key in keys(bucket):
        s3.delete_object(Bucket=bucket, Key=key)
    s3.delete_bucket(Bucket=bucket)

def make(bucket):
    s3.create_bucket(Bucket=bucket)

for line in sys.stdin:
    name, arguments, named = json.loads(line)
    print(json.dumps(globals()[name](*arguments, **named)), flush=True)
"""


def setting(name: str) -> str:
    """What ``scripts/services.sh env`` says; its absence is a failure, not a reason to skip."""
    value = os.environ.get(name)
    if not value:
        pytest.fail('%s is not set: eval "$(scripts/services.sh env)"' % name)
    return value


class Judge:
    """Asks boto3."""

    def __init__(self) -> None:
        for name in ("ENDPOINT", "REGION", "ACCESS_KEY", "SECRET_KEY"):
            setting("TEST_S3_" + name)
        self._child = subprocess.Popen(
            [setting("TEST_CLIENTS_PYTHON"), "-c", _SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def ask(self, name: str, *arguments: Any, **named: Any) -> Any:
        """Calls a function of the script."""
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.write(json.dumps([name, arguments, named]).encode() + b"\n")
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        assert line, "the judge ended"
        return json.loads(line)

    def close(self) -> None:
        """Ends the client."""
        self._child.kill()
        self._child.wait()


class Shelf:
    """A bucket of one test, as its judge sees it."""

    def __init__(self, judge: Judge, name: str) -> None:
        self._judge = judge
        self.name = name

    def put(self, key: str, body: bytes, **more: Any) -> None:
        """An object by another client."""
        self._judge.ask("put", self.name, key, base64.b64encode(body).decode(), **more)

    def facts(self, key: str) -> Dict[str, Any]:
        """What another client reads."""
        told: Dict[str, Any] = self._judge.ask("facts", self.name, key)
        return told

    def listed(self) -> List[str]:
        """Every key."""
        told: List[str] = self._judge.ask("keys", self.name)
        return told

    def uploads(self) -> List[str]:
        """Keys of uploads that did not end."""
        told: List[str] = self._judge.ask("uploads", self.name)
        return told

    def at(self, key: str = "", **more: Any) -> Dict[str, Any]:
        """A location in it."""
        auth = {
            "access_key_id": {"env": "TEST_S3_ACCESS_KEY"},
            "secret_access_key": {"env": "TEST_S3_SECRET_KEY"},
        }
        return {
            "url": "s3://%s/%s" % (self.name, key) if key else "s3://" + self.name,
            "endpoint": setting("TEST_S3_ENDPOINT"),
            "region": setting("TEST_S3_REGION"),
            "auth": auth,
            **more,
        }


_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def judge() -> Iterator[Judge]:
    one = Judge()
    yield one
    one.close()


@pytest.fixture
def shelf(judge: Judge) -> Iterator[Shelf]:
    name = "test-%s-%d" % (uuid.uuid4().hex[:12], next(_NUMBERS))
    judge.ask("make", name)
    yield Shelf(judge, name)
    judge.ask("drop", name)


def content(length: int) -> bytes:
    """Bytes that differ by their position."""
    return b"".join(b"%015d\n" % at for at in range(length // 16 + 1))[:length]


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()
