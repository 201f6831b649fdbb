#!/usr/bin/env bash
# The clients that judge what the engine wrote, and write what it must read.
set -euo pipefail
# shellcheck source=scripts/services/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

wanted=(boto3==1.44.5 google-cloud-storage==3.17.1 azure-storage-blob==12.31.1)
# Another list is another directory.
name="clients-$(cksum <<<"${wanted[*]}" | cut -d ' ' -f 1)"

install() { once "$name" by_pip "${wanted[@]}"; }

python() { printf '%s\n' "$installed/$name/bin/python"; }

env() { variable TEST_CLIENTS_PYTHON "$(python)"; }

"$@"
