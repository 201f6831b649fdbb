#!/usr/bin/env bash
# faults.sh SIZE|all [SEED] [--types A,B] [--only FAULT] [--keep]: fails every system call of a
# small job, or SIZE of them for each type of job, once and for ever; cuts transfers short.
set -euo pipefail
# shellcheck source=scripts/campaign/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/campaign/environment.sh"
need zstd zstd
exec python3 -m campaign.faults "$@"
