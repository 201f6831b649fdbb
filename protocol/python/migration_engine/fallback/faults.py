"""Faults: what goes wrong, as the wire says it."""

from __future__ import annotations

import errno
from typing import Any, Dict, List, Optional

from .names import path_fields
from .registry import BY_CODE

_TEXT_MAX_CHARS = 600

_SOURCE_ERRNOS = {
    errno.ENOENT: "SRC_NOT_FOUND",
    errno.ENOTDIR: "SRC_NOT_FOUND",
    errno.EACCES: "SRC_PERMISSION",
    errno.EPERM: "SRC_PERMISSION",
    errno.ELOOP: "SRC_LINK",
    errno.EMFILE: "HANDLES",
    errno.ENFILE: "HANDLES",
}
_DESTINATION_ERRNOS = {
    errno.EACCES: "DST_PERMISSION",
    errno.EPERM: "DST_PERMISSION",
    errno.ENOSPC: "DST_NO_SPACE",
    errno.EDQUOT: "DST_NO_SPACE",
    errno.EROFS: "DST_READ_ONLY",
    errno.EEXIST: "DST_EXISTS",
    errno.ENOTDIR: "DST_TYPE",
    errno.EISDIR: "DST_TYPE",
    errno.ELOOP: "DST_TYPE",
    errno.ENOTEMPTY: "DST_TYPE",
    errno.ENAMETOOLONG: "NAME_REFUSED",
    errno.EINVAL: "NAME_REFUSED",
    errno.EMFILE: "HANDLES",
    errno.ENFILE: "HANDLES",
}

# Faults that would meet every further item too: they end the job.
ENDS_JOB = (
    "MEMORY",
    "HANDLES",
    "STATE_DIR",
    "JOURNAL_CORRUPT",
    "RESUME_REFUSED",
    "DST_NO_SPACE",
    "DST_READ_ONLY",
    "NO_ATOMIC_NOREPLACE",
    "LEASE_LOST",
    "SECRET_UNRESOLVED",
    "CREDENTIALS_MISSING",
    "CREDENTIALS_REFUSED",
    "CREDENTIALS_EXPIRED",
    "CLOCK_SKEW",
    "BUCKET_NOT_FOUND",
    "REGION_WRONG",
    "TLS_REFUSED",
    "REDIRECT_REFUSED",
    "REMOTE_UNAVAILABLE",
)


def printable(text: str) -> str:
    """``text`` with control characters escaped and its length bounded."""
    cut = text[:_TEXT_MAX_CHARS] + ("…" if len(text) > _TEXT_MAX_CHARS else "")
    return "".join(c if c.isprintable() or c == " " else _escaped(c) for c in cut)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


class Fault(Exception):
    """One failure with a code of the registry; class, retry rule and hint come from there."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        field: Optional[str] = None,
        path: Optional[bytes] = None,
        offset: Optional[int] = None,
        hint: Optional[str] = None,
        detail: Optional[Dict[str, Any]] = None,
        cause: Optional[OSError] = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = printable(message)
        self.field = field
        self.path = path
        self.offset = offset
        self.hint = hint
        self.detail = detail
        self.cause = cause

    def at(self, path: bytes) -> "Fault":
        """The same fault at an item, unless it names one already."""
        if self.path is None:
            self.path = path
        return self

    def wire(self) -> Dict[str, Any]:
        """The error object of ``result`` and ``error`` lines."""
        spec = BY_CODE[self.code]
        out: Dict[str, Any] = {
            "code": spec.code,
            "n": spec.n,
            "class": spec.class_,
            "retryable": spec.retryable,
            "message": self.message,
        }
        at = self._at()
        if at:
            out["at"] = at
        out["hint"] = printable(self.hint or spec.hint)
        if self.detail:
            out["detail"] = self.detail
        if self.cause is not None:
            out["cause"] = _causes(self.cause)
        return out

    def _at(self) -> Dict[str, Any]:
        at: Dict[str, Any] = {}
        if self.path is not None:
            at.update(path_fields(self.path))
        if self.field is not None:
            at["field"] = printable(self.field)
        if self.offset is not None:
            at["offset"] = self.offset
        return at


def _causes(error: OSError) -> List[Dict[str, Any]]:
    told = error.strerror.lower() if error.strerror else str(error)
    cause: Dict[str, Any] = {"message": printable(told)}
    if error.errno is not None:
        cause["errno"] = error.errno
    return [cause]


def source_fault(error: OSError, doing: str, path: Optional[bytes] = None) -> Fault:
    """The fault for ``error`` on the source side; ``doing`` completes "failed to"."""
    code = _SOURCE_ERRNOS.get(error.errno or 0, "SRC_READ")
    return Fault(code, "failed to %s" % doing, path=path, cause=error)


def destination_fault(error: OSError, doing: str, path: Optional[bytes] = None) -> Fault:
    """The fault for ``error`` on the destination side; ``doing`` completes "failed to"."""
    code = _DESTINATION_ERRNOS.get(error.errno or 0, "DST_WRITE")
    return Fault(code, "failed to %s" % doing, path=path, cause=error)
