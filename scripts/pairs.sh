#!/usr/bin/env bash
# pairs.sh SIZE [--only SOURCE-DESTINATION] [--seed WORD]: every pair of places that copies go between.
# SIZE is small or large; large adds objects of 1 GiB, a pair at a time (2 GiB of disk in each store
# at once). On the servers whose variables are set, or else on those of services.sh env.
set -euo pipefail
# shellcheck source=scripts/campaign/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/campaign/environment.sh"
[[ -n ${TEST_CLIENTS_PYTHON:-} ]] || eval "$("$root/scripts/services.sh" env)"
exec "$TEST_CLIENTS_PYTHON" -m pairs "$@"
