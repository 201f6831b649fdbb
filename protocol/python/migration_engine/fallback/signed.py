"""Keeps what proves who asks out of what is stored of a command.

URLs may be signed, or bear a token, and whoever reads them then may read what they name.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Dict, FrozenSet, Optional

_HIDDEN = "[hidden:"

# Ways to sign URLs, by exact names: the proof, and what is another with each signature of the same
# thing. Any other part of a query may tell one thing from another.
_SCHEMES: Dict[str, FrozenSet[str]] = {
    "x-amz-signature": frozenset(
        "x-amz-" + name
        for name in (
            "credential",
            "security-token",
            "date",
            "expires",
            "algorithm",
            "signedheaders",
        )
    ),
    "x-goog-signature": frozenset(
        "x-goog-" + name for name in ("credential", "date", "expires", "algorithm", "signedheaders")
    ),
    "signature": frozenset(
        [
            "expires",
            "policy",
            "key-pair-id",
            "googleaccessid",
            "awsaccesskeyid",
            "x-amz-security-token",
        ]
    ),
    "sig": frozenset(
        [
            "se",
            "st",
            "sp",
            "sv",
            "skoid",
            "sktid",
            "skt",
            "ske",
            "sks",
            "skv",
            "spr",
            "sip",
            "sdd",
            "saoid",
            "suoid",
            "scid",
        ]
    ),
}
_WORDS = frozenset(
    ["authorization", "bearer", "credential", "credentials", "jwt", "pwd", "sas", "sig"]
)
_ENDS = ("auth", "key", "token", "secret", "password", "passwd", "signature")


def written(command: Any, salt: str) -> Any:
    """A command as it may be stored: the same for the same thing under another signature.

    It is another for any other value, be it a proof; ``salt`` keeps those of two keys apart.
    """
    if isinstance(command, str):
        return _hidden(command, salt) or command
    if isinstance(command, list):
        return [written(one, salt) for one in command]
    if isinstance(command, dict):
        return {name: written(one, salt) for name, one in command.items()}
    return command


def lacks(command: Any) -> bool:
    """Whether something was left out of a stored command, so that it cannot be run."""
    if isinstance(command, dict):
        command = list(command.values())
    if isinstance(command, list):
        return any(lacks(one) for one in command)
    return isinstance(command, str) and _HIDDEN in command


def _is_proof(name: str) -> bool:
    words = re.split("[^a-z0-9]", name)
    return any(word in _WORDS or word.endswith(_ENDS) for word in words)


def _hidden(text: str, salt: str) -> Optional[str]:
    """A URL without its query, where that proves who asks; ``None`` for all else."""
    place, mark, query = text.partition("?")
    if not mark or not place.lower().startswith(("https://", "http://")):
        return None
    parts = [(part.partition("=")[0].lower(), part) for part in query.partition("#")[0].split("&")]
    names = {name for name, _ in parts}
    if not any(_is_proof(name) for name in names):
        return None
    signed = [proof for proof in _SCHEMES if proof in names]
    dropped = {name for proof in signed for name in (proof, *_SCHEMES[proof])}
    rest = "".join(part + "&" for name, part in parts if name not in dropped)
    key = hashlib.sha256(salt.encode("utf-8", "surrogatepass")).digest()
    told = hashlib.blake2b(rest.encode("utf-8", "surrogatepass"), digest_size=32, key=key)
    return "%s?%s%s]" % (place, _HIDDEN, told.hexdigest())
