"""What a copy carries over beside content, and what its destination cannot hold."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING, Any, Dict, FrozenSet, List, NamedTuple, Optional, Union

from .faults import Fault

if TYPE_CHECKING:
    from .job import Job

_ACCESS = "system.posix_acl_access"
_DEFAULT = "system.posix_acl_default"
# Rights that a program gets whoever starts it: as dangerous as the set-user-id bit.
_CAPABILITY = "security.capability"
_NAMESPACES = ("user.", "trusted.", "security.")
_NAMED_BYTES_MAX = 1 << 20
# Entries of an access control list, as Linux hands it out: tag, permissions, id.
_ACL_HEAD_BYTES, _ACL_ENTRY_BYTES = 4, 8
_ACL_GROUP, _ACL_MASK = 0x04, 0x10
_REFUSALS = (
    errno.EPERM,
    errno.EACCES,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
    errno.EINVAL,
    errno.EOVERFLOW,
)
# Filesystems tell a full attribute area as a full device.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.E2BIG, errno.ERANGE, errno.ENOENT)
_WORDS = {
    "mode": "permission bits",
    "times": "exact times",
    "owner": "owner and group",
    "setuid": "set-user-id, set-group-id and sticky bits",
    "xattrs": "extended attributes",
    "acls": "access lists",
    "hard_links": "hard links",
}


def is_refusal(error: OSError) -> bool:
    """Whether the destination says that it cannot hold something, not that it is broken."""
    return error.errno in _REFUSALS


class Losses:
    """What could not be carried over: a warning for the first item of each kind, counts for all."""

    def __init__(self) -> None:
        self._items: Dict[str, int] = {}

    def add(self, job: "Job", lost: List[str], path: bytes) -> None:
        """One item is done without ``lost``."""
        for what in lost:
            if what not in self._items:
                message = "the destination does not hold %s" % _WORDS[what]
                job.warn(Fault("METADATA_LOST", message, path=path))
            self._items[what] = self._items.get(what, 0) + 1

    def data(self) -> List[Dict[str, Any]]:
        """The list in a result."""
        return [{"what": w, "items": self._items[w]} for w in _WORDS if w in self._items]


class Entry(NamedTuple):
    """An entry that is not opened: a link, fifo, socket or device, by its name."""

    dir_fd: int
    name: bytes


Held = Union[int, Entry]


class Attributes(NamedTuple):
    """What a source has beside content: its status, and the extended attributes asked for.

    ``cut`` says that there are more, which could not be read.
    """

    status: os.stat_result
    named: Dict[str, bytes]
    cut: bool = False

    def has(self, kind: str) -> bool:
        """Whether there are any ``xattrs`` or ``acls``."""
        lists = {name for name in self.named if name in (_ACCESS, _DEFAULT)}
        return bool(lists) if kind == "acls" else len(self.named) > len(lists)

    @property
    def group_bits(self) -> Optional[int]:
        """What the owning group may do; ``None`` where the mode says it.

        With an access list, the group's bits of the mode are the mask of all named entries.
        """
        acl = self.named.get(_ACCESS)
        if acl is None:
            return None
        permissions: Dict[int, int] = {}
        for at in range(_ACL_HEAD_BYTES, len(acl) - _ACL_ENTRY_BYTES + 1, _ACL_ENTRY_BYTES):
            tag = int.from_bytes(acl[at : at + 2], "little")
            permissions.setdefault(tag, int.from_bytes(acl[at + 2 : at + 4], "little"))
        if _ACL_GROUP not in permissions:
            return None
        return (permissions[_ACL_GROUP] & permissions.get(_ACL_MASK, 7) & 7) << 3

    @property
    def plain_mode(self) -> int:
        """The mode where the access list is not kept; of a damaged one, the group gets nothing."""
        mode = self.status.st_mode
        return mode & ~0o070 | (self.group_bits or 0) if _ACCESS in self.named else mode


def read_attributes(held: Held, status: os.stat_result, preserve: FrozenSet[str]) -> Attributes:
    """The attributes of a source; where there are no extended ones, it has none."""
    if not preserve & {"xattrs", "acls", "mode", "setuid"}:
        return Attributes(status, {})
    if stat.S_ISLNK(status.st_mode) and os.geteuid() != 0:
        # What links can have belongs to the privileged.
        return Attributes(status, {})
    try:
        names = _list(held)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOENT):
            return Attributes(status, {})
        raise
    named: Dict[str, bytes] = {}
    cut, room = False, _NAMED_BYTES_MAX
    for name in names:
        if not _is_wanted(name, preserve):
            continue
        try:
            value = _get(held, name)
        except OSError as error:
            # One that is gone by now is none.
            cut = cut or error.errno != errno.ENODATA
            continue
        room -= len(name) + len(value)
        if room < 0:
            return Attributes(status, named, cut=True)
        named[name] = value
    return Attributes(status, named, cut)


def _is_wanted(name: str, preserve: FrozenSet[str]) -> bool:
    if name == _ACCESS:
        # The mode alone does not tell what the owning group may do.
        return bool(preserve & {"acls", "mode", "setuid"})
    if name == _DEFAULT:
        return "acls" in preserve
    if "xattrs" not in preserve or (name == _CAPABILITY and "setuid" not in preserve):
        return False
    return name.startswith(_NAMESPACES)


def apply_attributes(held: Held, preserve: FrozenSet[str], given: Attributes) -> List[str]:
    """Gives them to a copy; what it could not hold. Raises ``OSError`` for what is broken.

    In this order, at no moment is it open to anybody its source is not open to: a change of owner
    takes set-user-id bits and capabilities away; lists that came from the directory go before the
    mode that would put them in force.
    """
    dress = _Dress(held, preserve, given)
    dress.put_on()
    return [what for what in _WORDS if what in dress.lost]


class _Dress:
    def __init__(self, held: Held, preserve: FrozenSet[str], given: Attributes) -> None:
        self._held = held
        self._preserve = preserve
        self._given = given
        self._source = given.status
        self._keeps_mode = bool(preserve & {"mode", "setuid"})
        self.lost: List[str] = []

    def put_on(self) -> None:
        preserve, source = self._preserve, self._source
        owned = "owner" not in preserve or self._own()
        bits = self._bits(owned)
        if not stat.S_ISLNK(source.st_mode):
            self._drop_inherited()
            with self._losing("mode" if self._keeps_mode else None):
                _set_mode(self._held, bits)
            if "acls" in preserve:
                self._set_named([_ACCESS, _DEFAULT], "acls")
        if self._given.cut:
            self._lose("xattrs")
        lists = (_ACCESS, _DEFAULT)
        self._set_named([name for name in self._given.named if name not in lists], "xattrs")
        if "times" in preserve:
            with self._losing("times"):
                _set_times(self._held, source)
        self._check(bits)

    def _lose(self, what: str) -> None:
        if what not in self.lost:
            self.lost.append(what)

    @contextlib.contextmanager
    def _losing(self, what: Optional[str]) -> Any:
        try:
            yield
        except OSError as error:
            if not is_refusal(error):
                raise
            if what is not None:
                self._lose(what)

    def _own(self) -> bool:
        """Gives it to its owner, or at least to its group; whether both are kept."""
        uid, gid = self._source.st_uid, self._source.st_gid
        try:
            _set_owner(self._held, uid, gid)
        except OSError as error:
            if not is_refusal(error):
                raise
            self._lose("owner")
            # Members of the group may do that much.
            with contextlib.suppress(OSError):
                _set_owner(self._held, -1, gid)
            return False
        return True

    def _bits(self, owned: bool) -> int:
        if not self._keeps_mode:
            return usual_mode(0o777 if stat.S_ISDIR(self._source.st_mode) else 0o666)
        bits = stat.S_IMODE(self._source.st_mode)
        if "setuid" not in self._preserve:
            bits &= 0o777
        group = self._given.group_bits
        if group is not None:
            bits = bits & ~stat.S_IRWXG | group
        if not owned and bits & (stat.S_ISUID | stat.S_ISGID):
            # Somebody else's program must not run with the rights of whoever copied it.
            bits &= ~(stat.S_ISUID | stat.S_ISGID)
            self._lose("setuid")
        return bits

    def _drop_inherited(self) -> None:
        if not self._keeps_mode:
            return
        names = [_ACCESS, _DEFAULT] if stat.S_ISDIR(self._source.st_mode) else [_ACCESS]
        for name in names:
            try:
                _remove(self._held, name)
            except OSError as error:
                if not is_refusal(error) and error.errno != errno.ENODATA:
                    raise

    def _set_named(self, names: List[str], what: str) -> None:
        for name in names:
            value = self._given.named.get(name)
            if value is None:
                continue
            try:
                _set(self._held, name, value)
            except OSError as error:
                # A label that policy gave already may not be set again, and need not be.
                with contextlib.suppress(OSError):
                    if _get(self._held, name) == value:
                        continue
                if not is_refusal(error) and error.errno not in _NO_ROOM:
                    raise
                self._lose(what)

    def _check(self, bits: int) -> None:
        """Some filesystems take what they cannot hold without a word."""
        now, source = _status(self._held), self._source
        if "times" in self._preserve and now.st_mtime_ns != source.st_mtime_ns:
            self._lose("times")
        if "owner" in self._preserve and (now.st_uid, now.st_gid) != (source.st_uid, source.st_gid):
            self._lose("owner")
        # The group's bits are the list's to say where there is one.
        group = stat.S_IRWXG if _ACCESS in self._given.named else 0
        differs = (now.st_mode ^ bits) & 0o777 & ~group
        if self._keeps_mode and differs and not stat.S_ISLNK(source.st_mode):
            self._lose("mode")


def usual_mode(bits: int) -> int:
    """What any new file of this user gets."""
    return bits & ~_umask()


def _umask() -> int:
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return 0o077


# The calls, for what is open and for what is held by its name. Links are never followed.


def _path(entry: Entry) -> bytes:
    return b"/proc/self/fd/%d/%s" % (entry.dir_fd, entry.name)


def _list(held: Held) -> List[str]:
    if isinstance(held, int):
        return os.listxattr(held)
    return os.listxattr(_path(held), follow_symlinks=False)


def _get(held: Held, name: str) -> bytes:
    if isinstance(held, int):
        return os.getxattr(held, name)
    return os.getxattr(_path(held), name, follow_symlinks=False)


def _set(held: Held, name: str, value: bytes) -> None:
    if isinstance(held, int):
        os.setxattr(held, name, value)
    else:
        os.setxattr(_path(held), name, value, follow_symlinks=False)


def _remove(held: Held, name: str) -> None:
    if isinstance(held, int):
        os.removexattr(held, name)
    else:
        os.removexattr(_path(held), name, follow_symlinks=False)


def _status(held: Held) -> os.stat_result:
    if isinstance(held, int):
        return os.fstat(held)
    return os.stat(held.name, dir_fd=held.dir_fd, follow_symlinks=False)


def _set_owner(held: Held, uid: int, gid: int) -> None:
    if isinstance(held, int):
        os.fchown(held, uid, gid)
    else:
        os.chown(held.name, uid, gid, dir_fd=held.dir_fd, follow_symlinks=False)


def _set_times(held: Held, source: os.stat_result) -> None:
    times = (source.st_atime_ns, source.st_mtime_ns)
    if isinstance(held, int):
        os.utime(held, ns=times)
    else:
        os.utime(held.name, ns=times, dir_fd=held.dir_fd, follow_symlinks=False)


def _set_mode(held: Held, bits: int) -> None:
    if isinstance(held, int):
        os.fchmod(held, bits)
        return
    # By a handle that opens nothing, so that what is looked at is what is changed.
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(held.name, flags, dir_fd=held.dir_fd)
    try:
        if stat.S_ISLNK(os.fstat(fd).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        os.chmod("/proc/self/fd/%d" % fd, bits)
    finally:
        os.close(fd)
