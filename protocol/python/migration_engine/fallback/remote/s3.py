"""Requests to S3 and its likes: where they go, how they are signed, what refusals mean."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import zlib
from typing import TYPE_CHECKING, Callable, Dict, Mapping, NamedTuple, Optional, TypeVar

from ..faults import Fault
from ..location import Location
from .credentials import keys_of, profile_of, resolve
from .failures import Failure
from .retry import briefly, persist
from .sigv4 import EMPTY, UNSIGNED, Query, Signed, encode_path, query_text, sign
from .wire import Address, Answer, Request, Trust, Wire
from .xml import parse_any

if TYPE_CHECKING:
    from ..job import Job

T = TypeVar("T")

REFUSAL_BYTES_MAX = 64 << 10
_REGION_DEFAULT = "us-east-1"
# A name that is one label of a host, so that its certificate fits.
_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]\Z")
_CODES: Dict[str, str] = {
    "NoSuchBucket": "no_bucket",
    "NoSuchKey": "not_found",
    "NoSuchVersion": "not_found",
    "NoSuchUpload": "no_upload",
    "AccessDenied": "forbidden",
    "AllAccessDisabled": "forbidden",
    "AccountProblem": "forbidden",
    "InvalidAccessKeyId": "refused",
    "SignatureDoesNotMatch": "refused",
    "InvalidToken": "refused",
    "ExpiredToken": "expired",
    "RequestExpired": "expired",
    "TokenRefreshRequired": "expired",
    "RequestTimeTooSkewed": "clock",
    "AuthorizationHeaderMalformed": "region",
    "IllegalLocationConstraintException": "region",
    "PermanentRedirect": "region",
    "PreconditionFailed": "condition",
    "ConditionalRequestConflict": "conflict",
    "OperationAborted": "conflict",
    "SlowDown": "throttled",
    "Throttling": "throttled",
    "ThrottlingException": "throttled",
    "RequestLimitExceeded": "throttled",
    "TooManyRequests": "throttled",
    "InternalError": "transient",
    "ServiceUnavailable": "transient",
    "RequestTimeout": "transient",
    "BadDigest": "damaged",
    "IncompleteBody": "damaged",
    "XAmzContentChecksumMismatch": "damaged",
    "XAmzContentSHA256Mismatch": "damaged",
    "InvalidObjectState": "archived",
    "InvalidRange": "range",
    "NotImplemented": "unsupported",
    "QuotaExceeded": "quota",
}
_STATUSES: Dict[int, str] = {
    304: "condition",
    401: "refused",
    403: "forbidden",
    404: "not_found",
    405: "unsupported",
    408: "transient",
    409: "conflict",
    412: "condition",
    416: "range",
    425: "transient",
    429: "throttled",
    501: "unsupported",
    503: "throttled",
    507: "quota",
}


def class_of_status(status: int) -> str:
    """What an answer without a word of its own means."""
    if 300 <= status < 400 and status != 304:
        return "redirect"
    return _STATUSES.get(status) or ("transient" if status >= 500 else "invalid")


def refusal(answer: Answer, body: bytes) -> Failure:
    """What an answer that is no success means."""
    code = message = ""
    region = answer.headers.get("x-amz-bucket-region")
    told = parse_any(body) if body.lstrip()[:1] == b"<" else None
    if told is not None:
        code = (told.findtext("Code") or "")[:100]
        message = (told.findtext("Message") or "")[:300]
        region = region or told.findtext("Region")
    class_ = _CODES.get(code) or class_of_status(answer.status)
    if class_ == "redirect" and region:
        class_ = "region"
    if class_ == "region" and code == "AuthorizationHeaderMalformed" and not region:
        class_ = "refused"
    return Failure(
        class_,
        message,
        status=answer.status,
        code=code,
        retry_after=answer.retry_after(),
        region=region,
    )


class Call(NamedTuple):
    """A request of S3: its key ``None`` is the bucket itself."""

    method: str
    key: Optional[str]
    query: Query = ()
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Service:
    """One bucket's service for one job: addressed, signed, repeated."""

    def __init__(self, job: "Job", location: Location, bucket: str, quiet: bool) -> None:
        """``quiet`` requests go on while the job is paused or cancelled, and give up sooner."""
        options = location.options
        self.job = job
        self._quiet = quiet
        self.location = location
        self.bucket = bucket
        profile = profile_of(location)
        self._keys = keys_of(location, profile)
        asked = options.region or os.environ.get("AWS_REGION")
        asked = asked or os.environ.get("AWS_DEFAULT_REGION") or profile.fields.get("region")
        self._may_learn = options.region is None
        self.region = asked or _REGION_DEFAULT
        self._endpoint = options.endpoint
        self._secret_key = self._customer_key()
        self.wire = self._open()
        if self._secret_key is not None and self.wire.address.in_the_clear:
            message = "a customer's key is not sent to another machine without TLS"
            raise Fault("INVALID_FIELD", message, field="endpoint")

    def _open(self) -> Wire:
        options = self.location.options
        if self._endpoint is not None:
            base = Address.parse(self._endpoint)
        elif options.accelerate:
            base = Address("https", "s3-accelerate.amazonaws.com", 443)
        else:
            base = Address("https", "s3.%s.amazonaws.com" % self.region, 443)
        in_path = options.path_style
        if in_path is None:
            fits = _LABEL.match(self.bucket) is not None
            in_path = self._endpoint is not None or not fits
        self._prefix = "/" + self.bucket if in_path else ""
        if not in_path:
            base = base._replace(host="%s.%s" % (self.bucket, base.host))
        return Wire(self.job, base, Trust(options.tls_ca, options.tls_insecure))

    def _customer_key(self) -> Optional[bytes]:
        reference = self.location.auth.get("sse_customer_key")
        if reference is None:
            return None
        told = resolve(reference, "sse_customer_key")
        key = told.encode("ascii")
        if len(key) != 32:
            try:
                key = base64.b64decode(told, validate=True)
            except ValueError:
                key = b""
        if len(key) != 32:
            message = "sse_customer_key is neither 32 bytes nor the base64 of 32 bytes"
            raise Fault("INVALID_FIELD", message, field="auth")
        return key

    @property
    def identity(self) -> str:
        """What tells this bucket from every other."""
        return "%s %s" % (self.wire.address.text(), self.bucket)

    def customer_fields(self) -> Dict[str, str]:
        """Fields of requests for objects under a customer's own key."""
        if self._secret_key is None:
            return {}
        digest = hashlib.md5(self._secret_key, usedforsecurity=False).digest()
        name = "x-amz-server-side-encryption-customer-"
        return {
            name + "algorithm": "AES256",
            name + "key": base64.b64encode(self._secret_key).decode("ascii"),
            name + "key-md5": base64.b64encode(digest).decode("ascii"),
        }

    # Sending.

    def open(self, call: Call) -> Answer:
        """Sends a call until it succeeds; its body is the caller's to read."""
        return self._persist(lambda: self.send(call))

    def fetch(self, call: Call, most: int) -> "tuple[Answer, bytes]":
        """Sends a call until it succeeds and is read to its end."""
        return self._persist(lambda: self._whole(call, most))

    def insist(self, once: Callable[[], T]) -> T:
        """What ``once`` answers, asked again as any other request."""
        return self._persist(once)

    def ask(self, call: Call, read: Callable[[Answer, bytes], T], most: int) -> T:
        """What ``read`` makes of the whole answer; its failures are repeated too."""
        return self._persist(lambda: read(*self._whole(call, most)))

    def tidy(self, call: Call) -> None:
        """Sends a call for what is left over, also when the job was cancelled."""
        briefly(lambda: self._whole(call, REFUSAL_BYTES_MAX))

    def _whole(self, call: Call, most: int) -> "tuple[Answer, bytes]":
        answer = self.send(call)
        return answer, answer.rest(most)

    def _persist(self, once: Callable[[], T]) -> T:
        try:
            return self._again(once)
        except Failure as failure:
            if failure.class_ != "region" or not self._learn(failure):
                raise
        return self._again(once)

    def _again(self, once: Callable[[], T]) -> T:
        return briefly(once) if self._quiet else persist(self.job, once)

    def _learn(self, failure: Failure) -> bool:
        """Goes to the region that the service names, once, where none was asked for."""
        region = failure.region
        if not self._may_learn or not region or region == self.region:
            return False
        self._may_learn = False
        self.region = region
        if self._endpoint is None:
            self.wire.close()
            self.wire = self._open()
        return True

    def send(self, call: Call) -> Answer:
        """Sends a call once; a refusal is a failure."""
        answer = self.wire.exchange(self._signed(call))
        if 200 <= answer.status < 300:
            return answer
        raise refusal(answer, answer.rest(REFUSAL_BYTES_MAX))

    def _signed(self, call: Call) -> Request:
        path = self._prefix + "/" + ("" if call.key is None else encode_path(call.key))
        headers = dict(call.headers)
        if self.location.options.requester_pays:
            headers["x-amz-request-payer"] = "requester"
        query = query_text(call.query)
        target = path + ("?" + query if query else "")
        if self._keys is None:
            return Request(call.method, target, headers, call.body)
        signed = Signed(call.method, path, call.query, headers, self._payload(call))
        host = self.wire.address.authority
        return Request(call.method, target, sign(signed, host, self._keys, self.region), call.body)

    def _payload(self, call: Call) -> str:
        if not call.body:
            return EMPTY
        if self.wire.address.scheme == "https" and "x-amz-checksum-crc32" in call.headers:
            # TLS guards the bytes on their way, the checksum, which is signed, those that arrive.
            return UNSIGNED
        return hashlib.sha256(call.body).hexdigest()

    def close(self) -> None:
        """Ends the connections."""
        self.wire.close()


def checksum_fields(body: bytes) -> Dict[str, str]:
    """By which the store checks what arrives: both are fast in the standard library.

    The second is for stores that pass over the first one.
    """
    digest = hashlib.md5(body, usedforsecurity=False).digest()
    return {
        "x-amz-checksum-crc32": crc32_text(zlib.crc32(body)),
        "content-md5": base64.b64encode(digest).decode("ascii"),
    }


def crc32_text(value: int) -> str:
    """A CRC-32 as S3 writes it."""
    return base64.b64encode(value.to_bytes(4, "big")).decode("ascii")
