#!/usr/bin/env bash
# crash.sh RUNS [SEED] [--types A,B] [--only RUN] [--keep]: kills the engine at random moments of
# every type of job, resumes it by key, and has what it leaves judged by find and sha256sum.
set -euo pipefail
# shellcheck source=scripts/campaign/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/campaign/environment.sh"
need zstd zstd
exec python3 -m campaign.crash "$@"
