#!/usr/bin/env bash
# Garage: the S3 server that costs least, to measure against. It ignores conditions on writes.
set -euo pipefail
# shellcheck source=scripts/services/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

version=2.5.0
program="$installed/garage-$version/bin/garage"
access_key=GK0123456789abcdef01234567
secret_key=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef

# It takes minutes, and a gigabyte while it lasts.
by_cargo() {
  CARGO_TARGET_DIR="$2/target" cargo install --quiet --locked --root "$2" --version "$1" garage
  rm -rf "$2/target"
}

install() {
  need_rust
  once "garage-$version" by_cargo "$version"
}

configuration() {
  cat <<EOT
metadata_dir = "$dir/garage/metadata"
data_dir = "$dir/garage/data"
db_engine = "lmdb"
replication_factor = 1
compression_level = "none"
rpc_bind_addr = "127.0.0.1:$(port garage-rpc)"
rpc_public_addr = "127.0.0.1:$(port garage-rpc)"
rpc_secret = "$secret_key"
[s3_api]
s3_region = "us-east-1"
api_bind_addr = "127.0.0.1:$(port garage)"
EOT
}

garage() { "$program" -c "$dir/garage/garage.toml" "$@"; }

# Any answer will do: without a signature it is a refusal.
start() {
  ! alive garage || return 0
  mkdir -p "$dir/garage"
  configuration >"$dir/garage/garage.toml"
  chmod go= "$dir/garage/garage.toml"
  GARAGE_DEFAULT_ACCESS_KEY=$access_key GARAGE_DEFAULT_SECRET_KEY=$secret_key RUST_LOG=warn \
    daemon garage "$program" -c "$dir/garage/garage.toml" \
    server --single-node --default-access-key
  await garage 60 curl --silent --noproxy '*' --max-time 5 "http://127.0.0.1:$(port garage)/"
  await garage 60 garage key allow --create-bucket "$access_key"
}

env() {
  variable TEST_GARAGE_ENDPOINT "http://127.0.0.1:$(port garage)"
  variable TEST_GARAGE_REGION us-east-1
  variable TEST_GARAGE_ACCESS_KEY "$access_key"
  variable TEST_GARAGE_SECRET_KEY "$secret_key"
  process TEST_GARAGE garage
}

"$@"
