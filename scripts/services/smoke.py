"""Talks to every server of an instance by clients that share no code with the engine.

Finds them by the variables that services.sh env prints; one line for each server. After `write` it
leaves an object with each, that `read` finds again: before and after a restart.
"""

import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from os import environ
from pathlib import Path

import boto3
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobBlock, BlobServiceClient
from botocore.config import Config
from botocore.exceptions import ClientError
from google.api_core.exceptions import NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

MIB = 1 << 20
LARGE = bytes(range(256)) * (11 * MIB // 256)
SMALL = b"a few bytes"


def hold(what: str, held: bool) -> None:
    """Ends the program with what did not hold."""
    if not held:
        sys.exit(f"smoke: does not hold: {what}")


def refused(status: int, call: Callable[[], object]) -> bool:
    """Whether an S3 call is answered with that status."""
    try:
        call()
    except ClientError as error:
        return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] == status)
    return False


class S3:
    """One S3 server, by the prefix of its variables."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.owner = self.client()

    def client(self, role: str = "", secret: str = ""):
        """A client with the keys of a role: none for the owner, READONLY_, NOLIST_."""
        name = f"{self.prefix}_{role}"
        return boto3.client(
            "s3",
            endpoint_url=environ[f"{self.prefix}_ENDPOINT"],
            region_name=environ[f"{self.prefix}_REGION"],
            aws_access_key_id=environ[f"{name}ACCESS_KEY"],
            aws_secret_access_key=secret or environ[f"{name}SECRET_KEY"],
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )

    def multipart(self) -> None:
        """Uploads in parts of 5 MiB."""
        where = {"Bucket": "smoke", "Key": "large"}
        upload = {**where, "UploadId": self.owner.create_multipart_upload(**where)["UploadId"]}
        parts = []
        for number, at in enumerate(range(0, len(LARGE), 5 * MIB), 1):
            body = LARGE[at : at + 5 * MIB]
            sent = self.owner.upload_part(**upload, PartNumber=number, Body=body)
            parts.append({"PartNumber": number, "ETag": sent["ETag"]})
        self.owner.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})

    def write(self) -> None:
        """Bucket, object, parts, list, ranges, delete."""
        s3 = self.owner
        s3.create_bucket(Bucket="smoke")
        s3.put_object(Bucket="smoke", Key="kept", Body=SMALL, Metadata={"mtime": "1.5"})
        s3.put_object(Bucket="smoke", Key="gone", Body=SMALL)
        self.multipart()
        whole = s3.get_object(Bucket="smoke", Key="large")["Body"].read()
        hold("parts are put together in order", whole == LARGE)
        ranged = s3.get_object(Bucket="smoke", Key="large", Range="bytes=5242875-5242885")
        hold("a range", ranged["Body"].read() == LARGE[5242875:5242886])
        s3.delete_object(Bucket="smoke", Key="gone")
        listed = [item["Key"] for item in s3.list_objects_v2(Bucket="smoke")["Contents"]]
        hold("the list", listed == ["kept", "large"])
        again = {"Bucket": "smoke", "Key": "kept", "Body": b"", "IfNoneMatch": "*"}
        if self.prefix != "TEST_GARAGE":
            hold("no second first write", refused(412, lambda: s3.put_object(**again)))
        self.roles()

    def roles(self) -> None:
        """What the other identities may not do is refused with 403."""
        wrong = self.client(secret="wrong")
        hold("a wrong key is refused", refused(403, lambda: wrong.list_buckets()))
        if f"{self.prefix}_READONLY_ACCESS_KEY" in environ:
            reader = self.client("READONLY_")
            reader.list_objects_v2(Bucket="smoke")
            body = reader.get_object(Bucket="smoke", Key="kept")["Body"].read()
            hold("the reader reads", body == SMALL)
            put = {"Bucket": "smoke", "Key": "new", "Body": b""}
            hold("the reader may not write", refused(403, lambda: reader.put_object(**put)))
            key = {"Bucket": "smoke", "Key": "kept"}
            hold("the reader may not delete", refused(403, lambda: reader.delete_object(**key)))
        if f"{self.prefix}_NOLIST_ACCESS_KEY" in environ:
            blind = self.client("NOLIST_")
            blind.put_object(Bucket="smoke", Key="blind", Body=SMALL)
            body = blind.get_object(Bucket="smoke", Key="blind")["Body"].read()
            hold("who may not list reads", body == SMALL)
            blind.delete_object(Bucket="smoke", Key="blind")
            bucket = {"Bucket": "smoke"}
            hold("may not list", refused(403, lambda: blind.list_objects_v2(**bucket)))

    def read(self) -> None:
        """What write left."""
        found = self.owner.get_object(Bucket="smoke", Key="kept")
        hold("the object is kept", found["Body"].read() == SMALL)
        hold("its metadata are kept", found["Metadata"] == {"mtime": "1.5"})
        large = self.owner.get_object(Bucket="smoke", Key="large")["Body"].read()
        hold("the parts are kept", large == LARGE)

    def clear(self) -> None:
        """Deletes what write left."""
        for key in ("kept", "large"):
            self.owner.delete_object(Bucket="smoke", Key=key)
        self.owner.delete_bucket(Bucket="smoke")


class Azure:
    """The Azure Blob server."""

    def __init__(self) -> None:
        self.container = self.service(environ["TEST_AZURE_KEY"]).get_container_client("smoke")

    def service(self, key: str) -> BlobServiceClient:
        """A client with that key, which tries once."""
        account = {"account_name": environ["TEST_AZURE_ACCOUNT"], "account_key": key}
        return BlobServiceClient(environ["TEST_AZURE_ENDPOINT"], credential=account, retry_total=0)

    def write(self) -> None:
        """Container, blob, blocks, list, ranges, delete."""
        self.container.create_container()
        self.container.upload_blob("kept", SMALL, metadata={"mtime": "1.5"})
        self.container.upload_blob("gone", SMALL)
        large = self.container.get_blob_client("large")
        names = [f"{number:08}" for number in range(0, len(LARGE), 4 * MIB)]
        for name in reversed(names):
            large.stage_block(name, LARGE[int(name) : int(name) + 4 * MIB])
        large.commit_block_list([BlobBlock(name) for name in names])
        hold("blocks are put together in order", large.download_blob().readall() == LARGE)
        hold("a range", large.download_blob(offset=100, length=9).readall() == LARGE[100:109])
        self.container.delete_blob("gone")
        listed = [blob.name for blob in self.container.list_blobs()]
        hold("the list", listed == ["kept", "large"])
        wrong = self.service("d3Jvbmc=").get_container_client("smoke")
        try:
            wrong.get_container_properties()
            hold("a wrong key is refused", False)
        except HttpResponseError as error:
            hold("for that reason", error.status_code == 403)

    def read(self) -> None:
        """What write left."""
        kept = self.container.download_blob("kept")
        hold("the blob is kept", kept.readall() == SMALL)
        hold("its metadata are kept", kept.properties.metadata == {"mtime": "1.5"})
        hold("the blocks are kept", self.container.download_blob("large").readall() == LARGE)

    def clear(self) -> None:
        """Deletes what write left."""
        self.container.delete_container()
        try:
            self.container.get_container_properties()
            hold("the container is gone", False)
        except ResourceNotFoundError:
            pass


class Gcs:
    """The Google Cloud Storage server, which knows no keys."""

    def __init__(self) -> None:
        client = storage.Client(
            project="test",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": environ["TEST_GCS_ENDPOINT"]},
        )
        self.client, self.bucket = client, client.bucket("smoke")

    def write(self) -> None:
        """Bucket, object, a resumable upload, list, ranges, delete."""
        self.client.create_bucket("smoke")
        kept = self.bucket.blob("kept")
        kept.metadata = {"mtime": "1.5"}
        kept.upload_from_string(SMALL)
        self.bucket.blob("gone").upload_from_string(SMALL)
        large = self.bucket.blob("large", chunk_size=MIB)
        large.upload_from_string(LARGE)
        hold("chunks are put together in order", large.download_as_bytes() == LARGE)
        hold("a range", large.download_as_bytes(start=100, end=108) == LARGE[100:109])
        self.bucket.delete_blob("gone")
        listed = [blob.name for blob in self.client.list_blobs("smoke")]
        hold("the list", listed == ["kept", "large"])

    def read(self) -> None:
        """What write left."""
        kept = self.bucket.get_blob("kept")
        hold("the object is kept", kept is not None and kept.download_as_bytes() == SMALL)
        hold("its metadata are kept", kept.metadata == {"mtime": "1.5"})
        hold("the chunks are kept", self.bucket.blob("large").download_as_bytes() == LARGE)

    def clear(self) -> None:
        """Deletes what write left."""
        for name in ("kept", "large"):
            self.bucket.delete_blob(name)
        self.bucket.delete()
        try:
            self.client.get_bucket("smoke")
            hold("the bucket is gone", False)
        except NotFound:
            pass


class Http:
    """The web server, plain and with TLS."""

    def __init__(self) -> None:
        self.file = Path(environ["TEST_HTTP_ROOT"]) / "smoke" / "kept"
        self.trust = ssl.create_default_context(cafile=environ["TEST_HTTPS_CA"])

    def get(self, endpoint: str, trust: ssl.SSLContext, **headers: str):
        """The answer for the file."""
        asked = urllib.request.Request(f"{environ[endpoint]}/smoke/kept", headers=headers)
        return urllib.request.urlopen(asked, context=trust, timeout=10)

    def write(self) -> None:
        """Ranges, validators, a certificate of an unknown authority, one for another name."""
        self.file.parent.mkdir()
        self.file.write_bytes(LARGE)
        self.read()
        part = self.get("TEST_HTTP_ENDPOINT", self.trust, Range="bytes=100-108")
        hold("a range", part.status == 206 and part.read() == LARGE[100:109])
        hold("validators", bool(part.headers["ETag"] and part.headers["Last-Modified"]))
        other = ("TEST_HTTPS_WRONG_NAME_ENDPOINT", self.trust)
        for endpoint, trust in ("TEST_HTTPS_ENDPOINT", ssl.create_default_context()), other:
            try:
                self.get(endpoint, trust)
                hold(f"{endpoint} is not trusted", False)
            except urllib.error.URLError as error:
                hold("for that reason", isinstance(error.reason, ssl.SSLCertVerificationError))

    def read(self) -> None:
        """What write left."""
        for endpoint in ("TEST_HTTP_ENDPOINT", "TEST_HTTPS_ENDPOINT"):
            hold(endpoint, self.get(endpoint, self.trust).read() == LARGE)

    def clear(self) -> None:
        """Deletes what write left."""
        self.file.unlink()
        self.file.parent.rmdir()


def main() -> None:
    """Does what the words say with every server that is up."""
    steps = sys.argv[1:] or ["write", "read", "clear"]
    servers = {
        name: S3(f"TEST_{name}")
        for name in ("S3", "RGW", "GARAGE")
        if f"TEST_{name}_ENDPOINT" in environ
    }
    for name, server in {**servers, "Azure": Azure(), "GCS": Gcs(), "HTTP": Http()}.items():
        for step in steps:
            getattr(server, step)()
        print(f"smoke: {name}: {' '.join(steps)}")


main()
