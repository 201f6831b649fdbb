"""``python -m migration_engine serve``: the pure-Python server on the standard streams."""

from __future__ import annotations

import argparse
import sys
from typing import List, Optional

from .fallback.server import Options, serve
from .fallback.state import default_directory
from .version import __version__


def main(arguments: Optional[List[str]] = None) -> int:
    """Parses the command line and serves; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m migration_engine")
    commands = parser.add_subparsers(dest="command", required=True)
    server = commands.add_parser("serve", help="serve the protocol on standard input and output")
    server.add_argument("--state-dir", default=default_directory())
    server.add_argument("--on-eof", choices=("finish", "cancel"))
    server.add_argument("--parent-pid", type=int)
    options = parser.parse_args(arguments)
    return serve(Options(options.state_dir, options.on_eof, options.parent_pid), __version__)


if __name__ == "__main__":
    sys.exit(main())
