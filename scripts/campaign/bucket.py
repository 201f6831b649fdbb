"""A client of S3 of the campaigns' own: signed requests, listings, uploads that were begun.

Shares no code with the engine, and nothing but the standard library with anybody.
"""

import contextlib
import datetime
import email.utils
import hashlib
import hmac
import http.client
import os
import time
import urllib.parse
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from typing import Dict, Iterator, List, Mapping, Optional, Tuple

from campaign.auditor import Fact, Tree

# Longest wait for a server that is being started again.
PATIENCE_S = 60.0
TIMEOUT_S = 60.0
# Objects whose content is read again only when something about them changed.
LARGE_BYTES = 1 << 20

Query = Mapping[str, str]


@dataclass(frozen=True)
class Server:
    """Where a server is, and who asks: from the variables `TEST_NAME_…`."""

    name: str
    endpoint: str
    region: str
    access_key: str
    secret_key: str


def server(name: str) -> Optional[Server]:
    """The server of this name, where the environment tells one."""
    words = [os.environ.get(f"TEST_{name}_{word}", "")
             for word in ("ENDPOINT", "REGION", "ACCESS_KEY", "SECRET_KEY")]
    return Server(name, *words) if all(words) else None


@dataclass
class Answer:
    """What a server said."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Refused(Exception):
    """A request that a server did not fulfil."""


class Client:
    """Speaks to one server, over one connection: not for several threads."""

    def __init__(self, at: Server) -> None:
        self.server = at
        self.host = urllib.parse.urlsplit(at.endpoint).netloc
        self._connection: Optional[http.client.HTTPConnection] = None
        self._known: Dict[Tuple[str, ...], Fact] = {}

    def ask(
        self, method: str, path: str, query: Optional[Query] = None, body: bytes = b"",
        headers: Optional[Mapping[str, str]] = None, fine: Tuple[int, ...] = (200, 204),
    ) -> Answer:
        """Sends a request, again while the server is away.

        Raises `Refused` for an answer that is not `fine`.
        """
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                answer = self._ask(method, path, query or {}, body, headers or {})
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if time.monotonic() > end:
                    raise Refused(f"{method} {path}: {error}") from error
            else:
                if answer.status in fine:
                    return answer
                if answer.status < 500 or time.monotonic() > end:
                    said = answer.body[:300].decode(errors="replace")
                    raise Refused(f"{method} {path}: {answer.status} {said}")
            time.sleep(0.2)

    def close(self) -> None:
        """Ends the connection; the next request makes a new one."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _ask(
        self, method: str, path: str, query: Query, body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self.host, timeout=TIMEOUT_S)
        target = urllib.parse.quote(path, safe="/-_.~")
        words = [f"{quoted(name)}={quoted(value)}" for name, value in sorted(query.items())]
        signed = self._sign(method, target, "&".join(words), body, headers)
        where = target + ("?" + "&".join(words) if words else "")
        self._connection.request(method, where, body=body or None, headers=signed)
        answer = self._connection.getresponse()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, told, answer.read())

    def _sign(
        self, method: str, target: str, query: str, body: bytes, headers: Mapping[str, str]
    ) -> Dict[str, str]:
        """The headers with their signature (AWS Signature Version 4)."""
        moment = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        digest = hashlib.sha256(body).hexdigest()
        all_headers = {name.lower(): value for name, value in headers.items()}
        all_headers.update(
            {"host": self.host, "x-amz-date": moment, "x-amz-content-sha256": digest}
        )
        names = ";".join(sorted(all_headers))
        lines = "".join(f"{name}:{all_headers[name]}\n" for name in sorted(all_headers))
        request = "\n".join([method, target, query, lines, names, digest])
        scope = f"{moment[:8]}/{self.server.region}/s3/aws4_request"
        hashed = hashlib.sha256(request.encode()).hexdigest()
        key = ("AWS4" + self.server.secret_key).encode()
        for word in scope.split("/"):
            key = hmac.new(key, word.encode(), hashlib.sha256).digest()
        text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashed])
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        all_headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.server.access_key}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )
        return all_headers

    def put(self, path: str, body: bytes, metadata: Optional[Mapping[str, str]] = None) -> None:
        """Stores an object at `bucket/key`."""
        named = {f"x-amz-meta-{name}": value for name, value in (metadata or {}).items()}
        self.ask("PUT", f"/{path}", body=body, headers=named)

    def make_bucket(self, bucket: str) -> None:
        """Makes a bucket."""
        self.ask("PUT", f"/{bucket}")

    def remove_bucket(self, bucket: str) -> None:
        """Removes a bucket with all that is in it and all that was begun in it."""
        for key, upload in self.uploads(bucket, ""):
            self.abandon(bucket, key, upload)
        for key in self.keys(bucket, ""):
            self.ask("DELETE", f"/{bucket}/{key}")
        self.ask("DELETE", f"/{bucket}")

    def keys(self, bucket: str, prefix: str) -> List[str]:
        """Every key that begins so."""
        query = {"list-type": "2", "prefix": prefix, "encoding-type": "url"}
        found = []
        while True:
            page = parsed(self.ask("GET", f"/{bucket}", query).body)
            found += [
                urllib.parse.unquote_plus(text(entry, "Key"))
                for entry in page.findall("Contents")
            ]
            if text(page, "IsTruncated") != "true":
                return found
            query["continuation-token"] = text(page, "NextContinuationToken")

    def begin(self, bucket: str, key: str) -> str:
        """Begins an upload; its name."""
        return text(parsed(self.ask("POST", f"/{bucket}/{key}", {"uploads": ""}).body), "UploadId")

    def send_part(self, bucket: str, key: str, upload: str, number: int, body: bytes) -> None:
        """Sends a part of an upload."""
        query = {"uploadId": upload, "partNumber": str(number)}
        self.ask("PUT", f"/{bucket}/{key}", query, body)

    def abandon(self, bucket: str, key: str, upload: str) -> None:
        """Gives up an upload."""
        fine = (200, 204, 404)
        self.ask("DELETE", f"/{bucket}/{key}", {"uploadId": upload}, fine=fine)

    def uploads(self, bucket: str, prefix: str) -> List[Tuple[str, str]]:
        """Every upload to a key that begins so which was begun and not ended."""
        query = {"uploads": "", "prefix": prefix}
        found: List[Tuple[str, str]] = []
        while True:
            page = parsed(self.ask("GET", f"/{bucket}", query).body)
            found += [
                (text(entry, "Key"), text(entry, "UploadId")) for entry in page.findall("Upload")
            ]
            if text(page, "IsTruncated") != "true":
                return found
            query["key-marker"] = text(page, "NextKeyMarker")
            query["upload-id-marker"] = text(page, "NextUploadIdMarker")

    def look(self, bucket: str, prefix: str, again: bool = False) -> Tree:
        """What is beneath a prefix, or the object at the prefix itself as the empty name.

        `again`: everything is read anew, also what seems to be unchanged.
        """
        with contextlib.suppress(Refused):
            return {b"": self.fact(bucket, prefix, again)}
        names = {key: key[len(prefix) + 1 :].encode() for key in self.keys(bucket, prefix + "/")}
        return dict(self._facts(bucket, names, again))

    def _facts(
        self, bucket: str, names: Mapping[str, bytes], again: bool
    ) -> Iterator[Tuple[bytes, Fact]]:
        for key, name in names.items():
            # Gone since it was listed, as leases of the living are.
            with contextlib.suppress(Refused):
                yield name, self.fact(bucket, key, again)

    def fact(self, bucket: str, key: str, again: bool) -> Fact:
        """What one object is, in the words of files."""
        path = f"/{bucket}/{key}"
        about = self.ask("HEAD", path).headers
        tag = about["etag"] + about.get("x-amz-meta-mig-write", "")
        size = int(about["content-length"])
        known = (path, tag, about["last-modified"], about.get("x-amz-meta-mtime", ""))
        if known in self._known and size >= LARGE_BYTES and not again:
            return self._known[known]
        answer = self.ask("GET", path)
        mode = int(answer.headers.get("x-amz-meta-mode", "0"), 8)
        seconds, _, fraction = answer.headers.get("x-amz-meta-mtime", "0").partition(".")
        modified = email.utils.parsedate_to_datetime(answer.headers["last-modified"])
        # The form in which `find` tells a time: ten digits of fraction.
        fact = Fact(
            b"f", len(answer.body), b"%o" % (mode & 0o7777),
            f"{seconds}.{fraction:0<10}".encode(), str(modified.timestamp()).encode(),
            (answer.headers["etag"] + answer.headers.get("x-amz-meta-mig-write", "")).encode(),
            1, b"", hashlib.sha256(answer.body).hexdigest(),
        )
        self._known[known] = fact
        return fact


def quoted(word: str) -> str:
    """A word of a query as signatures want it."""
    return urllib.parse.quote(word, safe="-_.~")


def parsed(body: bytes) -> ElementTree.Element:
    """An answer's elements, without their namespace."""
    root = ElementTree.fromstring(body)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def text(element: ElementTree.Element, name: str) -> str:
    """The text of the part of this name; nothing where there is none."""
    return element.findtext(name) or ""
