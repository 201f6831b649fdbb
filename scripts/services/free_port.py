"""free_port.py COUNT FILE...: the first of COUNT free loopback ports in a row, and COUNT.

Each FILE holds what an earlier call printed: those are not given again. Ports that the system takes
for outgoing connections are left out: one of them could be gone before its server is restarted.
"""

import random
import socket
import sys
from pathlib import Path

LOWEST = 10_240


def free(port: int) -> bool:
    """Whether nothing holds the port."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def main() -> None:
    """Tries places at random, so that two runs are unlikely to meet."""
    count = int(sys.argv[1])
    given = set()
    for name in sys.argv[2:]:
        path = Path(name)
        words = path.read_text().split() if path.is_file() else []
        if words:
            given.update(range(int(words[0]), int(words[0]) + int(words[1])))
    outgoing = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    highest = max(int(outgoing[0]), LOWEST + 1_000)
    for _ in range(1_000):
        first = random.randrange(LOWEST, highest - count)
        row = range(first, first + count)
        if given.isdisjoint(row) and all(free(port) for port in row):
            print(first, count)
            return
    sys.exit("free_port: none found")


main()
