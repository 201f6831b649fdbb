# shellcheck shell=bash
# Sourced by the campaigns' scripts: the binary under test and the programs that judge it.

# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/../environment.sh"
need python3 python3
if [[ -z ${MIGRATION_ENGINE_BIN:-} ]]; then
  need_rust
  cargo build --quiet --locked --manifest-path "$root/Cargo.toml" --package migration-engine
  MIGRATION_ENGINE_BIN="$CARGO_TARGET_DIR/debug/migration-engine"
fi
export MIGRATION_ENGINE_BIN
export PYTHONPATH="$root/scripts" PYTHONDONTWRITEBYTECODE=1
