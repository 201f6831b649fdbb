"""Runs a program and interferes with its system calls: kills, fails or shortens the Nth of them.

Calls are counted over all threads, so that each of them is reached; a tracer that counts by thread
never gets to the first call of the second one. Only calls on names and files beneath one directory
count. x86-64 Linux: a seccomp filter stops the program at the calls of interest, `ptrace` does the
rest.
"""

import contextlib
import ctypes
import errno
import os
import platform
import signal
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Sequence

# From asm/unistd_64.h.
NUMBERS = {
    "read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "lstat": 6, "ioctl": 16,
    "pread64": 17, "pwrite64": 18, "readv": 19, "writev": 20, "sendfile": 40, "fsync": 74,
    "fdatasync": 75, "truncate": 76, "ftruncate": 77, "rename": 82, "mkdir": 83, "rmdir": 84,
    "link": 86, "unlink": 87, "symlink": 88, "fchmod": 91, "fchown": 93, "setxattr": 188,
    "fsetxattr": 190, "getdents64": 217, "openat": 257, "mkdirat": 258, "mknodat": 259,
    "fchownat": 260, "newfstatat": 262, "unlinkat": 263, "renameat": 264, "linkat": 265,
    "symlinkat": 266, "fchmodat": 268, "splice": 275, "utimensat": 280, "fallocate": 285,
    "preadv": 295, "pwritev": 296, "syncfs": 306, "renameat2": 316, "copy_file_range": 326,
    "statx": 332, "openat2": 437,
}
NAMES = {number: name for name, number in NUMBERS.items()}
# Calls after which something on the disk may be different.
CHANGES = [
    "write", "writev", "pwrite64", "pwritev", "sendfile", "splice", "copy_file_range", "ioctl",
    "fsync", "fdatasync", "syncfs", "truncate", "ftruncate", "fallocate", "open", "openat",
    "openat2", "mkdir", "mkdirat", "mknodat", "rmdir", "unlink", "unlinkat", "link", "linkat",
    "symlink", "symlinkat", "rename", "renameat", "renameat2", "fchmod", "fchmodat", "fchown",
    "fchownat", "setxattr", "fsetxattr", "utimensat",
]
# Calls whose first argument is a path.
PATH_FIRST = {
    "open", "stat", "lstat", "truncate", "rename", "mkdir", "rmdir", "link", "unlink", "symlink",
    "setxattr",
}
# Calls whose first two arguments are a directory and a name in it.
DIRECTORY_FIRST = {
    "openat", "openat2", "mkdirat", "mknodat", "fchownat", "newfstatat", "unlinkat", "renameat",
    "linkat", "fchmodat", "utimensat", "renameat2", "statx",
}
# Calls that open, which change something only when they create.
OPENS = {"open": 1, "openat": 2}
# Argument that holds the number of bytes.
COUNTS = {
    "read": 2, "pread64": 2, "write": 2, "pwrite64": 2, "copy_file_range": 4, "sendfile": 3,
    "getdents64": 2,
}
# Bytes that one directory entry may take.
ENTRY_BYTES = 320

TRACE_CONT, TRACE_SYSCALL, TRACE_GETREGS, TRACE_SETREGS = 7, 24, 12, 13
TRACE_SEIZE, TRACE_LISTEN = 0x4206, 0x4208
# Threads and programs stay traced, seccomp stops are told, and nobody outlives the tracer.
OPTIONS = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x80 | 0x100000
EVENT_SECCOMP, EVENT_STOP = 7, 128
WAIT_ALL = 0x40000000
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38
SECCOMP_FILTER, RETURN_TRACE, RETURN_ALLOW = 2, 0x7FF00000, 0x7FFF0000
ARCH_X86_64 = 0xC000003E
REGISTERS = 27
RAX, ORIG_RAX = 10, 15
# Registers of the arguments, by their place in user_regs_struct.
ARGUMENTS = (14, 13, 12, 7, 9, 8)

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
Registers = ctypes.c_ulonglong * REGISTERS


@dataclass
class Call:
    """One call, as it begins."""

    number: int
    name: str
    path: str
    arguments: List[int]

    def __str__(self) -> str:
        return f"call {self.number}: {self.name} {self.path}"


@dataclass
class Fate:
    """What happens to a call."""

    kill: bool = False
    # The call answers this error; it is made all the same where `made` says so.
    errno: int = 0
    made: bool = False
    # It transfers at most so many bytes.
    count: Optional[int] = None


GO_ON = Fate()
Judge = Callable[[Call], Fate]


@dataclass
class Traced:
    """How a traced program went."""

    code: int
    calls: List[Call]
    seconds: float
    hung: bool = False


def filter_program(names: Sequence[str]) -> bytes:
    """A seccomp filter that stops at these calls."""
    numbers = [NUMBERS[name] for name in names]
    rows = [(0x20, 0, 0, 4), (0x15, 0, len(numbers) + 1, ARCH_X86_64), (0x20, 0, 0, 0)]
    rows += [(0x15, len(numbers) - at, 0, number) for at, number in enumerate(numbers)]
    rows += [(0x06, 0, 0, RETURN_ALLOW), (0x06, 0, 0, RETURN_TRACE)]
    return b"".join(struct.pack("HBBI", *row) for row in rows)


def ptrace(request: int, tid: int, address: int = 0, value: object = None) -> None:
    """One request; a thread that died meanwhile is no error, `waitpid` tells of it."""
    if libc.ptrace(request, tid, address, value) == -1:
        failed = ctypes.get_errno()
        if failed != errno.ESRCH:
            raise OSError(failed, f"ptrace {request}: {os.strerror(failed)}")


@contextlib.contextmanager
def deadline(pid: int, seconds: float) -> Iterator[List[bool]]:
    """Kills a program that runs for too long, and says so."""
    hung = [False]

    def stop(_signal: int, _frame: object) -> None:
        hung[0] = True
        os.kill(pid, signal.SIGKILL)

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield hung
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Tracer:
    """One traced run of a program."""

    def __init__(self, names: Sequence[str], root: Path, judge: Judge) -> None:
        if platform.machine() != "x86_64":
            raise OSError(errno.ENOSYS, "calls are traced on x86-64 only")
        self.names, self.root, self.judge = list(names), os.fspath(root), judge
        self.calls: List[Call] = []
        self.pid = 0
        # What is done when a call returns, by thread.
        self.pending: Dict[int, Fate] = {}
        self.saved: Dict[int, int] = {}

    def run(
        self, words: Sequence[str], folder: Path, stdio: Sequence[Path], patience: float
    ) -> Traced:
        """Runs it to its end. `stdio`: the files that are its input, output and errors."""
        begun = time.monotonic()
        self._spawn(words, folder, stdio)
        with deadline(self.pid, patience) as hung:
            code = self._loop()
        return Traced(code, self.calls, time.monotonic() - begun, hung[0])

    def _spawn(self, words: Sequence[str], folder: Path, stdio: Sequence[Path]) -> None:
        program = filter_program(self.names)
        buffer = ctypes.create_string_buffer(program, len(program))
        header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
        ready, go = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.chdir(folder)
                os.dup2(os.open(stdio[0], os.O_RDONLY), 0)
                for number in (1, 2):
                    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
                    os.dup2(os.open(stdio[number], flags, 0o600), number)
                os.closerange(go, go + 1)
                os.read(ready, 1)
                os.closerange(3, 256)
                if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
                    libc.prctl(PR_SET_SECCOMP, SECCOMP_FILTER, header, 0, 0)
                os.execv(words[0], list(words))
            finally:
                os._exit(126)
        ptrace(TRACE_SEIZE, self.pid, 0, OPTIONS)
        os.write(go, b"g")
        os.close(ready)
        os.close(go)

    def _loop(self) -> int:
        code = -1
        while True:
            try:
                tid, status = os.waitpid(-1, WAIT_ALL)
            except ChildProcessError:
                return code
            if not os.WIFSTOPPED(status):
                if tid == self.pid:
                    code = os.waitstatus_to_exitcode(status)
                continue
            self._stopped(tid, os.WSTOPSIG(status), status >> 16)

    def _stopped(self, tid: int, number: int, event: int) -> None:
        if event == EVENT_SECCOMP:
            self._enters(tid)
        elif event == EVENT_STOP and number != signal.SIGTRAP:
            ptrace(TRACE_LISTEN, tid)
        elif event:
            ptrace(TRACE_CONT, tid)
        elif number == signal.SIGTRAP | 0x80:
            self._returns(tid)
        else:
            ptrace(TRACE_CONT, tid, 0, number)

    def _enters(self, tid: int) -> None:
        registers = Registers()
        ptrace(TRACE_GETREGS, tid, 0, registers)
        fate = self._judge(tid, registers)
        if fate.kill:
            os.kill(self.pid, signal.SIGKILL)
            return
        if fate.errno and not fate.made:
            registers[ORIG_RAX] = 2**64 - 1
            registers[RAX] = 2**64 - fate.errno
            ptrace(TRACE_SETREGS, tid, 0, registers)
        elif fate.errno or fate.count is not None:
            self._bend(tid, registers, fate)
            return
        ptrace(TRACE_CONT, tid)

    def _bend(self, tid: int, registers: "ctypes.Array[ctypes.c_ulonglong]", fate: Fate) -> None:
        """Lets the call go on with fewer bytes, or with its answer to be replaced."""
        self.pending[tid] = fate
        name = NAMES[registers[ORIG_RAX]]
        if fate.count is not None:
            place = ARGUMENTS[COUNTS[name]]
            self.saved[tid] = registers[place]
            registers[place] = min(registers[place], fate.count)
            ptrace(TRACE_SETREGS, tid, 0, registers)
        ptrace(TRACE_SYSCALL, tid)

    def _returns(self, tid: int) -> None:
        fate = self.pending.pop(tid)
        registers = Registers()
        ptrace(TRACE_GETREGS, tid, 0, registers)
        if fate.errno:
            registers[RAX] = 2**64 - fate.errno
        if tid in self.saved:
            registers[ARGUMENTS[COUNTS[NAMES[registers[ORIG_RAX]]]]] = self.saved.pop(tid)
        ptrace(TRACE_SETREGS, tid, 0, registers)
        ptrace(TRACE_CONT, tid)

    def _judge(self, tid: int, registers: "ctypes.Array[ctypes.c_ulonglong]") -> Fate:
        name = NAMES.get(registers[ORIG_RAX], "")
        arguments = [registers[place] for place in ARGUMENTS]
        path = self._path(tid, name, arguments)
        if not (path + "/").startswith(self.root + "/"):
            return GO_ON
        call = Call(len(self.calls) + 1, name, path[len(self.root) + 1 :], arguments)
        self.calls.append(call)
        return self.judge(call)

    def _path(self, tid: int, name: str, arguments: List[int]) -> str:
        """The name or file that a call is about; empty where there is none."""
        if name in PATH_FIRST:
            return self._joined(tid, -100, text_at(tid, arguments[0]))
        if name in DIRECTORY_FIRST:
            return self._joined(tid, arguments[0], text_at(tid, arguments[1]))
        if name == "symlinkat":
            return self._joined(tid, arguments[1], text_at(tid, arguments[2]))
        return self._joined(tid, arguments[0], "")

    def _joined(self, tid: int, directory: int, text: str) -> str:
        number = ctypes.c_int(directory & 0xFFFFFFFF).value
        if text.startswith("/"):
            return text
        link = f"/proc/{tid}/cwd" if number == -100 else f"/proc/{tid}/fd/{number}"
        try:
            base = os.readlink(link)
        except OSError:
            return ""
        return f"{base}/{text}" if text else base


def text_at(tid: int, address: int) -> str:
    """A C string of the program; empty for none."""
    if address == 0:
        return ""
    text = b""
    try:
        with open(f"/proc/{tid}/mem", "rb", buffering=0) as memory:
            while b"\0" not in text and len(text) < 8192:
                memory.seek(address + len(text))
                page_left = 4096 - (address + len(text)) % 4096
                text += memory.read(min(256, page_left)) or b"\0"
    except OSError:
        return ""
    return os.fsdecode(text.split(b"\0")[0])


def creates(call: Call) -> bool:
    """Whether a call may change the disk: of those that open, the ones that create or cut."""
    if call.name in OPENS:
        return bool(call.arguments[OPENS[call.name]] & (os.O_CREAT | os.O_TRUNC))
    return True
