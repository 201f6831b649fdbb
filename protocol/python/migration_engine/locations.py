"""Locations that are not paths: a URL, and how what is behind it is reached and written."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Dict, Mapping, TypedDict, Union

if TYPE_CHECKING:
    if sys.version_info >= (3, 11):
        from typing import Unpack
    else:
        from typing_extensions import Unpack

Secret = Mapping[str, Any]
"""Where a secret is found: ``{"env": NAME}``, ``{"file": PATH}``, ``{"fd": N}``; never a value."""


class LocationOptions(TypedDict, total=False):
    """What a location says beside its URL; see PROTOCOL.md. Each store refuses what it lacks.

    ``auth`` names secrets by reference: of S3 ``access_key_id``, ``secret_access_key``,
    ``session_token`` and ``sse_customer_key``. Without it the store's usual sources are asked: its
    environment variables and profile files. ``keys="escape"`` writes keys that are no paths as
    ``%XX``. ``storage_class`` to ``sse_key_id`` are for what is written there.
    """

    auth: Mapping[str, Secret]
    endpoint: str
    region: str
    profile: str
    account: str
    anonymous: bool
    imds: bool
    path_style: bool
    accelerate: bool
    requester_pays: bool
    tls_ca: str
    tls_insecure: bool
    allow_racy: bool
    keys: str
    part_bytes: Union[int, str]
    storage_class: str
    content_type: str
    content_encoding: str
    cache_control: str
    metadata: Mapping[str, str]
    tags: Mapping[str, str]
    acl: str
    sse: str
    sse_key_id: str


def location(url: str, **options: "Unpack[LocationOptions]") -> Dict[str, Any]:
    """A location for any ``src`` or ``dst``.

    A plain string ``"s3://bucket/key"`` is one too, where nothing is to be said beside it.

        location("s3://backup/2026", endpoint="https://store.example", profile="backup")
    """
    return {"url": url, **options}
