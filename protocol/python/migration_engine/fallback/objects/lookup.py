"""Finds items elsewhere by their paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from ..faults import Fault
from ..local import Source
from ..location import Location
from .keys import key_of
from .stores import Elsewhere, open_store

if TYPE_CHECKING:
    from ..job import Job


class Lookup:
    """The items below a location, which must be a directory."""

    def __init__(self, job: "Job", location: Location) -> None:
        self._job = job
        self._escape = location.options.keys == "escape"
        self._store = open_store(job, location, "source")
        try:
            if self._store.root()[0] != "directory":
                message = "a manifest is compared with a directory"
                raise Fault("INVALID_FIELD", message, field="src")
        except BaseException:
            self._store.close()
            raise

    def find(self, path: bytes) -> Optional[Source]:
        """The item of this path; ``None`` where there is none."""
        key = key_of(path, self._escape)
        seen = self._store.look(key)
        if seen is None:
            return None
        return Source(None, b"", path, far=Elsewhere(self._job, self._store.far(key), seen, path))

    def close(self) -> None:
        """Ends the connections."""
        self._store.close()
