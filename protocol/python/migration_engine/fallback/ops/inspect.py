"""``inspect``: what is there, without touching it."""

from __future__ import annotations

import bisect
from typing import Any, Dict, List, Mapping, Tuple

from .. import fields as f
from ..fields import Field
from ..glob import Selection
from ..job import Job, Outcome
from ..local import kind_of
from ..location import Where, is_database, location_or_database
from ..names import is_utf8, path_fields
from ..origin import Origin, open_origin
from ..timetable import LIMITS

LARGEST_MAX = 5
_CAPABILITIES = {
    "file": ("atomic_publish", "metadata", "random_write", "symlinks"),
    "s3": ("atomic_publish", "metadata"),
}
_COUNTERS = {"file": "files", "symlink": "symlinks", "special": "specials"}

FIELDS: Dict[str, Field] = {
    "src": Field(location_or_database, required=True),
    "include": f.GLOBS,
    "exclude": f.GLOBS,
    "limits": LIMITS,
}


def run(job: Job, params: Mapping[str, Any]) -> Outcome:
    """Counts what the selection takes."""
    src: Where = params["src"]
    if is_database(src):
        from ..tables.inspect import inspect_tables

        return inspect_tables(job, params)
    selection = Selection(params["include"], params["exclude"])
    origin = open_origin(job, src)
    try:
        survey = Survey(kind_of(origin.status.st_mode), origin.scheme)
        if survey.kind == "directory":
            _tree(job, origin, selection, survey)
        else:
            survey.item(origin.name or origin.shown, survey.kind, origin.status.st_size)
    finally:
        origin.close()
    job.items_ok = survey.items
    return Outcome(data=survey.data())


class Survey:
    """The counts of an inspection."""

    def __init__(self, kind: str, scheme: str) -> None:
        self.kind = kind
        self._scheme = scheme
        self.directories = 0
        self.unreadable = 0
        self._counts = dict.fromkeys(_COUNTERS.values(), 0)
        self._bytes = 0
        self._not_utf8 = 0
        self._longest = 0
        self._deepest = 0
        self._largest: List[Tuple[int, bytes]] = []

    @property
    def items(self) -> int:
        """Files, links and specials."""
        return sum(self._counts.values())

    def name(self, path: bytes) -> None:
        """Counts a name."""
        name = path.rpartition(b"/")[2]
        self._not_utf8 += not is_utf8(name)
        self._longest = max(self._longest, len(name))
        self._deepest = max(self._deepest, path.count(b"/") + 1 if path else 0)

    def item(self, path: bytes, kind: str, size: int) -> None:
        """Counts an item and its name."""
        self.name(path)
        self._counts[_COUNTERS[kind]] += 1
        if kind == "file":
            self._bytes += size
            bisect.insort(self._largest, (-size, path))
            del self._largest[LARGEST_MAX:]

    def data(self) -> Dict[str, Any]:
        """What the op answers."""
        data: Dict[str, Any] = {"kind": self.kind, "files": self._counts["files"]}
        data["directories"] = self.directories
        data["symlinks"] = self._counts["symlinks"]
        data["specials"] = self._counts["specials"]
        data["bytes"] = self._bytes
        data["unreadable"] = self.unreadable
        data["not_utf8"] = self._not_utf8
        data["longest_name_bytes"] = self._longest
        data["deepest"] = self._deepest
        data["largest"] = [
            dict(path_fields(path), bytes=-negative) for negative, path in self._largest
        ]
        data["endpoint"] = {
            "scheme": self._scheme,
            "capabilities": list(_CAPABILITIES.get(self._scheme, ())),
        }
        return data


def _tree(job: Job, origin: Origin, selection: Selection, survey: Survey) -> None:
    with origin.tree() as tree:
        for entry in tree.walk(selection, follow=False):
            job.step()
            if entry.what == "enter":
                survey.directories += 1
                survey.name(entry.path)
            elif entry.what == "failed":
                survey.unreadable += 1
                if entry.fault is not None:
                    job.item_failed(entry.path, entry.fault)
            elif entry.what == "item":
                survey.item(entry.path, entry.kind, entry.st.st_size)
