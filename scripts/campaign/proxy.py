"""A proxy for one store, which keeps a record of requests and is a point of death.

Plain HTTP/1.1 with connections that stay. It hands on every byte as it came, so signatures hold.
"""

import contextlib
import dataclasses
import random
import re
import socket
import socketserver
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from io import BufferedIOBase
from typing import Callable, Counter, Dict, List, Optional, Tuple

PIECE_BYTES = 64 << 10
TIMEOUT_S = 120.0
# Parts of uploads by which the engine finds out what a store heeds.
TRIED = re.compile(r"/\.mig-[^/]*$")
# A part that has no answer for so long may be sent once more beside the first (PROTOCOL, late
# parts), and the answer may come while that is decided and the second one is on its way. The engine
# counts from before it sends, so the proxy may see less of it; on a busy machine both are seconds.
LATE_S, DECIDED_S = 1.0, 3.0
# How many parts of one life may go so, whatever else it sends, and one in how many beside.
LATE_ALWAYS, LATE_SHARE = 4, 20
# Where in a request's life something happens: half of its body came; all of it came, and the server
# knows nothing; the server has answered, and nobody knows; half of the answer's body went; all did.
STAGES = ("sending", "asked", "answered", "half", "told")


@dataclass(frozen=True)
class Sent:
    """A request that came through."""

    what: str
    key: str
    upload: str
    part: int
    # The status of the answer; 0 where none came.
    status: int
    # When it came, and when all of its answer had gone back, which it has where `known`.
    came: float
    told: float
    known: bool


@dataclass
class Trap:
    """Something that is to happen once, at a stage of the nth request of a kind."""

    what: str
    nth: int
    stage: str
    spring: Callable[[], None]
    seen: int = 0
    sprung: bool = False


@dataclass
class Head:
    """The first lines of a request or an answer."""

    raw: bytes
    first: List[str]
    fields: Dict[str, str] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Bytes of the body, where the head tells."""
        return int(self.fields.get("content-length", "0"))


def read_head(stream: BufferedIOBase) -> Optional[Head]:
    """The next head; nothing where the other side is gone."""
    lines: List[bytes] = []
    while not lines or lines[-1] not in (b"\r\n", b""):
        lines.append(stream.readline(PIECE_BYTES))
    if lines[-1] == b"":
        return None
    first = lines[0].decode("latin-1").split(" ", 2)
    pairs = [line.decode("latin-1").partition(":") for line in lines[1:-1]]
    return Head(b"".join(lines), first, {n.strip().lower(): v.strip() for n, _, v in pairs})


def what_it_is(method: str, query: Dict[str, str]) -> str:
    """What a request asks for, in one word."""
    if method == "POST":
        return "delete" if "delete" in query else "begin" if "uploads" in query else "complete"
    if method == "PUT":
        return "part" if "partNumber" in query else "put"
    if method == "DELETE":
        return "abort" if "uploadId" in query else "delete"
    if method == "GET" and "uploadId" in query:
        return "parts"
    if method == "GET" and "uploads" in query:
        return "uploads"
    if method == "GET" and ("list-type" in query or "prefix" in query):
        return "list"
    return method.lower()


class Proxy:
    """Listens on a port of the loopback, for one server."""

    def __init__(self, endpoint: str, slow: Optional[Dict[str, float]] = None) -> None:
        parts = urllib.parse.urlsplit(endpoint)
        self.upstream = (parts.hostname or "", parts.port or 80)
        # Seconds that a request of a kind takes longer, at most.
        self.slow = slow or {}
        self.records: List[Sent] = []
        self.trap: Optional[Trap] = None
        self._lock = threading.Lock()
        self._server = Listener(("127.0.0.1", 0), Handler)
        self._server.proxy = self
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()

    def close(self) -> None:
        """Listens no more; connections end with their clients."""
        self._server.shutdown()
        self._server.server_close()

    def counts(self) -> Counter[str]:
        """How many requests of each kind came so far."""
        with self._lock:
            return Counter(sent.what for sent in self.records)

    def keep(self, sent: Sent) -> None:
        """Adds to the record."""
        with self._lock:
            self.records.append(sent)

    def reach(self, what: str, stage: str, chosen: bool) -> bool:
        """Whether the trap waits for this request at this stage; then it springs.

        `chosen`: whether this is the request that the trap is for.
        """
        with self._lock:
            trap = self.trap
            if not (chosen and trap and trap.stage == stage and not trap.sprung):
                return False
            trap.sprung = True
        trap.spring()
        return True

    def choose(self, what: str) -> bool:
        """Whether the trap is for this request, which counts from now on."""
        with self._lock:
            if self.trap is None or self.trap.what != what:
                return False
            self.trap.seen += 1
            return self.trap.seen == self.trap.nth


class Listener(socketserver.ThreadingTCPServer):
    """One thread for each connection."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128
    proxy: Proxy


class Handler(socketserver.StreamRequestHandler):
    """One connection of a client, and one to the server."""

    timeout = TIMEOUT_S
    disable_nagle_algorithm = True
    server: Listener

    def handle(self) -> None:
        """Hands requests on until either side is gone."""
        with contextlib.suppress(OSError, ValueError), contextlib.ExitStack() as stack:
            upstream = socket.create_connection(self.server.proxy.upstream, TIMEOUT_S)
            stack.enter_context(upstream)
            upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answers = stack.enter_context(upstream.makefile("rb"))
            while self._one(upstream, answers):
                pass

    def _one(self, upstream: socket.socket, answers: BufferedIOBase) -> bool:
        """One request. Returns whether the connection goes on."""
        head = read_head(self.rfile)
        if head is None:
            return False
        exchange = Exchange(self.server.proxy, head)
        try:
            return exchange.run(self, upstream, answers)
        finally:
            exchange.end()


class Exchange:
    """One request and its answer."""

    def __init__(self, proxy: Proxy, head: Head) -> None:
        parts = urllib.parse.urlsplit(head.first[1])
        query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
        self.proxy, self.head = proxy, head
        self.method = head.first[0]
        self.what = what_it_is(self.method, query)
        self.key = urllib.parse.unquote(parts.path)
        self.upload, self.part = query.get("uploadId", ""), int(query.get("partNumber", "0"))
        self.came = time.monotonic()
        self.status, self.told, self.known = 0, 0.0, False
        self.chosen = proxy.choose(self.what)

    def end(self) -> None:
        """Keeps what became of it."""
        self.proxy.keep(Sent(
            self.what, self.key, self.upload, self.part, self.status, self.came, self.told,
            self.known,
        ))

    def reach(self, stage: str) -> bool:
        """Whether this was the end of the client."""
        return self.proxy.reach(self.what, stage, self.chosen)

    def run(self, client: Handler, upstream: socket.socket, answers: BufferedIOBase) -> bool:
        """Hands it on. Returns whether the connection goes on."""
        body = self._body(client.rfile)
        if body is None or self.reach("asked"):
            return False
        upstream.sendall(self.head.raw)
        upstream.sendall(body)
        answer = read_head(answers)
        while answer is not None and answer.first[1].startswith("1"):
            answer = read_head(answers)
        if answer is None:
            return False
        self.status = int(answer.first[1])
        if self.what in self.proxy.slow:
            time.sleep(random.uniform(0.3, 1.0) * self.proxy.slow[self.what])
        if self.reach("answered"):
            return False
        client.wfile.write(answer.raw)
        if not self._relay(answer, answers, client):
            return False
        self.told, self.known = time.monotonic(), True
        self.reach("told")
        return answer.fields.get("connection", "").lower() != "close"

    def _body(self, stream: BufferedIOBase) -> Optional[bytes]:
        """The body of the request; nothing where the client is gone or goes now."""
        if "transfer-encoding" in self.head.fields:
            raise ValueError("a body of unknown length")
        length = self.head.length
        half = stream.read(length // 2)
        if len(half) < length // 2 or self.reach("sending"):
            return None
        rest = stream.read(length - length // 2)
        return half + rest if len(half) + len(rest) == length else None

    def _relay(self, answer: Head, answers: BufferedIOBase, client: Handler) -> bool:
        """Hands the body of an answer on. Returns whether all of it went."""
        if self.method == "HEAD" or self.status in (204, 304):
            return True
        if re.search("chunked", answer.fields.get("transfer-encoding", ""), re.IGNORECASE):
            return self._relay_chunks(answers, client)
        if "content-length" not in answer.fields:
            raise ValueError("an answer of unknown length")
        for length in (answer.length // 2, answer.length - answer.length // 2):
            if not hand_on(length, answers, client.wfile):
                return False
            if length == answer.length // 2 and self.reach("half"):
                return False
        return True

    def _relay_chunks(self, answers: BufferedIOBase, client: Handler) -> bool:
        while True:
            line = answers.readline(PIECE_BYTES)
            client.wfile.write(line)
            size = int(line.split(b";")[0], 16)
            if not hand_on(size + 2, answers, client.wfile):
                return False
            if size == 0:
                return True
            if self.reach("half"):
                return False


def hand_on(length: int, source: BufferedIOBase, to: BufferedIOBase) -> bool:
    """Moves so many bytes; false where they did not all come."""
    while length > 0:
        piece = source.read(min(length, PIECE_BYTES))
        if not piece:
            return False
        to.write(piece)
        length -= len(piece)
    return True


@dataclass
class Parts:
    """Parts that were sent more often than once, judged."""

    sent: int = 0
    again: int = 0
    problems: List[str] = field(default_factory=list)


def judge_parts(
    records: List[Sent], deaths: List[float], every_s: float, slack_s: float
) -> Parts:
    """Whether parts were sent again only where a death excuses it.

    The engine records parts at an acknowledgement that comes `every_s` or more after its last
    record: all that are acknowledged until then. So a part whose acknowledgement went back at t may
    be sent again after a death at D only if no part of the same key was acknowledged in
    [t + `every_s`, D - `slack_s`]; the slack is what a sync of the record may take. Without a death
    in between it may not be sent again at all, not even in another upload of the same key; only
    beside the first, once that is late, and few of all may be.
    """
    doubled: Counter[int] = Counter()
    judged = Parts()
    by_part: Dict[Tuple[str, int], List[Sent]] = {}
    acknowledged: Dict[str, List[float]] = {}
    for sent in sorted(records, key=lambda sent: sent.came):
        # An answer that went back to the dead is known to nobody.
        if any(sent.came <= death <= sent.told for death in deaths):
            sent = dataclasses.replace(sent, known=False)
        if sent.what == "part" and not TRIED.search(sent.key):
            judged.sent += 1
            by_part.setdefault((sent.key, sent.part), []).append(sent)
            if sent.status == 200 and sent.known:
                acknowledged.setdefault(sent.key, []).append(sent.told)
    for (key, number), all_sent in by_part.items():
        for before, after in zip(all_sent, all_sent[1:]):
            judged.again += 1
            life = sum(death < after.came for death in deaths)
            same = life == sum(death < before.came for death in deaths)
            if same and before.came + LATE_S <= after.came <= before.told + DECIDED_S:
                doubled[life] += 1
                continue
            if before.status != 200 or not before.known:
                continue
            between = [death for death in deaths if before.told <= death <= after.came]
            if not between:
                apart, behind = after.came - before.came, after.came - before.told
                judged.problems.append(
                    f"part {number} of {key} sent twice in one life, {apart:.2f} s after the first "
                    f"and {behind:.2f} s after its answer"
                )
                continue
            end = min(between) - slack_s
            late = [t for t in acknowledged[key] if before.told + every_s <= t <= end]
            if late:
                ago = min(between) - before.told
                judged.problems.append(
                    f"part {number} of {key} sent again, acknowledged {ago:.2f} s before the kill"
                )
    for life, count in doubled.items():
        asked = sum(life == sum(death < sent.came for death in deaths) for sent in records)
        if count > LATE_ALWAYS + asked // LATE_SHARE:
            judged.problems.append(f"{count} parts sent twice in one life for lateness")
    return judged
