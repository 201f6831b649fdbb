# shellcheck shell=bash
# Sourced by the other scripts: where things are, and how a missing tool gets installed.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/migration-engine"
tools="$cache/tools"
venv="$cache/venv"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$cache/target}"
export PATH="$tools/bin:$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
mkdir -p "$tools/bin"

say() { printf '\n== %s\n' "$*"; }

die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# apt_install PACKAGE: as root on Debian; says what to do elsewhere.
apt_install() {
  if [[ $(id -u) -ne 0 ]] || ! command -v apt-get >/dev/null; then
    printf 'missing: install the package %s\n' "$1" >&2
    return 1
  fi
  apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$1" >/dev/null
}

# need COMMAND PACKAGE
need() { command -v "$1" >/dev/null || apt_install "$2" || die "needs $1"; }

need_rust() {
  command -v cargo >/dev/null || die "needs cargo: Rust 1.89 or newer, with rustfmt and clippy"
  need cc gcc
}

need_nextest() {
  cargo nextest --version >/dev/null 2>&1 || cargo install --quiet --locked --root "$tools" cargo-nextest
}

# A Python environment with what the tests of protocol/python need, made again when that changes.
need_venv() {
  local wanted="$root/protocol/python/requirements-test.txt"
  need python3 python3
  python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv || die "needs Python's venv"
  if ! cmp -s "$wanted" "$venv/requirements-test.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$wanted"
    cp "$wanted" "$venv/requirements-test.txt"
  fi
}
