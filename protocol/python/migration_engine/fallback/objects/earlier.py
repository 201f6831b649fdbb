"""Uploads in parts that earlier attempts of a keyed command began, to go on with."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, List, Optional, Tuple

from ..state import Begun
from .leftovers import abandon_uploads, since_of

if TYPE_CHECKING:
    from ..job import Job


def settled(*facts: Any) -> str:
    """What stands for all that was settled when an upload began."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode("utf-8")).hexdigest()


class Earlier:
    """Those of attempts whose process is dead; each is gone on with once, or given up."""

    def __init__(self, job: "Job") -> None:
        self._job = job
        self._left: List[Tuple[str, Begun]] = []
        state = job.session.state
        self._names = [name for name in job.prior_attempts if not state.alive(name[:8])]
        for name in self._names:
            told = [begun for begun in state.uploads(name) if since_of(begun.name) is None]
            self._left += [(name, begun) for begun in told]

    def take(self, key: str, facts: str) -> Optional[Tuple[str, Begun]]:
        """One that becomes this very object, and the job that began it."""
        for at, (_, begun) in enumerate(self._left):
            if (begun.key, begun.facts) == (key, facts):
                return self._left.pop(at)
        return None

    def end(self) -> None:
        """Gives up those that nobody went on with."""
        for name in self._names:
            abandon_uploads(self._job, name, dry_run=False)
