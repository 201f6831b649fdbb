#!/usr/bin/env bash
# changing.sh RUNS [SEED] [--only RUN]: the source changes while it is copied; a copy is exactly
# one state of it, or there is none. Directories are swapped for links to a place outside.
set -euo pipefail
# shellcheck source=scripts/campaign/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/campaign/environment.sh"
exec python3 -m campaign.changing "$@"
