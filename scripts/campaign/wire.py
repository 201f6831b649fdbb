"""A proxy for one database server: it counts what is said, and is where engines and sessions die.

It takes the streams of PostgreSQL and MariaDB apart into messages, and hands them on as they came.
"""

import contextlib
import re
import socket
import socketserver
import struct
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Callable, Dict, List, Optional, Tuple

TIMEOUT_S = 120.0
PIECE_BYTES = 64 << 10
# What a message of a client does, by the words in it: the first that fits.
WORDS = [
    ("close", re.compile(rb"DROP TABLE[^;]*mig_ledger", re.I)),
    ("commit", re.compile(rb"(?<!ON )\bCOMMIT\b", re.I)),
    ("record", re.compile(rb"INSERT INTO [^ ]*mig_ledger_spans", re.I)),
    ("ledger", re.compile(rb"mig_ledger", re.I)),
]
FIRST = re.compile(rb"[A-Za-z]+")
# Where in a message's life something happens: the server knows nothing of it; the server has it and
# goes on alone; the server has answered, and nobody knows; its answer has gone back.
STAGES = ("asked", "sent", "answered", "told")
# PostgreSQL's last message of an answer: ready for a statement, or for the rows of a COPY.
WAITS = (b"Z", b"G")
# Kinds of messages of PostgreSQL that hold a statement, behind how many terminated texts.
STATEMENTS = {b"Q": 0, b"P": 1}
# Commands of MariaDB that hold a statement; others by name.
MARIA_STATEMENTS = (3, 0x16)
MARIA_OTHERS = {1: "quit", 0x0E: "ping", 0x17: "execute", 0x19: "close", 0x1F: "reset"}
SSL_REQUEST = 80877103


@dataclass
class Trap:
    """Something that is to happen once, at a stage of the nth message of a kind."""

    what: str
    nth: int
    stage: str
    spring: Callable[[], None]
    seen: int = 0
    sprung: bool = False


def kind_of(statement: bytes) -> str:
    """What a statement does, in one word."""
    for word, pattern in WORDS:
        if pattern.search(statement):
            return word
    first = FIRST.search(statement)
    return first.group().decode().lower() if first else "empty"


class Wire:
    """Listens on a port of the loopback, for one server."""

    def __init__(self, engine: str, host: str, port: int) -> None:
        self.engine, self.upstream = engine, (host, port)
        self.trap: Optional[Trap] = None
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._open: Dict[int, "Talk"] = {}
        self._server = Listener(("127.0.0.1", 0), Handler)
        self._server.wire = self
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Listens no more, and ends every connection."""
        self._server.shutdown()
        self._server.server_close()
        self.cut()

    def cut(self) -> None:
        """Ends every connection at once, as a broken line would."""
        with self._lock:
            talks = list(self._open.values())
        for talk in talks:
            talk.abort()

    def keep(self, talk: "Talk", is_open: bool) -> None:
        """Keeps in mind which connections are open."""
        with self._lock:
            if is_open:
                self._open[id(talk)] = talk
            else:
                self._open.pop(id(talk), None)

    def choose(self, what: str) -> Optional[Trap]:
        """Counts a message. Returns the trap that is for it."""
        with self._lock:
            self.counts[what] += 1
            if self.trap is None or self.trap.what != what or self.trap.sprung:
                return None
            self.trap.seen += 1
            return self.trap if self.trap.seen == self.trap.nth else None

    def spring(self, trap: Trap) -> None:
        """The moment has come."""
        with self._lock:
            if trap.sprung or trap is not self.trap:
                return
            trap.sprung = True
        trap.spring()


class Listener(socketserver.ThreadingTCPServer):
    """One thread for each connection, and one for its answers."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128
    wire: Wire


class Handler(socketserver.BaseRequestHandler):
    """One connection of a client, and one to the server."""

    server: Listener

    def handle(self) -> None:
        """Hands messages on until either side is gone."""
        wire = self.server.wire
        with contextlib.suppress(OSError):
            upstream = socket.create_connection(wire.upstream, TIMEOUT_S)
            talk = (PgTalk if wire.engine == "pg" else MariaTalk)(wire, self.request, upstream)
            wire.keep(talk, True)
            try:
                talk.run()
            finally:
                wire.keep(talk, False)
                talk.close()


class Talk:
    """One connection."""

    def __init__(self, wire: Wire, client: socket.socket, server: socket.socket) -> None:
        self.wire, self.client, self.server = wire, client, server
        for each in (client, server):
            each.settimeout(None)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = client.makefile("rb")
        # The trap whose message went to the server, and what the server said since.
        self.awaiting: Optional[Trap] = None
        self.held = b""

    def message(self) -> Optional[Tuple[str, bytes]]:
        """The next message of the client: what it does, and its bytes."""
        raise NotImplementedError

    def is_whole(self, answer: bytes) -> bool:
        """Whether the server has said all that it has to say."""
        raise NotImplementedError

    def run(self) -> None:
        """Hands messages of the client on."""
        answers = threading.Thread(target=self.answers, daemon=True)
        answers.start()
        while (message := self.message()) is not None:
            what, raw = message
            trap = self.wire.choose(what)
            if trap is None or trap.stage in ("answered", "told"):
                self.awaiting = trap or self.awaiting
                self.server.sendall(raw)
                continue
            if trap.stage == "sent":
                self.server.sendall(raw)
            self.die(trap)
            return
        # The server is told that nobody is there any more, and may say what it likes.
        with contextlib.suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)
        answers.join(TIMEOUT_S)

    def answers(self) -> None:
        """Hands answers of the server on."""
        with contextlib.suppress(OSError):
            while piece := self.server.recv(PIECE_BYTES):
                trap = self.awaiting
                if trap is None:
                    self.client.sendall(piece)
                    continue
                self.held += piece
                if not self.is_whole(self.held):
                    continue
                if trap.stage == "told":
                    self.client.sendall(self.held)
                self.die(trap)
                return
        with contextlib.suppress(OSError):
            self.client.shutdown(socket.SHUT_RDWR)

    def die(self, trap: Trap) -> None:
        """Something happens, and this connection is no more."""
        self.wire.spring(trap)
        self.abort()

    def abort(self) -> None:
        """Both ends learn that the other is gone, and nothing else."""
        for each in (self.client, self.server):
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Nothing is needed any more."""
        for each in (self.stream, self.client, self.server):
            with contextlib.suppress(OSError):
                each.close()

    def take(self, count: int) -> Optional[bytes]:
        """So many bytes of the client; nothing where they do not come."""
        with contextlib.suppress(OSError, ValueError):
            taken = self.stream.read(count)
            return taken if len(taken) == count else None
        return None


class PgTalk(Talk):
    """A connection of PostgreSQL: a byte says what a message is, but for the first one."""

    begun = False

    def message(self) -> Optional[Tuple[str, bytes]]:
        """The next message."""
        kind = self.take(1) if self.begun else b""
        length = None if kind is None else self.take(4)
        body = None if length is None else self.take(int.from_bytes(length, "big") - 4)
        if kind is None or length is None or body is None:
            return None
        what = "start"
        if self.begun:
            behind = STATEMENTS.get(kind)
            what = {b"d": "data", b"c": "data end", b"X": "quit"}.get(kind, "other")
            if behind is not None:
                what = kind_of(body.split(b"\0", behind + 1)[behind])
        else:
            self.begun = int.from_bytes(body[:4], "big") != SSL_REQUEST
        return what, kind + length + body

    def is_whole(self, answer: bytes) -> bool:
        """Whether the server waits for a statement, or for rows."""
        last, at = b"", 0
        while at + 5 <= len(answer):
            last = answer[at : at + 1]
            at += 1 + int.from_bytes(answer[at + 1 : at + 5], "big")
        return at == len(answer) and last in WAITS


class MariaTalk(Talk):
    """A connection of MariaDB: packets, numbered from 0 in each command."""

    is_loading = False
    is_asked = False

    def message(self) -> Optional[Tuple[str, bytes]]:
        """The next packet, or several where the first says that it goes on."""
        parts: List[bytes] = []
        head: Optional[bytes] = None
        length, number = 0xFFFFFF, 0
        while length == 0xFFFFFF:
            head = self.take(4)
            length = int.from_bytes(head[:3], "little") if head else 0
            body = None if head is None else self.take(length)
            if head is None or body is None:
                return None
            number = head[3] if not parts else number
            parts += [head, body]
        return self.kind(number, parts[1]), b"".join(parts)

    def kind(self, number: int, body: bytes) -> str:
        """What a packet does."""
        # The server asked for rows, and they come with numbers of their own.
        self.is_loading |= self.is_asked and number == 2
        self.is_asked = False
        if self.is_loading:
            self.is_loading = bool(body)
            return "data" if body else "data end"
        if number != 0 or not body:
            return "start"
        if body[0] in MARIA_STATEMENTS:
            what = kind_of(body[1:])
            self.is_asked = what == "load"
            return what
        return MARIA_OTHERS.get(body[0], "other")

    def is_whole(self, answer: bytes) -> bool:
        """Whether the server said anything: it does so once it is done."""
        return bool(answer)
