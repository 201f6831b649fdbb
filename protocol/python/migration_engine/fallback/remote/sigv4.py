"""AWS Signature Version 4, in the field ``authorization``."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timezone
from typing import Dict, Mapping, NamedTuple, Optional, Sequence, Tuple
from urllib.parse import quote

UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY = hashlib.sha256(b"").hexdigest()
_ALGORITHM = "AWS4-HMAC-SHA256"

Query = Sequence[Tuple[str, str]]


class Keys(NamedTuple):
    """Who signs. Its ``repr`` shows no secret."""

    key: str
    secret: str
    token: Optional[str] = None

    def __repr__(self) -> str:
        return "Keys(…)"


class Signed(NamedTuple):
    """What is signed: a path that is encoded, a query that is not, fields in lower case."""

    method: str
    path: str
    query: Query
    headers: Mapping[str, str]
    payload: str


def encode(text: str) -> str:
    """Percent-encoded as signatures want it; slashes too."""
    return quote(text, safe="-._~")


def encode_path(path: str) -> str:
    """Percent-encoded, slashes kept."""
    return quote(path, safe="/-._~")


def query_text(query: Query) -> str:
    """The query of a request, in the order that signatures want."""
    return "&".join("%s=%s" % pair for pair in sorted((encode(n), encode(v)) for n, v in query))


def sign(
    request: Signed, host: str, keys: Keys, region: str, now: Optional[datetime] = None
) -> Dict[str, str]:
    """All fields of the request, signed; ``host`` is among what is signed and not answered."""
    at = (now or datetime.now(timezone.utc)).strftime("%Y%m%dT%H%M%SZ")
    headers = dict(request.headers)
    headers["x-amz-date"] = at
    headers["x-amz-content-sha256"] = request.payload
    if keys.token is not None:
        headers["x-amz-security-token"] = keys.token
    named = {"host": host, **headers}
    signed = ";".join(sorted(named))
    canonical = "\n".join(
        [
            request.method,
            request.path,
            query_text(request.query),
            "".join("%s:%s\n" % (name, " ".join(named[name].split())) for name in sorted(named)),
            signed,
            request.payload,
        ]
    )
    scope = "%s/%s/s3/aws4_request" % (at[:8], region)
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join([_ALGORITHM, at, scope, digest])
    key = ("AWS4" + keys.secret).encode()
    for part in (at[:8], region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    headers["authorization"] = "%s Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (
        _ALGORITHM,
        keys.key,
        scope,
        signed,
        signature,
    )
    return headers
