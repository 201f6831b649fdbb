#!/usr/bin/env bash
# Everything that needs no running: format, lints, licences and sources of dependencies, scripts.
set -euo pipefail
# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$root"
need_rust

say "cargo fmt --check"
cargo fmt --all --check

say "cargo clippy -D warnings"
cargo clippy --quiet --locked --workspace --all-targets -- -D warnings

# cargo-deny takes minutes to build, so it is used where it is installed. Its advisories come from
# a git repository, and the checks need nothing but the package registries.
if cargo deny --version >/dev/null 2>&1; then
  say "cargo deny: licences, bans, sources"
  cargo deny --workspace --config .deny.toml check --hide-inclusion-graph licenses bans sources
else
  say "cargo deny: not installed, left out"
fi

if command -v shellcheck >/dev/null; then
  say "shellcheck"
  shellcheck --external-sources scripts/*.sh scripts/campaign/*.sh scripts/services/*.sh .ci/run
else
  say "shellcheck: not installed, left out"
fi
