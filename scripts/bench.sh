#!/usr/bin/env bash
# Builds the engine, installs the peers, races them, and writes the table to benches/BASELINE.md.
# Arguments go to the harness, such as: files small_files --runs 9, or --cold. With arguments the
# table is only shown. The S3 suites start the server of services.sh up --bench, those of tables the
# ones of up --databases. Wait some minutes after removing many files: ext4 is slow until then.
set -euo pipefail
# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$root"
need_rust
scripts/peers.sh
cargo build --quiet --locked --release --package migration-engine --package migration-benches
export MIGRATION_ENGINE_BIN="$CARGO_TARGET_DIR/release/migration-engine"
harness="$CARGO_TARGET_DIR/release/migration-benches"

# The bucket's server: minutes to build where it was never up.
if (($# == 0)) || [[ " $* " == *" s3_"* ]]; then
  scripts/services.sh up --bench
elif [[ " $* " == *" tables_"* ]]; then
  scripts/services.sh up --databases
fi
if found=$(scripts/services.sh env 2>/dev/null); then eval "$found"; fi

if (($#)); then
  exec "$harness" "$@"
fi
table=$(mktemp)
trap 'rm -f "$table"' EXIT
{
  printf '# Baseline\n\nMade by scripts/bench.sh: one machine, one day. Compare rows, not days.\n\n'
  "$harness"
} | tee "$table"
cp "$table" benches/BASELINE.md
