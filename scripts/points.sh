#!/usr/bin/env bash
# points.sh SIZE|all [SEED] [--types A,B] [--only POINT] [--keep]: kills the engine at every call
# that may change the disk, or at SIZE of them for each type of job; resumes, and has it judged.
set -euo pipefail
# shellcheck source=scripts/campaign/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/campaign/environment.sh"
need zstd zstd
exec python3 -m campaign.points "$@"
