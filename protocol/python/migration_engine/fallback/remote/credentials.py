"""Who asks: the location's own references, the environment, the files of AWS's tools."""

from __future__ import annotations

import configparser
import os
from typing import Dict, Mapping, NamedTuple, Optional, Sequence

from ..faults import Fault
from ..location import Location
from .sigv4 import Keys

AUTH = ("access_key_id", "secret_access_key", "session_token")
_SECRET_BYTES_MAX = 64 << 10


class Profile(NamedTuple):
    """What the files say under one name: fields by their names in them."""

    fields: Mapping[str, str]
    found: bool


def resolve(reference: Mapping[str, object], name: str) -> str:
    """The value of a secret reference; its text is in no fault."""
    kind, value = next(iter(reference.items()))
    try:
        if kind == "env":
            told = os.environb[os.fsencode(str(value))]
        elif kind == "file":
            with open(os.fsencode(str(value)), "rb") as file:
                told = file.read(_SECRET_BYTES_MAX)
        elif kind == "fd" and isinstance(value, int):
            with open(value, "rb", closefd=False) as file:
                told = file.read(_SECRET_BYTES_MAX)
        else:
            message = "secrets from commands are not built in this backend"
            raise Fault("UNSUPPORTED", message, field="auth.%s" % name)
        text = told.decode("ascii").rstrip("\r\n")
    except (OSError, KeyError, UnicodeDecodeError):
        text = ""
    if not text or not text.isprintable():
        raise Fault("SECRET_UNRESOLVED", "the secret of auth.%s could not be read" % name)
    return text


def profile_of(location: Location) -> Profile:
    """The profile in force: the location's, that of the environment, or ``default``."""
    asked = location.options.profile or os.environ.get("AWS_PROFILE")
    name = asked or "default"
    fields: Dict[str, str] = {}
    found = False
    for variable, usual, section in (
        ("AWS_CONFIG_FILE", "~/.aws/config", name if name == "default" else "profile " + name),
        ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials", name),
    ):
        told = _section(os.path.expanduser(os.environ.get(variable) or usual), section)
        if told is not None:
            found = True
            fields.update(told)
    if asked is not None and not found:
        raise Fault("CREDENTIALS_MISSING", "no file has the profile that is asked for")
    return Profile(fields, found)


def _section(path: str, section: str) -> Optional[Mapping[str, str]]:
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    try:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, configparser.Error):
        # Neither its text nor the parser's words, which quote it.
        raise Fault("CREDENTIALS_MISSING", "a profile file cannot be read") from None
    return dict(parser.items(section)) if parser.has_section(section) else None


def keys_of(location: Location, profile: Profile) -> Optional[Keys]:
    """Keys to sign with; ``None`` where requests are not signed.

    The location's references go before all; a profile that it names goes before the environment.
    """
    if location.options.anonymous:
        return None
    auth = {name: resolve(one, name) for name, one in location.auth.items() if name in AUTH}
    if auth:
        for name in AUTH[:2]:
            if name not in auth:
                message = "auth names a part of an access key without %s" % name
                raise Fault("MISSING_FIELD", message, field="auth.%s" % name)
        return _told(auth, AUTH, "auth")
    if location.options.profile is None and os.environ.get(_VARIABLES[0]):
        return _told(os.environ, _VARIABLES, "the environment")
    if profile.fields.get(_FIELDS[0]):
        return _told(profile.fields, _FIELDS, "the profile")
    raise Fault("CREDENTIALS_MISSING", "no credentials for the object store were found")


_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_FIELDS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")


def _told(values: Mapping[str, str], names: Sequence[str], where: str) -> Keys:
    key, secret, token = (values.get(name) for name in names)
    if not key or not secret:
        message = "%s has one of key and secret, and not the other" % where
        raise Fault("CREDENTIALS_MISSING", message)
    return Keys(key, secret, token or None)
