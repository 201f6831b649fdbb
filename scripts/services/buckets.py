"""Makes the bucket that the tests share in every server of an instance; one that is there stays.

A bucket is slow to make, so tests keep apart by prefixes of their own.
"""

import contextlib
from os import environ

import boto3
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient
from botocore.config import Config
from google.api_core.exceptions import Conflict
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

NAME = environ["TEST_BUCKET"]


def s3(prefix: str) -> None:
    """In an S3 server, by the prefix of its variables."""
    client = boto3.client(
        "s3",
        endpoint_url=environ[f"{prefix}_ENDPOINT"],
        region_name=environ[f"{prefix}_REGION"],
        aws_access_key_id=environ[f"{prefix}_ACCESS_KEY"],
        aws_secret_access_key=environ[f"{prefix}_SECRET_KEY"],
        config=Config(s3={"addressing_style": "path"}),
    )
    there = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    if NAME not in there:
        client.create_bucket(Bucket=NAME)


def azure() -> None:
    """In Azurite."""
    key = environ["TEST_AZURE_KEY"]
    account = environ["TEST_AZURE_ACCOUNT"]
    credential = {"account_name": account, "account_key": key}
    service = BlobServiceClient(environ["TEST_AZURE_ENDPOINT"], credential=credential)
    with contextlib.suppress(ResourceExistsError):
        service.create_container(NAME)


def gcs() -> None:
    """In the GCS server."""
    options = {"api_endpoint": environ["TEST_GCS_ENDPOINT"]}
    client = storage.Client("tests", AnonymousCredentials(), client_options=options)
    with contextlib.suppress(Conflict):
        client.create_bucket(NAME)


for name in ("TEST_S3", "TEST_RGW", "TEST_GARAGE"):
    if f"{name}_ENDPOINT" in environ:
        s3(name)
azure()
gcs()
