#!/usr/bin/env bash
# crash.sh RUNS [SEED] [--types A,B] [--only RUN] [--server-kills RUNS] [--keep]: kills the engine at
# random moments of every type of job, resumes it by key, and has what it leaves judged by find,
# sha256sum, a client of its own, psql, mariadb and sqlite3. TYPES: names, or files, objects, second
# (server), stores (both), tables.
set -euo pipefail
# shellcheck source=scripts/campaign/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/campaign/environment.sh"
need zstd zstd
need psql postgresql-client
need mariadb mariadb-client
exec python3 -m campaign.crash "$@"
