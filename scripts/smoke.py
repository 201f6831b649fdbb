"""Copies and verifies a small tree with the installed package, through the backend named."""

import sys
import tempfile
from pathlib import Path

from migration_engine import Engine


def main() -> None:
    """Exits with a message unless the copy is whole and the backend is the one expected."""
    expected = sys.argv[1]
    with tempfile.TemporaryDirectory() as name, Engine(state_dir=Path(name) / "state") as engine:
        source, copy = Path(name) / "source", Path(name) / "copy"
        source.mkdir()
        (source / "line\nbreak").write_bytes(bytes(range(256)) * 5_000)
        result = engine.copy(source, copy, checksum="sha256").result()
        engine.verify(source, copy).result()
        if (copy / "line\nbreak").read_bytes() != (source / "line\nbreak").read_bytes():
            sys.exit("smoke: the copy differs")
        if result.backend != expected:
            sys.exit(f"smoke: answered by {result.backend}, not {expected}")
        print(f"smoke: {result.metrics.bytes} bytes copied and verified, backend {result.backend}")


main()
