#!/usr/bin/env bash
# Azurite: Azure Blob Storage. Its account and key are the published ones of every emulator. It keeps
# its index in memory and writes it out every 5 s: kill -9 loses what was acknowledged since, a
# restart loses nothing.
set -euo pipefail
# shellcheck source=scripts/services/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

version=3.35.0
name="azurite-$version"

by_npm() {
  npm install --silent --no-audit --no-fund --no-update-notifier --omit=dev --prefix "$2" "$1"
}

install() {
  need node nodejs
  need npm npm
  once "$name" by_npm "azurite@$version"
}

start() {
  ! alive azurite || return 0
  mkdir -p "$dir/azurite"
  daemon azurite node "$installed/$name/node_modules/azurite/dist/src/blob/main.js" \
    --blobHost 127.0.0.1 --blobPort "$(port azurite)" --location "$dir/azurite" \
    --silent --disableTelemetry --skipApiVersionCheck
  # Any answer will do: without a signature it is a refusal.
  await azurite 60 curl --silent --noproxy '*' --max-time 5 "http://127.0.0.1:$(port azurite)/"
}

env() {
  variable TEST_AZURE_ENDPOINT "http://127.0.0.1:$(port azurite)/devstoreaccount1"
  variable TEST_AZURE_ACCOUNT devstoreaccount1
  variable TEST_AZURE_KEY \
    'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=='
  process TEST_AZURE azurite
}

"$@"
