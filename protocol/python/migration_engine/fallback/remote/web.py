"""One thing behind a URL: read by ranges, held to the state that was seen of it."""

from __future__ import annotations

import base64
import contextlib
import re
from typing import TYPE_CHECKING, Dict, Optional
from urllib.parse import quote, urljoin, urlsplit

from ..faults import Fault
from ..location import Location
from .bucket import http_date_ns
from .credentials import resolve
from .failures import Failure
from .retry import persist
from .s3 import class_of_status
from .seen import Seen
from .wire import Address, Answer, Request, Trust, Wire

if TYPE_CHECKING:
    from ..job import Job

_REDIRECTS = (301, 302, 303, 307, 308)
_REDIRECTS_MAX = 5
_DIGESTS = {"sha-256": "sha256", "md5": "md5"}
# Digest: sha-256=…, and Repr-Digest: sha-256=:…:
_DIGEST = re.compile(r"\s*([A-Za-z0-9-]+)=:?([A-Za-z0-9+/=]+?):?\s*\Z")


class Page:
    """What is behind a URL."""

    def __init__(self, job: "Job", location: Location) -> None:
        path = location.path.partition(b"#")[0]
        # What is escaped stays as it is; what must be is escaped.
        rest = quote(path, safe="/?&=%:@!$'()*+,;~[]-._")
        self.url = "%s://%s" % (location.scheme, rest)
        self._job = job
        self._trust = Trust(location.options.tls_ca, location.options.tls_insecure)
        self._wires: Dict[Address, Wire] = {}
        self._home = self._address(self.url)
        self._login = _login(location, self._home)

    @staticmethod
    def _address(url: str) -> Address:
        parts = urlsplit(url)
        return Address.parse("%s://%s" % (parts.scheme, parts.netloc))

    def look(self) -> Seen:
        """Its state, asked until it is answered."""
        return persist(self._job, self._look)

    def _look(self) -> Seen:
        try:
            answer = self._send("HEAD", {})
            answer.close()
        except Failure as failure:
            if failure.status not in (403, 405, 501):
                raise
            # Some services know GET alone, and some signatures of URLs are for it alone.
            answer = self._send("GET", {})
            answer.close()
        return self.seen(answer)

    def read(self, version: Optional[str], start: int) -> Answer:
        """Its bytes from ``start`` on, of this version where one is given; sent once."""
        headers = {"accept-encoding": "identity"}
        if start:
            headers["range"] = "bytes=%d-" % start
        if version:
            by_tag = version.startswith('"')
            headers["if-match" if by_tag else "if-unmodified-since"] = version
        return self._send("GET", headers)

    def seen(self, answer: Answer) -> Seen:
        """Which state an answer from the beginning is of."""
        headers = answer.headers
        length = headers.get("content-length", "")
        tag, modified = headers.get("etag", ""), headers.get("last-modified", "")
        # A weak tag may stay while bytes change.
        version = tag if tag.startswith('"') else modified
        size = int(length) if length.isdigit() else None
        return Seen(size, version, http_date_ns(modified), {}, _digests(headers))

    def _send(self, method: str, headers: Dict[str, str]) -> Answer:
        url = self.url
        for _ in range(_REDIRECTS_MAX + 1):
            wire = self._wire(url)
            # A login is for its own host alone, whoever sends on to another one.
            login = self._login if wire.address == self._home else {}
            answer = wire.exchange(Request(method, _target(url), {**headers, **login}))
            if 200 <= answer.status < 300:
                return answer
            to = answer.headers.get("location")
            with contextlib.suppress(Failure):
                answer.rest(1 << 20)
            if answer.status not in _REDIRECTS or to is None:
                raise _refusal(answer)
            url = self._followed(url, to)
        raise Failure("redirect", "the service sends on in a circle")

    def _followed(self, url: str, to: str) -> str:
        there = urljoin(url, quote(to, safe="/?&=%:@!$'()*+,;~[]-._#"))
        if url.startswith("https:") and not there.startswith("https:"):
            raise Failure("redirect", "the service sends on to a place without TLS")
        if not there.startswith(("http:", "https:")):
            raise Failure("redirect", "the service sends on to another scheme")
        return there

    def _wire(self, url: str) -> Wire:
        try:
            address = self._address(url)
        except Fault as fault:
            raise Failure("redirect", fault.message) from fault
        if address not in self._wires:
            self._wires[address] = Wire(self._job, address, self._trust)
        return self._wires[address]

    def close(self) -> None:
        """Ends the connections."""
        for wire in self._wires.values():
            wire.close()


def _login(location: Location, home: Address) -> Dict[str, str]:
    """The field that the location's ``auth`` asks for."""
    auth = {name: resolve(one, name) for name, one in location.auth.items()}
    if not auth:
        return {}
    if home.in_the_clear:
        message = "the login would go in the clear to another machine"
        raise Fault("INVALID_FIELD", message, field="auth")
    if set(auth) == {"bearer"}:
        return {"authorization": "Bearer " + auth["bearer"]}
    if set(auth) != {"user", "password"}:
        message = "a web server takes user and password, or bearer"
        wrong = "bearer" if "bearer" in auth else "user"
        raise Fault("INVALID_FIELD", message, field="auth.%s" % wrong)
    pair = "%s:%s" % (auth["user"], auth["password"])
    return {"authorization": "Basic " + base64.b64encode(pair.encode("ascii")).decode("ascii")}


def _target(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + ("?" + parts.query if parts.query else "")


def _refusal(answer: Answer) -> Failure:
    class_ = class_of_status(answer.status)
    if answer.status == 410:
        class_ = "not_found"
    if answer.status == 401:
        class_ = "forbidden"
    return Failure(class_, status=answer.status, retry_after=answer.retry_after())


def _digests(headers: Dict[str, str]) -> Dict[str, str]:
    """Digests of the content that the service tells, in base64."""
    if headers.get("content-encoding", "identity") != "identity":
        return {}
    digests: Dict[str, str] = {}
    for field in ("repr-digest", "digest"):
        for one in headers.get(field, "").split(","):
            found = _DIGEST.match(one)
            name = _DIGESTS.get(found.group(1).lower()) if found else None
            if found and name:
                digests.setdefault(name, found.group(2))
    told = headers.get("content-md5", "")
    with contextlib.suppress(ValueError):
        if len(base64.b64decode(told, validate=True)) == 16:
            digests.setdefault("md5", told)
    return digests
