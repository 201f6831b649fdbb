#!/usr/bin/env bash
# growth_objects.sh [--large SIZE] [--keys COUNT]: memory under a cap of 64 MiB for one large object
# up and down, and for many keys kept in step. Needs the server of services.sh up --bench.
set -euo pipefail
# shellcheck source=scripts/campaign/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/campaign/environment.sh"
found=$("$root/scripts/services.sh" env)
eval "$found"
exec python3 -m campaign.growth_objects "$@"
