"""The only owner of standard output: ordered, bounded, never in the way of the work.

``progress`` and ``checkpoint`` keep the newest line per command; ``warning``, ``item``, ``sample``
and ``log`` are dropped beyond 256 waiting lines and counted in the next one of their kind; all
else is kept, and bounded by the commands outstanding.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from datetime import datetime, timezone
from typing import Any, Callable, Deque, Dict, List, Optional, Tuple

from .frame import LINE_OUT_MAX_BYTES, encode

DROPPABLE_LINES_MAX = 256
_NEWEST_WINS = ("progress", "checkpoint")
_DROPPABLE = ("warning", "item", "sample", "log")
_ANSWERS = ("result", "error")
# What a line that came out too long can lose, least useful first.
_SHEDDABLE = (
    ("advice",),
    ("active",),
    ("failures",),
    ("data", "digests"),
    ("data", "largest"),
    ("error", "cause"),
    ("error", "at"),
    ("data",),
)

_Line = Dict[str, Any]


def timestamp() -> str:
    """Now, RFC 3339 in UTC with milliseconds."""
    now = datetime.now(timezone.utc)
    return now.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (now.microsecond // 1000)


class Writer:
    """Queues lines and writes them from its own thread."""

    def __init__(self, fd: int, answered: Callable[[], None], broken: Callable[[], None]) -> None:
        """``answered`` is called for each result or error written, ``broken`` on a dead reader."""
        self._fd = fd
        self._answered = answered
        self._broken = broken
        self._wake = threading.Condition()
        self._queue: Deque[_Line] = deque()
        self._newest: Dict[Tuple[str, Any], _Line] = {}
        self._droppable = 0
        self._dropped: Dict[Tuple[str, Any], int] = {}
        self._seq = 0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        """Starts writing."""
        self._thread.start()

    def send(self, type_: str, fields: _Line) -> None:
        """Queues one line."""
        line: _Line = {"type": type_, "ts": timestamp()}
        line.update(fields)
        with self._wake:
            if type_ in _NEWEST_WINS:
                self._replace(line)
            elif type_ in _DROPPABLE:
                self._keep_or_drop(line)
            else:
                self._queue.append(line)
            self._wake.notify()

    def _replace(self, line: _Line) -> None:
        slot = (line["type"], line["id"])
        waiting = self._newest.get(slot)
        if waiting is None:
            self._newest[slot] = line
            self._queue.append(line)
        else:
            waiting.clear()
            waiting.update(line)

    def _keep_or_drop(self, line: _Line) -> None:
        slot = (line["type"], line["id"])
        if self._droppable >= DROPPABLE_LINES_MAX:
            self._dropped[slot] = self._dropped.get(slot, 0) + 1
            return
        line["dropped_before"] = self._dropped.pop(slot, 0)
        self._droppable += 1
        self._queue.append(line)

    def close(self, timeout_s: Optional[float]) -> None:
        """Writes what is queued, then stops; waits at most ``timeout_s``."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._queue and not self._closing:
                    self._wake.wait()
                if not self._queue:
                    return
                lines = self._take()
            answers = sum(line["type"] in _ANSWERS for line in lines)
            try:
                self._write(b"".join([self._encode(line) for line in lines]))
            except OSError:
                self._broken()
                return
            for _ in range(answers):
                self._answered()

    def _take(self) -> List[_Line]:
        lines: List[_Line] = []
        while self._queue and len(lines) < 16:
            line = self._queue.popleft()
            if line["type"] in _NEWEST_WINS:
                del self._newest[line["type"], line["id"]]
            elif line["type"] in _DROPPABLE:
                self._droppable -= 1
            elif line["type"] == "result":
                for type_ in _DROPPABLE:
                    self._dropped.pop((type_, line["id"]), None)
            lines.append(line)
        return lines

    def _encode(self, fields: _Line) -> bytes:
        line = {"type": fields["type"], "seq": self._seq}
        line.update(fields)
        self._seq += 1
        data = encode(line)
        for place in _SHEDDABLE:
            if len(data) <= LINE_OUT_MAX_BYTES:
                break
            _shed(line, place)
            data = encode(line)
        return data

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:
                # The host handed over a pipe that does not block.
                time.sleep(0.005)


def _shed(line: _Line, place: Tuple[str, ...]) -> None:
    for name in place[:-1]:
        inner = line.get(name)
        if not isinstance(inner, dict):
            return
        # A copy: the queued object may be shared with a stored result.
        line[name] = inner = dict(inner)
        line = inner
    line.pop(place[-1], None)
