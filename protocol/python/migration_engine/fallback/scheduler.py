"""Which job may start now: slots, the queue, and what waits for what."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from typing import Callable, Deque, Dict, Iterable, List, Optional, Sequence, Tuple

from .faults import Fault
from .job import Id, Job

SLOTS = 4
SLOTS_MAX = 256
FINISHED_REMEMBERED = 10_000


class _Waiting:
    def __init__(self, job: Job, after: Iterable[Id], statuses: Sequence[str]) -> None:
        self.job = job
        self.after = set(after)
        self.statuses = statuses


class Scheduler:
    """Starts jobs in the order they came, as many at once as there are slots.

    Coordinators (``batch``) run beside the slots: they only wait for their own items.
    """

    def __init__(self, run: Callable[[Job], None], skip: Callable[[Job], None]) -> None:
        """``run`` does a job in its own thread; ``skip`` answers one that will not run.

        ``skip`` is called for a job whose dependency ended otherwise and for one cancelled before
        it began. Both must end in :meth:`finished`.
        """
        self._run = run
        self._skip = skip
        self._lock = threading.RLock()
        self._idle = threading.Condition(self._lock)
        self._unfinished: "OrderedDict[Id, Job]" = OrderedDict()
        self._finished: "OrderedDict[Id, Job]" = OrderedDict()
        self._names: Dict[str, Job] = {}
        self._queue: Deque[Job] = deque()
        self._waiting: Dict[Id, _Waiting] = {}
        self._children: Dict[Id, Callable[[Job], None]] = {}
        self._running = 0
        self.slots = SLOTS

    def change_slots(self, slots: int) -> None:
        """Lets more or fewer jobs run at once; those that run go on."""
        with self._lock:
            self.slots = slots
            self._pump()

    # What is known.

    def unfinished(self, id_: Id) -> bool:
        """Whether a command with this id is not finished."""
        with self._lock:
            return id_ in self._unfinished

    def known(self, id_: Id) -> bool:
        """Whether ``after`` may name this id."""
        with self._lock:
            return id_ in self._unfinished or id_ in self._finished

    def ahead(self) -> int:
        """Jobs that are not finished."""
        with self._lock:
            return len(self._unfinished)

    def all_jobs(self, finished: bool = False) -> List[Job]:
        """Unfinished jobs, oldest first; those remembered too where asked for."""
        with self._lock:
            past = list(self._finished.values()) if finished else []
            return past + list(self._unfinished.values())

    def find(self, target: Id) -> Optional[Job]:
        """The job with this id or name: unfinished ones first, then those remembered."""
        with self._lock:
            job = self._unfinished.get(target) or self._finished.get(target)
            return job or self._names.get(str(target))

    def labelled(self, labels: Dict[str, str]) -> List[Job]:
        """Unfinished jobs that have every one of ``labels``."""
        wanted = set(labels.items())
        return [job for job in self.all_jobs() if wanted <= set(job.labels.items())]

    # How jobs come and go.

    def register(self, jobs: Sequence[Job]) -> None:
        """Takes ids into use; ``DUPLICATE_ID`` where one belongs to an unfinished command."""
        with self._lock:
            for job in jobs:
                if job.id in self._unfinished:
                    raise Fault("DUPLICATE_ID", "the id belongs to an unfinished command")
            for job in jobs:
                self._unfinished[job.id] = job
                self._names[job.name] = job

    def enqueue(self, job: Job, after: Sequence[Id], statuses: Sequence[str]) -> None:
        """Lets a registered job run once all of ``after`` have ended."""
        with self._lock:
            open_ = [id_ for id_ in after if id_ in self._unfinished]
            past = [self._finished[id_] for id_ in after if id_ in self._finished]
            if any(other.status not in statuses for other in past):
                self._start(self._skip, job, slot=False)
            elif open_:
                self._waiting[job.id] = _Waiting(job, open_, statuses)
            else:
                self._queue.append(job)
                self._pump()

    def start_child(self, job: Job, ended: Callable[[Job], None]) -> None:
        """Queues one item of a batch; ``ended`` hears of its end."""
        with self._lock:
            self._children[job.id] = ended
            self._queue.append(job)
            self._pump()

    def cancel(self, job: Job, reason: Optional[str]) -> None:
        """Cancels ``job``; one that has not begun is answered at once."""
        job.cancel(reason)
        with self._lock:
            if job.id in self._waiting:
                del self._waiting[job.id]
            elif job in self._queue:
                self._queue.remove(job)
            else:
                return
            self._start(self._skip, job, slot=False)

    def finished(self, job: Job) -> None:
        """``job`` has been answered."""
        with self._lock:
            del self._unfinished[job.id]
            self._finished[job.id] = job
            if len(self._finished) > FINISHED_REMEMBERED:
                _, oldest = self._finished.popitem(last=False)
                self._names.pop(oldest.name, None)
            self._release(job)
            ended = self._children.pop(job.id, None)
            self._idle.notify_all()
        if ended is not None:
            ended(job)

    def wait_idle(self, timeout_s: Optional[float]) -> bool:
        """Waits until no job is unfinished; whether that came to pass."""
        with self._idle:
            return self._idle.wait_for(lambda: not self._unfinished, timeout_s)

    def _release(self, ended: Job) -> None:
        freed: List[Tuple[_Waiting, bool]] = []
        for waiting in list(self._waiting.values()):
            if ended.id not in waiting.after:
                continue
            waiting.after.discard(ended.id)
            bad = ended.status not in waiting.statuses
            if bad or not waiting.after:
                del self._waiting[waiting.job.id]
                freed.append((waiting, bad))
        for waiting, bad in freed:
            if bad:
                self._start(self._skip, waiting.job, slot=False)
            else:
                self._queue.append(waiting.job)
        self._pump()

    def _pump(self) -> None:
        index = 0
        while index < len(self._queue):
            job = self._queue[index]
            coordinates = job.op == "batch"
            if not coordinates and self._running >= self.slots:
                index += 1
                continue
            del self._queue[index]
            self._start(self._run, job, slot=not coordinates)

    def _start(self, work: Callable[[Job], None], job: Job, slot: bool) -> None:
        self._running += slot
        threading.Thread(target=self._work, args=(work, job, slot), daemon=True).start()

    def _work(self, work: Callable[[Job], None], job: Job, slot: bool) -> None:
        try:
            work(job)
        finally:
            with self._lock:
                self._running -= slot
                self._pump()
