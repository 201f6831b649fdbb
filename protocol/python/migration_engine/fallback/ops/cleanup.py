"""``cleanup``: removes what dead jobs left behind."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Sequence

from .. import fields as f
from ..fields import Field
from ..job import Job, Outcome, Sample
from ..leftovers import Removed, remove_below
from ..location import local_path
from ..names import path_fields
from ..objects.leftovers import abandon_uploads
from ..state import JobRecord, Root

FIELDS: Dict[str, Field] = {
    "target": Field(f.text),
    "locations": Field(f.one_or_many(local_path), default=()),
    "forget": Field(f.flag, default=False),
    "dry_run": Field(f.flag, default=False),
}


def run(job: Job, params: Mapping[str, Any]) -> Outcome:
    """Cleans up; twice is harmless."""
    return _Cleanup(job, params).run()


def job_of_token(text: str) -> str:
    """The job that a checkpoint's token, or a plain name, stands for."""
    return text.split(":")[1] if text.startswith("ck:") and text.count(":") == 2 else text


class _Cleanup:
    def __init__(self, job: Job, params: Mapping[str, Any]) -> None:
        self._job = job
        self._state = job.session.state
        self._params = params
        self._dry_run: bool = params["dry_run"]
        self._jobs = 0
        self._files = self._bytes = 0
        self._leftovers = Sample()

    def run(self) -> Outcome:
        """The whole clean-up."""
        job, params = self._job, self._params
        for record in self._chosen():
            job.step()
            self._one(record)
        for location in params["locations"]:
            job.step()
            self._location(location)
        if params["forget"] and job.key is not None and not self._dry_run:
            with self._state.lock_key(job.key):
                self._state.forget(job.key)
        job.items_ok = self._files
        job.bytes = 0
        data = {
            "jobs": self._jobs,
            "removed": self._files,
            "bytes": self._bytes,
            "leftovers": self._leftovers.entries,
        }
        return Outcome(data=data)

    def _chosen(self) -> Sequence[JobRecord]:
        target: Optional[str] = self._params["target"]
        if target is not None:
            return self._state.jobs(name=job_of_token(target))
        if self._job.key is not None:
            return self._state.jobs(key=self._job.key)
        return self._state.jobs()

    def _one(self, record: JobRecord) -> None:
        owner = record.name[:8]
        if self._state.alive(owner):
            return
        self._jobs += 1
        removed = remove_below(record.roots, lambda found: found == owner, self._dry_run)
        abandoned = abandon_uploads(self._job, record.name, self._dry_run)
        removed.files += abandoned.ended
        removed.leftovers.extend(abandoned.left)
        self._take(removed)
        stays = removed.leftovers or abandoned.waits
        keeps = self._dry_run or stays or record.key is not None
        if not keeps or (self._params["forget"] and not self._dry_run):
            self._state.drop_job(record.name)

    def _location(self, location: bytes) -> None:
        dead: Dict[str, bool] = {}

        def wanted(owner: str) -> bool:
            if owner not in dead:
                dead[owner] = not (self._state.alive(owner) or self._state.native_alive(owner))
            return dead[owner]

        self._take(remove_below([Root(location, True)], wanted, self._dry_run))

    def _take(self, removed: Removed) -> None:
        self._files += removed.files
        self._bytes += removed.bytes
        for path in removed.leftovers:
            self._leftovers.add(dict(path_fields(path)))
