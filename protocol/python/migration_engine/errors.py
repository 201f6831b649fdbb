"""What a command, or the engine itself, can raise. All of it can be pickled."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Tuple, Type


class MigrationError(Exception):
    """A command that did not end well.

    ``code`` is stable (see ``migration-engine explain CODE``), ``class_`` says who can mend it,
    ``retryable`` whether the same command may succeed later unchanged, ``at`` where it happened
    (``path``, ``field``), ``hint`` what to do next, ``causes`` the underlying failures, nearest
    first, and ``result`` the whole result line, where there is one.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "INTERNAL",
        class_: str = "internal",
        retryable: bool = False,
        at: Optional[Mapping[str, Any]] = None,
        hint: str = "",
        causes: Tuple[Mapping[str, Any], ...] = (),
        result: Optional[Mapping[str, Any]] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.class_ = class_
        self.retryable = retryable
        self.at = dict(at or {})
        self.hint = hint
        self.causes = tuple(causes)
        self.result = result

    def __str__(self) -> str:
        where = self.at.get("path", self.at.get("field"))
        text = "%s: %s" % (self.code, self.message)
        if where is not None:
            text += " (at %s)" % where
        return text + ("; %s" % self.hint if self.hint else "")

    def __reduce__(self) -> Tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self._details()))

    def _details(self) -> Dict[str, Any]:
        return {
            "code": self.code,
            "class_": self.class_,
            "retryable": self.retryable,
            "at": self.at,
            "hint": self.hint,
            "causes": self.causes,
            "result": self.result,
        }


def _rebuild(kind: Type[MigrationError], message: str, details: Dict[str, Any]) -> MigrationError:
    return kind(message, **details)


class ConfigError(MigrationError):
    """The command or its settings: change them."""


class AuthError(MigrationError):
    """Rights: grant them."""


class DataError(MigrationError):
    """An item's own content or name."""


class SourceNotFound(DataError, FileNotFoundError):
    """The source, or one of its items, does not exist."""


class TransientError(MigrationError):
    """An outage or conflict that passes: try again."""


class ResourceError(MigrationError):
    """Space, memory, handles: make room, then send the command again."""


class IntegrityError(MigrationError):
    """Bytes that are not what they should be: keep the evidence, do not cut over."""


class InternalError(MigrationError):
    """A defect of the engine: report it."""


class Cancelled(MigrationError):
    """The command was cancelled; nothing half-made is left."""


class PartialFailure(MigrationError):
    """Some items failed, every other one is done; ``result`` lists the first failures."""


class EngineNotFound(MigrationError):
    """No usable engine; ``tried`` lists every place that was looked at."""

    def __init__(self, message: str, *, tried: Tuple[str, ...] = (), **details: Any) -> None:
        details.setdefault("code", "ENGINE_NOT_FOUND")
        details.setdefault("class_", "config")
        super().__init__(message, **details)
        self.tried = tuple(tried)

    def __str__(self) -> str:
        return "\n  ".join([super().__str__(), *self.tried])

    def _details(self) -> Dict[str, Any]:
        return dict(super()._details(), tried=self.tried)


class EngineCrashed(MigrationError):
    """The engine ended while commands were unanswered.

    ``stderr`` is the end of what it said, ``returncode`` its exit code (negative: the signal),
    ``checkpoint`` the token of the command's last checkpoint, which ``resume`` takes.
    """

    def __init__(
        self,
        message: str,
        *,
        stderr: str = "",
        returncode: Optional[int] = None,
        checkpoint: Optional[str] = None,
        **details: Any,
    ) -> None:
        details.setdefault("code", "ENGINE_CRASHED")
        details.setdefault("retryable", True)
        super().__init__(message, **details)
        self.stderr = stderr
        self.returncode = returncode
        self.checkpoint = checkpoint

    def _details(self) -> Dict[str, Any]:
        return dict(
            super()._details(),
            stderr=self.stderr,
            returncode=self.returncode,
            checkpoint=self.checkpoint,
        )


_BY_CLASS: Dict[str, Type[MigrationError]] = {
    "config": ConfigError,
    "auth": AuthError,
    "data": DataError,
    "transient": TransientError,
    "resource": ResourceError,
    "integrity": IntegrityError,
    "internal": InternalError,
}


def from_wire(error: Mapping[str, Any], result: Optional[Mapping[str, Any]]) -> MigrationError:
    """The exception for an error object; ``result`` is the line it came in."""
    return _kind(error, result)(
        str(error.get("message", "")),
        code=str(error.get("code", "INTERNAL")),
        class_=str(error.get("class", "internal")),
        retryable=bool(error.get("retryable", False)),
        at=error.get("at"),
        hint=str(error.get("hint", "")),
        causes=_causes(error),
        result=result,
    )


def _causes(error: Mapping[str, Any]) -> Tuple[Mapping[str, Any], ...]:
    causes: List[Mapping[str, Any]] = error.get("cause") or []
    return tuple(causes)


def _kind(error: Mapping[str, Any], result: Optional[Mapping[str, Any]]) -> Type[MigrationError]:
    status = None if result is None else result.get("status")
    if status == "partial":
        return PartialFailure
    if status == "cancelled" or error.get("code") == "CANCELLED":
        return Cancelled
    if error.get("code") == "SRC_NOT_FOUND":
        return SourceNotFound
    return _BY_CLASS.get(str(error.get("class")), InternalError)
