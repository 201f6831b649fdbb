"""What a service's failure means, whatever its dialect, and the code that says so."""

from __future__ import annotations

from typing import Dict, Optional

from ..faults import Fault

PASSES = (
    "transient",
    "throttled",
    "timeout",
    "unreachable",
    "damaged",
    "garbled",
    "conflict",
)
"""Classes of failures that may pass a little later."""

_CODES: Dict[str, str] = {
    "throttled": "THROTTLED",
    "timeout": "REMOTE_TIMEOUT",
    "transient": "REMOTE_UNAVAILABLE",
    "unreachable": "REMOTE_UNAVAILABLE",
    "unknown_host": "REMOTE_UNAVAILABLE",
    "expired": "CREDENTIALS_EXPIRED",
    "refused": "CREDENTIALS_REFUSED",
    "clock": "CLOCK_SKEW",
    "no_bucket": "BUCKET_NOT_FOUND",
    "region": "REGION_WRONG",
    "range": "SRC_CHANGED",
    "quota": "DST_NO_SPACE",
    "archived": "OBJECT_ARCHIVED",
    "unsupported": "UNSUPPORTED",
    "tls": "TLS_REFUSED",
    "redirect": "REDIRECT_REFUSED",
    "garbled": "REMOTE_ANSWER",
    "invalid": "STORE_REFUSED",
}
_BY_SIDE: Dict[str, Dict[str, str]] = {
    "source": {
        "forbidden": "SRC_PERMISSION",
        "not_found": "SRC_NOT_FOUND",
        "condition": "SRC_CHANGED",
        "damaged": "SRC_READ",
    },
    "destination": {
        "forbidden": "DST_PERMISSION",
        "not_found": "DST_WRITE",
        "no_upload": "DST_WRITE",
        "condition": "DST_CHANGED",
        "damaged": "DST_WRITE",
    },
}
_FORBIDDEN = {"list": "LIST_PERMISSION", "remove": "DELETE_PERMISSION"}


class Failure(Exception):
    """A request that came to nothing.

    ``class_`` says what that means, ``code`` and ``message`` are the service's own words, without
    secrets. ``retry_after`` is how long it asks to wait, ``region`` the one that it names.
    """

    def __init__(
        self,
        class_: str,
        message: str = "",
        *,
        status: Optional[int] = None,
        code: str = "",
        errno: Optional[int] = None,
        retry_after: Optional[float] = None,
        region: Optional[str] = None,
    ) -> None:
        super().__init__(message)
        self.class_ = class_
        self.message = message
        self.status = status
        self.code = code
        self.errno = errno
        self.retry_after = retry_after
        self.region = region

    @property
    def passes(self) -> bool:
        """Whether the same request may succeed a little later."""
        return self.class_ in PASSES

    def fault(self, side: str, verb: str, doing: str, path: Optional[bytes] = None) -> Fault:
        """As a fault; ``side`` is ``source`` or ``destination``, ``doing`` follows "failed to"."""
        return Fault(
            self._fault_code(side, verb), "failed to %s" % doing, path=path, cause=self._cause()
        )

    def _fault_code(self, side: str, verb: str) -> str:
        if self.class_ == "forbidden" and verb in _FORBIDDEN:
            return _FORBIDDEN[verb]
        if self.class_ == "conflict":
            return "DST_CHANGED"
        return _CODES.get(self.class_) or _BY_SIDE[side].get(self.class_, "STORE_REFUSED")

    def _cause(self) -> OSError:
        word = "no answer" if self.status is None else "HTTP %d %s" % (self.status, self.code)
        text = ": ".join(filter(None, (word.strip(), self.message)))
        if self.errno is None:
            return OSError(text)
        return OSError(self.errno, text)
