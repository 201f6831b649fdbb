"""The places that copies go between, each with a client that the engine has no part in."""

import os
import shutil
from dataclasses import dataclass
from decimal import Decimal
from os import environ
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import boto3
from azure.core.credentials import AzureNamedKeyCredential
from azure.storage.blob import BlobServiceClient
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from pairs.content import MIB, digests, read

Location = Dict[str, Any]
# What every source has: long ago, to the nanosecond, with a mode that is nobody's default.
MTIME = Decimal("1000000000.123456789")
MODE = 0o640
METADATA = {"mtime": str(MTIME), "mode": f"10{MODE:04o}"}
# The least part of an upload that S3 allows, and a step that GCS asks of chunks.
PART = 5 * MIB


@dataclass
class Found:
    """What a client says of an object or file."""

    size: int
    md5: str
    mtime: Optional[Decimal]
    mode: Optional[int]


def found(pieces: Iterator[bytes], metadata: Dict[str, str]) -> Found:
    """What is read of an object, and what stands in its user metadata."""
    said = digests(pieces, "md5")
    mtime, mode = metadata.get("mtime"), metadata.get("mode")
    return Found(
        said["size"], said["md5"], Decimal(mtime) if mtime else None, int(mode, 8) if mode else None
    )


class Place:
    """A place that holds content under keys, beneath a prefix of this run's."""

    # Bytes of a part; sizes are chosen around it where copies go there.
    part = PART
    # Whether copies can go there.
    writes = True
    # What a copy from there has for its time and mode.
    mtime: Decimal = MTIME
    mode: Optional[int] = 0o100000 | MODE

    def __init__(self, name: str, prefix: str) -> None:
        self.name, self.prefix = name, prefix

    def location(self, key: str) -> Location:
        """How the engine is told of a key."""
        raise NotImplementedError

    def put(self, key: str, file: Path) -> None:
        """Stores a file, with `METADATA`."""
        raise NotImplementedError

    def look(self, key: str) -> Found:
        """Reads what stands under a key."""
        raise NotImplementedError

    def keys(self, below: str) -> List[str]:
        """All keys that begin so, with what comes after it."""
        raise NotImplementedError

    def drop(self, key: str) -> None:
        """Removes a key."""
        raise NotImplementedError

    def clear(self) -> None:
        """Removes all that is beneath the prefix."""
        for key in self.keys(""):
            self.drop(key)


class Disk(Place):
    """Files."""

    # What a large file is copied by.
    part = 8 * MIB

    def __init__(self, root: Path) -> None:
        super().__init__("file", "")
        self.root = root
        self.root.mkdir()

    def location(self, key: str) -> Location:
        return {"url": str(self.root / key)}

    def put(self, key: str, file: Path) -> None:
        target = self.root / key
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        target.chmod(MODE)
        os.utime(target, ns=(int(MTIME * 10**9),) * 2)

    def look(self, key: str) -> Found:
        path = self.root / key
        status = path.stat()
        said = digests(read(path), "md5")
        mtime = Decimal(status.st_mtime_ns).scaleb(-9)
        return Found(said["size"], said["md5"], mtime, status.st_mode)

    def keys(self, below: str) -> List[str]:
        files = [path for path in self.root.rglob("*") if path.is_file()]
        names = [path.relative_to(self.root).as_posix() for path in files]
        return [name[len(below) :] for name in names if name.startswith(below)]

    def drop(self, key: str) -> None:
        (self.root / key).unlink()


class Web(Disk):
    """Files behind a web server, which tells their times in seconds and nothing of modes."""

    writes = False
    mtime = Decimal(int(MTIME))
    mode = None

    def __init__(self, prefix: str) -> None:
        Place.__init__(self, "http", prefix)
        self.root = Path(environ["TEST_HTTP_ROOT"]) / prefix
        self.root.mkdir()

    def location(self, key: str) -> Location:
        return {"url": f"{environ['TEST_HTTP_ENDPOINT']}/{self.prefix}/{key}"}

    def clear(self) -> None:
        shutil.rmtree(self.root)


class S3(Place):
    """A server of S3, by the prefix of its variables."""

    def __init__(self, name: str, variables: str, prefix: str) -> None:
        super().__init__(name, prefix)
        self.variables = variables
        self.client = boto3.client(
            "s3",
            endpoint_url=environ[f"{variables}_ENDPOINT"],
            region_name=environ[f"{variables}_REGION"],
            aws_access_key_id=environ[f"{variables}_ACCESS_KEY"],
            aws_secret_access_key=environ[f"{variables}_SECRET_KEY"],
            config=Config(s3={"addressing_style": "path"}, max_pool_connections=32),
        )
        self.bucket = environ["TEST_BUCKET"]

    def location(self, key: str) -> Location:
        return {
            "url": f"s3://{self.bucket}/{self.prefix}/{key}",
            "endpoint": environ[f"{self.variables}_ENDPOINT"],
            "region": environ[f"{self.variables}_REGION"],
            "auth": {
                "access_key_id": {"env": f"{self.variables}_ACCESS_KEY"},
                "secret_access_key": {"env": f"{self.variables}_SECRET_KEY"},
            },
            "part_bytes": self.part,
        }

    def where(self, key: str) -> Dict[str, str]:
        """The arguments that name a key."""
        return {"Bucket": self.bucket, "Key": f"{self.prefix}/{key}"}

    def put(self, key: str, file: Path) -> None:
        parts = TransferConfig(multipart_threshold=PART + 1, multipart_chunksize=PART)
        self.client.upload_file(
            str(file), *self.where(key).values(), ExtraArgs={"Metadata": METADATA}, Config=parts
        )

    def look(self, key: str) -> Found:
        answer = self.client.get_object(**self.where(key))
        return found(answer["Body"].iter_chunks(MIB), answer["Metadata"])

    def keys(self, below: str) -> List[str]:
        prefix = f"{self.prefix}/{below}"
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix
        )
        listed = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return [key[len(prefix) :] for key in listed]

    def drop(self, key: str) -> None:
        self.client.delete_object(**self.where(key))


class Gcs(Place):
    """The server of Google Cloud Storage."""

    def __init__(self, prefix: str) -> None:
        super().__init__("gs", prefix)
        self.client = storage.Client(
            project="tests",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": environ["TEST_GCS_ENDPOINT"]},
        )
        self.bucket = self.client.bucket(environ["TEST_BUCKET"])

    def location(self, key: str) -> Location:
        return {
            "url": f"gs://{self.bucket.name}/{self.prefix}/{key}",
            "endpoint": environ["TEST_GCS_ENDPOINT"],
            "anonymous": True,
            "part_bytes": self.part,
        }

    def put(self, key: str, file: Path) -> None:
        blob = self.bucket.blob(f"{self.prefix}/{key}", chunk_size=16 * PART)
        blob.metadata = METADATA
        blob.upload_from_filename(str(file))

    def look(self, key: str) -> Found:
        blob = self.bucket.get_blob(f"{self.prefix}/{key}")
        if blob is None:
            raise FileNotFoundError(key)

        def pieces() -> Iterator[bytes]:
            with blob.open("rb", chunk_size=16 * PART) as file:
                while piece := file.read(MIB):
                    yield piece

        return found(pieces() if blob.size else iter(()), blob.metadata or {})

    def keys(self, below: str) -> List[str]:
        prefix = f"{self.prefix}/{below}"
        listed = self.client.list_blobs(self.bucket, prefix=prefix)
        return [blob.name[len(prefix) :] for blob in listed]

    def drop(self, key: str) -> None:
        self.bucket.delete_blob(f"{self.prefix}/{key}")


class Azure(Place):
    """The server of Azure Blob Storage."""

    def __init__(self, prefix: str) -> None:
        super().__init__("az", prefix)
        account = environ["TEST_AZURE_ACCOUNT"]
        credential = AzureNamedKeyCredential(account, environ["TEST_AZURE_KEY"])
        service = BlobServiceClient(
            environ["TEST_AZURE_ENDPOINT"], credential=credential,
            max_single_put_size=PART, max_block_size=PART,
        )
        self.container = service.get_container_client(environ["TEST_BUCKET"])

    def location(self, key: str) -> Location:
        return {
            "url": f"az://{self.container.container_name}/{self.prefix}/{key}",
            "endpoint": environ["TEST_AZURE_ENDPOINT"],
            "account": environ["TEST_AZURE_ACCOUNT"],
            "auth": {"account_key": {"env": "TEST_AZURE_KEY"}},
            "part_bytes": self.part,
        }

    def put(self, key: str, file: Path) -> None:
        with file.open("rb") as content:
            self.container.upload_blob(
                f"{self.prefix}/{key}", content, length=file.stat().st_size, metadata=METADATA
            )

    def look(self, key: str) -> Found:
        stream = self.container.download_blob(f"{self.prefix}/{key}")
        return found(stream.chunks(), stream.properties.metadata)

    def keys(self, below: str) -> List[str]:
        prefix = f"{self.prefix}/{below}"
        listed = self.container.list_blob_names(name_starts_with=prefix)
        return [name[len(prefix) :] for name in listed]

    def drop(self, key: str) -> None:
        self.container.delete_blob(f"{self.prefix}/{key}")


def stores(prefix: str) -> List[Place]:
    """Every store that is up, beneath a prefix."""
    servers = {"s3": "TEST_S3", "rgw": "TEST_RGW"}
    s3: List[Place] = [
        S3(name, variables, prefix)
        for name, variables in servers.items()
        if name == "s3" or f"{variables}_ENDPOINT" in environ
    ]
    return [*s3, Gcs(prefix), Azure(prefix)]
