"""A store of objects that fails as it is told: a few requests of S3, and plain HTTP."""

import base64
import hashlib
import re
import ssl
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Dict, List, Optional, Tuple
from urllib.parse import parse_qs, quote, unquote, urlsplit

_LISTING = (
    "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>%s</IsTruncated>%s%s"
    "</ListBucketResult>"
)
_ENTRY = (
    "<Contents><Key>%s</Key><Size>%d</Size><ETag>%s</ETag>"
    "<LastModified>2026-11-21T08:00:00.000Z</LastModified></Contents>"
)


class Thing:
    """An object."""

    def __init__(self, body: bytes, fields: Optional[Dict[str, str]] = None) -> None:
        self.body = body
        self.fields = fields or {}
        self.etag = '"%s"' % hashlib.md5(body).hexdigest()


class Request:
    """A request as the store sees it; ``fault`` hooks may answer it themselves."""

    def __init__(self, handler: "_Handler", body: bytes) -> None:
        parts = urlsplit(handler.path)
        self.handler = handler
        self.method = handler.command
        self.bucket, _, self.key = unquote(parts.path)[1:].partition("/")
        self.query = {k: v[0] for k, v in parse_qs(parts.query, keep_blank_values=True).items()}
        self.headers = {k.lower(): v for k, v in handler.headers.items()}
        self.body = body
        self.line = "%s %s" % (handler.command, handler.path)

    def answer(
        self,
        status: int,
        body: bytes = b"",
        fields: Optional[Dict[str, str]] = None,
        cut: Optional[int] = None,
    ) -> bool:
        """Answers; with ``cut`` only so many bytes of the body, and the connection ends."""
        handler = self.handler
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in (fields or {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        if self.method != "HEAD":
            handler.wfile.write(body if cut is None else body[:cut])
        handler.close_connection = handler.close_connection or cut is not None
        return True

    def refuse(self, status: int, code: str, fields: Optional[Dict[str, str]] = None) -> bool:
        """Answers with an error."""
        text = "<Error><Code>%s</Code><Message>no</Message></Error>" % code
        return self.answer(status, text.encode(), fields)

    def drop(self) -> bool:
        """Ends the connection without a word."""
        self.handler.close_connection = True
        return True


Hook = Callable[[Request], bool]
"""Before a request is carried out, or after it: true where it was answered."""


class FakeStore:
    """Objects of one bucket, and the requests that came."""

    def __init__(self, certificate: Optional[str] = None) -> None:
        """``certificate`` names a file with a key and its certificate, for TLS."""
        self.things: Dict[str, Thing] = {}
        self.parts: Dict[str, Dict[int, bytes]] = {}
        self.began: Dict[str, float] = {}
        self.seen: List[Request] = []
        self.before: Hook = lambda request: False
        self.after: Hook = lambda request: False
        self.page = 1000
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._scheme = "http"
        if certificate is not None:
            self._scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.daemon_threads = True
        self._server.store = self  # type: ignore[attr-defined]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return "%s://127.0.0.1:%d" % (self._scheme, self._server.server_port)

    def at(self, key: str = "", **more: Any) -> Dict[str, Any]:
        """A location in it."""
        url = "s3://bucket/" + key if key else "s3://bucket"
        auth = {"access_key_id": {"env": "FAKE"}, "secret_access_key": {"env": "FAKE"}}
        return {"url": url, "endpoint": self.url, "auth": auth, **more}

    def count(self, start: str) -> int:
        """Requests whose line begins so."""
        return sum(one.line.startswith(start) for one in self.seen)

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()

    def carry_out(self, request: Request) -> None:
        """Does what is asked, unless a hook does."""
        self.seen.append(request)
        if self.before(request):
            return
        answer = self._answer(request)
        if not self.after(request):
            request.answer(*answer)

    def _answer(self, request: Request) -> Tuple[int, bytes, Dict[str, str]]:
        if not request.key and "uploads" in request.query:
            return self._uploads(request)
        if not request.key:
            return self._listing(request)
        if request.method == "GET" and "uploadId" in request.query:
            return self._parts(request)
        if request.method in ("GET", "HEAD"):
            return self._read(request)
        if request.method == "DELETE":
            self.parts.pop(request.query.get("uploadId", ""), None)
            if "uploadId" not in request.query:
                self.things.pop(request.key, None)
            return 204, b"", {}
        if request.method == "POST" and "uploads" in request.query:
            self.parts["u%d" % len(self.seen)] = {}
            self.began["u%d" % len(self.seen)] = time.time()
            text = "<InitiateMultipartUploadResult><UploadId>u%d</UploadId>%s"
            end = "</InitiateMultipartUploadResult>"
            return 200, (text % (len(self.seen), end)).encode(), {}
        return self._write(request)

    def _listing(self, request: Request) -> Tuple[int, bytes, Dict[str, str]]:
        prefix, after = request.query["prefix"], request.query.get("continuation-token", "")
        keys = sorted(k for k in self.things if k.startswith(prefix) and k > after)
        page, more = keys[: self.page], keys[self.page :]
        entries = "".join(
            _ENTRY % (quote(k), len(self.things[k].body), self.things[k].etag) for k in page
        )
        next_ = "<NextContinuationToken>%s</NextContinuationToken>" % page[-1] if more else ""
        text = _LISTING % ("true" if more else "false", next_, entries)
        return 200, text.encode(), {}

    def _uploads(self, request: Request) -> Tuple[int, bytes, Dict[str, str]]:
        rows = ""
        for name in self.parts:
            key, began = self.seen[int(name[1:]) - 1].key, time.gmtime(self.began[name])
            row = "<Upload><Key>%s</Key><UploadId>%s</UploadId><Initiated>%s</Initiated></Upload>"
            told = row % (quote(key), name, time.strftime("%Y-%m-%dT%H:%M:%S.000Z", began))
            rows += told if key.startswith(request.query["prefix"]) else ""
        root = "<ListMultipartUploadsResult>%s<IsTruncated>false</IsTruncated>%s"
        return 200, (root % (rows, "</ListMultipartUploadsResult>")).encode(), {}

    def _parts(self, request: Request) -> Tuple[int, bytes, Dict[str, str]]:
        parts = self.parts.get(request.query["uploadId"])
        if parts is None:
            return 404, b"<Error><Code>NoSuchUpload</Code></Error>", {}
        after = int(request.query.get("part-number-marker", "0"))
        numbers = sorted(number for number in parts if number > after)
        page, more = numbers[: self.page], numbers[self.page :]
        row = "<Part><PartNumber>%d</PartNumber><ETag>&quot;%s&quot;</ETag><Size>%d</Size></Part>"
        rows = "".join(
            row % (number, hashlib.md5(parts[number]).hexdigest(), len(parts[number]))
            for number in page
        )
        told = "<IsTruncated>%s</IsTruncated>" % ("true" if more else "false")
        next_ = "<NextPartNumberMarker>%d</NextPartNumberMarker>" % page[-1] if more else ""
        text = "<ListPartsResult>%s%s%s</ListPartsResult>" % (told, next_, rows)
        return 200, text.encode(), {}

    def _read(self, request: Request) -> Tuple[int, bytes, Dict[str, str]]:
        thing = self.things.get(request.key)
        if thing is None:
            return 404, b"<Error><Code>NoSuchKey</Code></Error>", {}
        if request.headers.get("if-match", thing.etag) != thing.etag:
            return 412, b"<Error><Code>PreconditionFailed</Code></Error>", {}
        fields = {"ETag": thing.etag, "Last-Modified": "Sat, 21 Nov 2026 08:00:00 GMT"}
        fields.update(thing.fields)
        ranged = re.match(r"bytes=(\d+)-(\d*)\Z", request.headers.get("range", ""))
        if ranged is None:
            return 200, thing.body, fields
        start, size = int(ranged.group(1)), len(thing.body)
        stop = min(int(ranged.group(2)) + 1, size) if ranged.group(2) else size
        fields["Content-Range"] = "bytes %d-%d/%d" % (start, stop - 1, size)
        return 206, thing.body[start:stop], fields

    def _write(self, request: Request) -> Tuple[int, bytes, Dict[str, str]]:
        upload = request.query.get("uploadId")
        told = request.headers.get("x-amz-checksum-crc32")
        if request.method == "PUT":
            crc = zlib.crc32(request.body).to_bytes(4, "big")
            assert told == base64.b64encode(crc).decode()
        if upload is not None and upload not in self.parts:
            return 404, b"<Error><Code>NoSuchUpload</Code></Error>", {}
        if upload is not None and request.method == "PUT":
            self.parts[upload][int(request.query["partNumber"])] = request.body
            return 200, b"", {"ETag": '"%s"' % hashlib.md5(request.body).hexdigest()}
        there = self.things.get(request.key)
        wanted = request.headers.get("if-match")
        if (there and request.headers.get("if-none-match")) or (
            wanted and (there is None or there.etag != wanted)
        ):
            return 412, b"<Error><Code>PreconditionFailed</Code></Error>", {}
        body, begun = request.body, request
        if upload is not None:
            parts = self.parts.pop(upload)
            body = b"".join(parts[number] for number in sorted(parts))
            begun = self.seen[int(upload[1:]) - 1]
        thing = Thing(body)
        meta = begun.headers.items()
        thing.fields = {k: v for k, v in meta if k.startswith("x-amz-meta-")}
        self.things[request.key] = thing
        text = "<CompleteMultipartUploadResult><ETag>%s</ETag></CompleteMultipartUploadResult>"
        return 200, (text % thing.etag).encode() if upload else b"", {"ETag": thing.etag}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.store.carry_out(Request(self, body))  # type: ignore[attr-defined]

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _any

    def log_message(self, *_: Any) -> None:
        """Nothing is told."""
