#!/usr/bin/env bash
# growth.sh FILES... [--large SIZE] [--eta-bytes SIZE]: time and memory as the work grows, for trees
# of so many files and for one large file with holes; and how well `eta_s` foretells.
set -euo pipefail
# shellcheck source=scripts/campaign/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/campaign/environment.sh"
exec python3 -m campaign.growth "$@"
