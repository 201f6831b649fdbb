"""``verify`` where a side is elsewhere: items are compared, directories are but their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Iterator, Mapping, NamedTuple

from ..faults import Fault
from ..glob import Selection
from ..job import Job, Outcome
from ..local import Source, content_of, kind_of
from ..location import Location, Where
from ..ops.verify import Counts, common, outcome_of
from ..origin import Origin, open_origin

if TYPE_CHECKING:
    from ..local import Entry

_CHUNK_BYTES = 1 << 20


class _Side(NamedTuple):
    kind: str
    size: int
    source: Source


class FarVerify:
    """One comparison.

    The items of the destination, or of the one side that is elsewhere, are listed first and kept;
    those of the other one are met with them.
    """

    def __init__(self, job: Job, params: Mapping[str, Any]) -> None:
        self._job = job
        self._src: Where = params["src"]
        self._dst: Where = params["dst"]
        self._level: str = params["level"]
        self._selection = Selection(params["include"], params["exclude"])
        self._matched = self._mismatched = self._missing = self._extra = 0

    def run(self) -> Outcome:
        """The whole comparison."""
        src = open_origin(self._job, self._src)
        try:
            dst = self._destination()
            try:
                self._both(src, dst)
            finally:
                dst.close()
        finally:
            src.close()
        counts = Counts(self._matched, self._mismatched, self._missing, self._extra)
        return outcome_of(self._job, counts, self._level)

    def _destination(self) -> Origin:
        try:
            return open_origin(self._job, self._dst)
        except Fault as fault:
            if fault.code != "SRC_NOT_FOUND":
                raise
            message = "the destination does not exist"
            raise Fault("VERIFY_MISMATCH", message, path=fault.path) from fault

    def _both(self, src: Origin, dst: Origin) -> None:
        kinds = [kind_of(side.status.st_mode) for side in (src, dst)]
        if kinds == ["directory", "directory"]:
            kept_is_dst = isinstance(self._dst, Location)
            self._trees(*((dst, src) if kept_is_dst else (src, dst)), kept_is_dst)
            return
        path = src.name or src.shown
        if "directory" in kinds:
            self._job.begin_item(path, 0)
            self._mismatched += 1
            self._fail(path, "the kind differs")
            return
        left, right = (
            _Side(kind, side.status.st_size, side.single(False)._replace(path=path))
            for kind, side in zip(kinds, (src, dst))
        )
        self._pair(path, left, right)

    def _trees(self, kept: Origin, met: Origin, kept_is_dst: bool) -> None:
        with kept.tree() as kept_tree, met.tree() as met_tree:
            sides: Dict[bytes, _Side] = {}
            for entry in kept_tree.walk(self._selection, follow=False):
                self._job.step()
                if self._is_item(entry):
                    sides[entry.path] = _side(entry)
            for entry in met_tree.walk(self._selection, follow=False):
                self._job.step()
                if not self._is_item(entry):
                    continue
                other, mine = sides.pop(entry.path, None), _side(entry)
                if other is None:
                    self._alone(entry.path, at_dst=not kept_is_dst)
                else:
                    self._pair(entry.path, *((mine, other) if kept_is_dst else (other, mine)))
            for path in sides:
                self._alone(path, at_dst=kept_is_dst)

    def _is_item(self, entry: "Entry") -> bool:
        if entry.fault is not None:
            self._mismatched += 1
            self._job.item_failed(entry.path, entry.fault)
        return entry.what == "item"

    def _alone(self, path: bytes, at_dst: bool) -> None:
        if at_dst:
            self._extra += 1
            self._fail(path, "it is extra at the destination")
        else:
            self._missing += 1
            self._fail(path, "it is missing at the destination")

    def _fail(self, path: bytes, message: str) -> None:
        self._job.item_failed(path, Fault("VERIFY_MISMATCH", message))

    def _pair(self, path: bytes, src: _Side, dst: _Side) -> None:
        self._job.begin_item(path, src.size if src.kind == "file" else 0)
        try:
            size = self._compare(src, dst)
        except Fault as fault:
            self._mismatched += 1
            self._job.item_failed(path, fault)
            return
        self._matched += 1
        self._job.item_ok(path, size)

    def _compare(self, src: _Side, dst: _Side) -> int:
        if src.kind != dst.kind:
            raise Fault("VERIFY_MISMATCH", "the kind differs")
        if src.size != dst.size:
            raise Fault("VERIFY_MISMATCH", "the size differs")
        if self._level != "content":
            return src.size
        total = 0
        left, right = _even(src.source), _even(dst.source)
        while True:
            data, other = next(left, b""), next(right, b"")
            if data != other:
                at = total + common(data, other)
                raise Fault("VERIFY_MISMATCH", "the content differs", offset=at)
            if not data:
                return total
            total += len(data)
            self._job.read(len(data))


def _side(entry: "Entry") -> _Side:
    fd = None if entry.far is not None else entry.fd
    source = Source(fd, entry.name, entry.path, far=entry.far)
    return _Side(entry.kind, entry.st.st_size, source)


def _even(source: Source) -> Iterator[bytes]:
    """The content in pieces of one length, however it comes."""
    held = bytearray()
    for data in content_of(source, _CHUNK_BYTES):
        held += data
        while len(held) >= _CHUNK_BYTES:
            yield bytes(held[:_CHUNK_BYTES])
            del held[:_CHUNK_BYTES]
    if held:
        yield bytes(held)
