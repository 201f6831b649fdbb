#!/usr/bin/env bash
# The test command: lints, all Rust and Python tests, the package installed with and without cargo,
# on real servers that it starts and ends.
# Installs what is missing by package name. Goes on after a failure; the last line says what failed.
set -euo pipefail
# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$root"

scratch=$(mktemp -d)
servers="$scratch/services"
# The servers end with this script, whatever ends it.
finish() {
  [[ ! -e $servers/instance ]] || scripts/services.sh down "$servers" || true
  rm -rf "$scratch"
}
trap 'cd "$root"; finish' EXIT
# Nothing here touches the state of an engine in use.
export XDG_STATE_HOME="$scratch/state"
failed=()

# step NAME COMMAND...: shows and keeps the output.
step() {
  local name=$1
  shift
  say "$name"
  if ! "$@" 2>&1 | tee "$scratch/$name.log"; then
    failed+=("$name")
  fi
}

last_line() { { grep -E "$2" "$scratch/$1.log" || echo "$1: no summary"; } | tail -n 1 | sed 's/^[= ]*//; s/[= ]*$//'; }

# smoke NAME PATH BACKEND: installs the package with that PATH into a new environment and copies a
# file, which must go through that backend.
smoke() {
  local fresh="$scratch/venv-$1"
  python3 -m venv "$fresh" &&
    env PATH="$2" "$fresh/bin/pip" install --quiet --disable-pip-version-check ./protocol/python &&
    env -u MIGRATION_ENGINE_BIN -u MIGRATION_ENGINE_BACKEND PATH="$2" \
      "$fresh/bin/python" -I scripts/smoke.py "$3"
}

need_rust
need_nextest
need_venv
# The tools that read what the engine compresses, and write what it must read.
for tool in gzip pigz zstd lz4 brotli tar; do need "$tool" "$tool"; done
command -v shellcheck >/dev/null || apt_install shellcheck || true
# Independent tools that copies are compared with and by.
need rsync rsync
need getfattr attr
need getfacl acl
need strace strace
# Filesystems that share storage, keep coarse times, or are full.
need mkfs.ext4 e2fsprogs
need mkfs.btrfs btrfs-progs
need mkfs.xfs xfsprogs
export PATH="$venv/bin:$PATH"

# Real servers; the tests find them by these variables and fail without.
step services scripts/services.sh up "$servers"
eval "$(scripts/services.sh env "$servers")"
step servers "${TEST_CLIENTS_PYTHON:-python3}" scripts/services/smoke.py
step check scripts/check.sh
step nextest cargo nextest run --locked --workspace
step doctests cargo test --locked --quiet --workspace --doc
step build cargo build --locked --package migration-engine
export MIGRATION_ENGINE_BIN="$CARGO_TARGET_DIR/debug/migration-engine"
step crash scripts/crash.sh 40 --types files
step crash-objects scripts/crash.sh 30 --types stores --server-kills 2
step crash-tables scripts/crash.sh 30 --types tables --server-kills 2
step points scripts/points.sh 12
step faults scripts/faults.sh 12
step changing scripts/changing.sh 200
step room scripts/room.sh
step growth scripts/growth.sh 2000 20000
step pairs scripts/pairs.sh small
cd protocol/python
step pytest python -m pytest
step mypy mypy --strict
step ruff ruff check . ../../scripts
step mypy-campaign env MYPYPATH=../../scripts mypy --strict --package campaign --package pairs
cd "$root"
step with-cargo smoke with-cargo "$PATH" native
mkdir "$scratch/no-programs"
step without-cargo smoke without-cargo "$scratch/no-programs" python

say "summary"
printf 'nextest: %s\n' "$(last_line nextest '(Summary|error)')"
printf 'pytest: %s\n' "$(last_line pytest '(passed|failed|error)')"
{ grep ABSENT "$scratch/services.log" || echo 'services: all there'; } | sort -u
for campaign in crash crash-objects crash-tables points faults changing room growth pairs; do
  last_line "$campaign" "^${campaign%-*}:"
done
if ((${#failed[@]})); then
  printf 'test.sh: FAILED: %s\n' "${failed[*]}"
  exit 1
fi
printf 'test.sh: all passed: services servers check nextest doctests build crash crash-objects crash-tables points faults changing room growth pairs pytest mypy mypy-campaign ruff with-cargo without-cargo\n'
