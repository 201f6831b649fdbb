"""Where something is: a path of this machine, or a URL with what its store is reached by."""

from __future__ import annotations

import base64
import binascii
import re
import urllib.parse
from typing import Any, Dict, Mapping, NamedTuple, Optional, Tuple, Union

from . import fields as f
from .faults import Fault
from .fields import Field

_SCHEME = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]*)://")
_SECRET_KINDS = ("env", "file", "fd", "command")
_NATIVE_ONLY = ("gs", "az")
_DATABASES = ("mariadb", "mysql", "postgres", "postgresql")
"""Schemes of databases that only the binary moves; their URLs may name a user."""
_S3_OPTIONS = (
    "endpoint",
    "region",
    "profile",
    "path_style",
    "accelerate",
    "requester_pays",
    "tls_ca",
    "tls_insecure",
    "anonymous",
    "allow_racy",
    "keys",
    "part_bytes",
    "storage_class",
    "content_type",
    "content_encoding",
    "cache_control",
    "metadata",
    "tags",
    "acl",
    "sse",
    "sse_key_id",
)
_KNOWN: Dict[str, Tuple[Tuple[str, ...], Tuple[str, ...]]] = {
    "s3": (
        _S3_OPTIONS,
        ("access_key_id", "secret_access_key", "session_token", "sse_customer_key"),
    ),
    "http": (("tls_ca", "tls_insecure"), ("user", "password", "bearer")),
    "https": (("tls_ca", "tls_insecure"), ("user", "password", "bearer")),
}
"""The schemes of this backend beside files: options and names in ``auth`` that each one knows."""


class Options(NamedTuple):
    """What a location says beside its URL; PROTOCOL.md tells what each means."""

    endpoint: Optional[str] = None
    region: Optional[str] = None
    profile: Optional[str] = None
    account: Optional[str] = None
    anonymous: bool = False
    imds: bool = False
    path_style: Optional[bool] = None
    accelerate: bool = False
    requester_pays: bool = False
    tls_ca: Optional[str] = None
    tls_insecure: bool = False
    allow_racy: bool = False
    keys: str = "plain"
    part_bytes: Optional[int] = None
    storage_class: Optional[str] = None
    content_type: Optional[str] = None
    content_encoding: Optional[str] = None
    cache_control: Optional[str] = None
    metadata: Mapping[str, str] = {}
    tags: Mapping[str, str] = {}
    acl: Optional[str] = None
    sse: Optional[str] = None
    sse_key_id: Optional[str] = None

    def named(self) -> Tuple[str, ...]:
        """Names of the fields that ask for something."""
        usual = Options()
        return tuple(one for one in self._fields if getattr(self, one) != getattr(usual, one))


class Location(NamedTuple):
    """A place that is not on this machine: what follows ``scheme://``, and how it is reached."""

    scheme: str
    path: bytes
    auth: Mapping[str, Mapping[str, Any]]
    options: Options

    @property
    def shown(self) -> bytes:
        """The URL without its query."""
        return b"%s://%s" % (self.scheme.encode("ascii"), self.path.partition(b"?")[0])

    @property
    def name(self) -> bytes:
        """The last part of its path; empty where that names no item."""
        name = self.path.partition(b"?")[0].rstrip(b"/").rpartition(b"/")[2]
        return b"" if name in (b".", b"..") else name

    @property
    def is_into(self) -> bool:
        """Whether it ends in a slash: into this directory."""
        return self.path.endswith(b"/")

    def child(self, name: bytes) -> "Location":
        """The location of ``name`` in this one."""
        between = b"" if self.path.endswith(b"/") or not self.path else b"/"
        return self._replace(path=self.path + between + name)


Where = Union[bytes, Location]
"""A path of this machine, or a location elsewhere."""


def shown(place: Where) -> bytes:
    """What a person would type."""
    return place if isinstance(place, bytes) else place.shown


def local(place: Where) -> bytes:
    """A place that is known to be on this machine."""
    if not isinstance(place, bytes):
        raise ValueError("this place is not on this machine")
    return place


def texts(value: Any, field: str) -> Dict[str, str]:
    """An object of strings."""
    if not isinstance(value, dict):
        raise f.invalid(field, "an object of strings")
    return {name: f.text(one, field) for name, one in value.items()}


_OPTIONS: Dict[str, Field] = {
    "endpoint": Field(f.optional(f.text)),
    "region": Field(f.optional(f.text)),
    "profile": Field(f.optional(f.text)),
    "account": Field(f.optional(f.text)),
    "anonymous": Field(f.flag, default=False),
    "imds": Field(f.flag, default=False),
    "path_style": Field(f.optional(f.flag)),
    "accelerate": Field(f.flag, default=False),
    "requester_pays": Field(f.flag, default=False),
    "tls_ca": Field(f.optional(f.text)),
    "tls_insecure": Field(f.flag, default=False),
    "allow_racy": Field(f.flag, default=False),
    "keys": Field(f.choice("plain", "escape"), default="plain"),
    "part_bytes": Field(f.optional(f.size())),
    "storage_class": Field(f.optional(f.text)),
    "content_type": Field(f.optional(f.text)),
    "content_encoding": Field(f.optional(f.text)),
    "cache_control": Field(f.optional(f.text)),
    "metadata": Field(texts, default={}),
    "tags": Field(texts, default={}),
    "acl": Field(f.optional(f.text)),
    "sse": Field(f.optional(f.text)),
    "sse_key_id": Field(f.optional(f.text)),
}


def local_path(value: Any, field: str) -> bytes:
    """A location on this machine, as bytes; those elsewhere are ``UNSUPPORTED``."""
    place = location(value, field)
    if isinstance(place, bytes):
        return place
    raise Fault("UNSUPPORTED", "%s must be a local file" % field, field=field)


def sink(value: Any, field: str) -> Where:
    """A location that is written to; what can only be read is ``UNSUPPORTED``."""
    place = location(value, field)
    if isinstance(place, Location) and place.scheme != "s3":
        message = "locations of the scheme %s can only be read" % place.scheme
        raise Fault("UNSUPPORTED", message, field=field)
    return place


def database(value: Any, field: str) -> Location:
    """A database; what is none, or only the binary's, is ``UNSUPPORTED``."""
    place = location_or_database(value, field)
    if isinstance(place, Location) and place.scheme == "sqlite":
        return place
    scheme = place.scheme if isinstance(place, Location) else "file"
    message = "%s locations are no databases" % scheme
    raise Fault("UNSUPPORTED", message, field=field, hint="of databases this backend has sqlite://")


def is_database(place: Where) -> bool:
    """Whether a location is a database."""
    return isinstance(place, Location) and place.scheme == "sqlite"


def location_or_database(value: Any, field: str) -> Where:
    """A location, or a database that this backend knows."""
    name, auth, options = _parts(value, field)
    found = _SCHEME.match(name)
    scheme = found.group(1).lower().decode("ascii") if found else ""
    if not found or scheme != "sqlite":
        return location(value, field)
    rest = name[found.end() :]
    if b"@" in rest.split(b"/", 1)[0]:
        raise f.invalid(field, "a URL without user or password; use auth with references")
    if b"\0" in name:
        raise f.invalid(field, "a path that is not empty and has no NUL")
    for option in options.named():
        raise Fault("INVALID_FIELD", "sqlite locations know no %s" % option, field=field)
    return Location(scheme, rest, auth, options)


def location(value: Any, field: str) -> Where:
    """A path as bytes, or a location of a scheme that this backend knows."""
    name, auth, options = _parts(value, field)
    if not name or b"\0" in name:
        raise f.invalid(field, "a path that is not empty and has no NUL")
    found = _SCHEME.match(name)
    if not found:
        _check_known("file", auth, options, field)
        return name
    scheme: str = found.group(1).lower().decode("ascii")
    rest = name[found.end() :]
    user, at, _ = rest.split(b"/", 1)[0].partition(b"@")
    if at and (scheme not in _DATABASES or b":" in user):
        raise f.invalid(field, "a URL without user or password; use auth with references")
    if scheme == "file":
        _check_known(scheme, auth, options, field)
        return _file_path(rest, field)
    if scheme not in _KNOWN:
        raise _not_built(scheme, field)
    _check_known(scheme, auth, options, field)
    return Location(scheme, rest, auth, options)


def _file_path(rest: bytes, field: str) -> bytes:
    path = urllib.parse.unquote_to_bytes(rest)
    if not rest.startswith(b"/") or b"\0" in path:
        raise f.invalid(field, "a file URL without a host: file:///path")
    return path


def _not_built(scheme: str, field: str) -> Fault:
    if scheme in _DATABASES:
        message = "databases of the scheme %s are not in Python's standard library" % scheme
        return Fault("UNSUPPORTED", message, field=field, hint="install the binary, which has them")
    if scheme in _NATIVE_ONLY:
        message = "the scheme %s is not in Python's standard library" % scheme
        return Fault("UNSUPPORTED", message, field=field, hint="install the binary, which has it")
    message = "locations of the scheme %s are not built in this backend" % scheme
    hint = "give a local path, or use a backend that offers the scheme"
    return Fault("UNSUPPORTED", message, field=field, hint=hint)


def _check_known(scheme: str, auth: Mapping[str, Any], options: Options, field: str) -> None:
    if options.imds and scheme == "s3":
        message = "the machine's metadata service is not asked by this backend"
        hint = "install the binary, or give credentials in another way"
        raise Fault("UNSUPPORTED", message, field=field, hint=hint)
    known_options, known_auth = _KNOWN.get(scheme, ((), tuple(auth)))
    for name in options.named():
        if name not in known_options:
            message = "%s locations know no %s" % (scheme, name)
            raise Fault("INVALID_FIELD", message, field=field)
    for name in auth:
        if options.anonymous and name in known_auth[:3]:
            message = "the location is anonymous and names auth.%s" % name
            raise Fault("INVALID_FIELD", message, field=field)
        if name not in known_auth:
            message = "the scheme %s knows no such secret" % scheme
            told = "known are %s" % ", ".join(known_auth) if known_auth else None
            where = "%s.auth.%s" % (field, name)
            raise Fault("INVALID_FIELD", message, field=where, hint=told)


def _parts(value: Any, field: str) -> Tuple[bytes, Dict[str, Mapping[str, Any]], Options]:
    if isinstance(value, str):
        return value.encode("utf-8"), {}, Options()
    if not isinstance(value, dict):
        raise f.invalid(field, 'a path or URL, {"b64":…}, or {"url":…,"auth":{…},…}')
    if "b64" in value and "url" in value:
        raise Fault("INVALID_FIELD", "give one of b64 and url", field=field)
    auth = _auth(value.get("auth", {}), field)
    told = {k: v for k, v in value.items() if k not in ("b64", "url", "auth")}
    options = _options(told, field)
    if "url" in value:
        return f.text(value["url"], field).encode("utf-8"), auth, options
    if "b64" in value:
        return _decode_base64(value["b64"], field), auth, options
    raise Fault("INVALID_FIELD", "missing field `url`", field=field)


def _options(told: Mapping[str, Any], field: str) -> Options:
    for name in told:
        if name not in _OPTIONS:
            names = ", ".join("`%s`" % one for one in _OPTIONS)
            message = "unknown field `%s`, expected one of %s" % (name, names)
            raise Fault("INVALID_FIELD", message, field=field)
    try:
        return Options(**f.read_fields(told, _OPTIONS))
    except Fault as fault:
        # The whole location is the field that is told.
        message = "%s: %s" % (fault.field, fault.message)
        raise Fault("INVALID_FIELD", message, field=field) from fault


def _decode_base64(value: Any, field: str) -> bytes:
    try:
        return base64.b64decode(f.text(value, field), validate=True)
    except (binascii.Error, ValueError):
        raise f.invalid(field, "base64 in b64") from None


def _auth(auth: Any, field: str) -> Dict[str, Mapping[str, Any]]:
    if not isinstance(auth, dict):
        raise f.invalid(field, "an object of secret references in auth")
    for name, reference in auth.items():
        where = "%s.auth.%s" % (field, name)
        if not isinstance(reference, dict) or len(reference) != 1:
            raise f.invalid(where, "a secret reference, never a value")
        if next(iter(reference)) not in _SECRET_KINDS:
            raise f.invalid(where, "a secret reference: " + ", ".join(_SECRET_KINDS))
    return dict(auth)
