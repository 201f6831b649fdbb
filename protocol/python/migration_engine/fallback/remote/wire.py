"""Connections to one origin: requests out, answers in, failures by what they mean."""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import socket
import ssl
import time
from typing import TYPE_CHECKING, Dict, List, Mapping, NamedTuple, Optional
from urllib.parse import urlsplit

from ..faults import Fault
from .failures import Failure

if TYPE_CHECKING:
    from ..job import Job

CONNECT_S = 10.0
READ_S = 60.0
_USER_AGENT = "migration-engine"
_SLICE_BYTES = 256 << 10
_IDLE_S = 20.0
"""Services close connections that are idle for longer, some without a word."""


# Hosts of this machine.
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Address(NamedTuple):
    """Where a service listens."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, url: str, field: Optional[str] = None) -> "Address":
        """Of ``https://host:port``; ``INVALID_FIELD`` for anything else."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        rest = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
        if parts.scheme not in ("http", "https") or not parts.hostname or rest:
            message = "an endpoint is given as https://host:port"
            raise Fault("INVALID_FIELD", message, field=field)
        return cls(parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80))

    @property
    def authority(self) -> str:
        """The field ``host`` of requests."""
        host = "[%s]" % self.host if ":" in self.host else self.host
        usual = 443 if self.scheme == "https" else 80
        return host if self.port == usual else "%s:%d" % (host, self.port)

    @property
    def in_the_clear(self) -> bool:
        """Whether others could read what is sent there."""
        return self.scheme == "http" and self.host not in _LOOPBACK

    def text(self) -> str:
        """As it is written."""
        return "%s://%s" % (self.scheme, self.authority)


class Trust(NamedTuple):
    """Which certificates are trusted: the system's, those of a file too, or any."""

    authorities: Optional[str] = None
    insecure: bool = False

    def context(self) -> ssl.SSLContext:
        """For connections; ``TLS_REFUSED`` where the file cannot be used."""
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.authorities is not None:
            try:
                context.load_verify_locations(cafile=self.authorities)
            except (OSError, ssl.SSLError) as error:
                raise Fault(
                    "TLS_REFUSED", "failed to read tls_ca", cause=OSError(str(error))
                ) from None
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


class Request(NamedTuple):
    """A request: its path is percent-encoded, names of fields are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""


class _Line:
    """One connection."""

    def __init__(self, made: http.client.HTTPConnection) -> None:
        self.made = made
        self.used = time.monotonic()

    def cut(self) -> None:
        """Ends whatever waits on it, from any thread."""
        sock = self.made.sock
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class Answer:
    """An answer whose body is read as it comes."""

    def __init__(self, wire: "Wire", line: _Line, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers: Dict[str, str] = {}
        for name, value in response.getheaders():
            self.headers.setdefault(name.lower(), value)
        self._wire = wire
        self._line = line
        self._response = response

    def read(self, most: int) -> bytes:
        """The next bytes; none at the end. A body that ends before its length is a failure."""
        try:
            data = self._response.read(most)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._wire.drop(self._line)
            raise failure_of(error, "the answer broke off") from error
        if not data and self._response.length:
            # The library takes what it has for the end.
            self._wire.drop(self._line)
            raise Failure("transient", "the answer broke off")
        self._wire.passed(len(data))
        return data

    def rest(self, most: int) -> bytes:
        """The whole body, of at most ``most`` bytes."""
        data = bytearray()
        while True:
            more = self.read(_SLICE_BYTES)
            if not more:
                self.close()
                return bytes(data)
            data += more
            if len(data) > most:
                self.close()
                raise Failure("garbled", "the answer is longer than %d bytes" % most)

    def close(self) -> None:
        """Gives the connection back, if the whole body was read."""
        self._wire.done(self._line, self._response)

    def retry_after(self) -> Optional[float]:
        """Seconds that the service asks to wait."""
        told = self.headers.get("retry-after", "")
        if told.isdigit():
            return float(told)
        with contextlib.suppress(TypeError, ValueError, IndexError):
            return max(0.0, email.utils.parsedate_to_datetime(told).timestamp() - time.time())
        return None


class Wire:
    """Connections to ``address`` for one job; a cancel of the job ends what waits on them."""

    def __init__(self, job: "Job", address: Address, trust: Trust) -> None:
        self.address = address
        self._job = job
        self._trust = trust
        self._context: Optional[ssl.SSLContext] = None
        self._idle: List[_Line] = []
        self._busy: List[_Line] = []
        job.on_cancel(self._cut)
        if trust.insecure and address.scheme == "https":
            told = "tls_insecure: anybody could have answered as %s; give its authority as tls_ca"
            job.advise(told % address.host)

    def exchange(self, request: Request) -> Answer:
        """Sends one request; the answer, whatever its status."""
        with self._job.timed("network_ms"):
            line = self._take()
            self._busy.append(line)
            try:
                response = self._roundtrip(line.made, request)
            except BaseException as error:
                self.drop(line)
                if isinstance(error, (OSError, http.client.HTTPException)):
                    raise failure_of(error, "the connection broke off") from error
                raise
        return Answer(self, line, response)

    def _roundtrip(
        self, made: http.client.HTTPConnection, request: Request
    ) -> http.client.HTTPResponse:
        made.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
        made.putheader("host", self.address.authority)
        made.putheader("user-agent", _USER_AGENT)
        for name, value in request.headers.items():
            made.putheader(name, value)
        if request.body or request.method in ("PUT", "POST"):
            made.putheader("content-length", str(len(request.body)))
        try:
            made.endheaders()
            view = memoryview(request.body)
            while view:
                made.send(view[:_SLICE_BYTES])
                self.passed(len(view[:_SLICE_BYTES]))
                view = view[_SLICE_BYTES:]
        except (BrokenPipeError, ConnectionResetError):
            # A service that refuses early says why, if that still comes through.
            with contextlib.suppress(OSError, http.client.HTTPException):
                return made.getresponse()
            raise
        return made.getresponse()

    def _take(self) -> _Line:
        while True:
            try:
                line = self._idle.pop()
            except IndexError:
                return _Line(self._connect())
            if time.monotonic() - line.used < _IDLE_S:
                return line
            line.made.close()

    def _connect(self) -> http.client.HTTPConnection:
        address = self.address
        made: http.client.HTTPConnection
        if address.scheme == "https":
            if self._context is None:
                self._context = self._trust.context()
            made = http.client.HTTPSConnection(
                address.host, address.port, timeout=CONNECT_S, context=self._context
            )
        else:
            made = http.client.HTTPConnection(address.host, address.port, timeout=CONNECT_S)
        try:
            made.connect()
        except ssl.SSLError as error:
            made.close()
            raise Failure("tls", str(error.reason or error)) from error
        except socket.gaierror as error:
            made.close()
            passes = error.errno == socket.EAI_AGAIN
            message = "the name %s is not known" % address.host
            raise Failure("unreachable" if passes else "unknown_host", message) from error
        except OSError as error:
            made.close()
            raise Failure("unreachable", "failed to connect", errno=error.errno) from error
        made.sock.settimeout(READ_S)
        made.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def passed(self, count: int) -> None:
        """Bytes of a body went one way or the other."""
        self._job.sent(count)

    def done(self, line: _Line, response: http.client.HTTPResponse) -> None:
        """An answer is not read any more."""
        if line not in self._busy:
            return
        whole = response.isclosed() and not response.will_close
        if not whole or line.made.sock is None:
            self.drop(line)
            return
        self._busy.remove(line)
        line.used = time.monotonic()
        self._idle.append(line)

    def drop(self, line: _Line) -> None:
        """A connection is of no use any more."""
        with contextlib.suppress(ValueError):
            self._busy.remove(line)
        line.made.close()

    def _cut(self) -> None:
        for line in list(self._busy):
            line.cut()

    def close(self) -> None:
        """Ends all connections."""
        self._job.no_cancel(self._cut)
        for line in [*self._idle, *self._busy]:
            line.made.close()
        self._idle, self._busy = [], []


def failure_of(error: Exception, message: str) -> Failure:
    """What an exception of the standard library means."""
    if isinstance(error, socket.timeout):
        return Failure("timeout", "the service did not go on in time")
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return Failure("transient", str(error.reason or message))
    if isinstance(error, (http.client.IncompleteRead, http.client.RemoteDisconnected)):
        return Failure("transient", message)
    if isinstance(error, (http.client.HTTPException, ValueError)):
        return Failure("garbled", "the answer is not HTTP")
    return Failure("transient", message, errno=getattr(error, "errno", None))
