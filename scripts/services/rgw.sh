#!/usr/bin/env bash
# Ceph RGW: S3 as it runs in production, with flat keys. Debian's unstable distribution alone has a
# recent one, so it is unpacked aside, with all it depends on, and entered by chroot. Its versions
# move on: what is kept is what was current when it was installed.
set -euo pipefail
# shellcheck source=scripts/services/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

tree="$installed/ceph"
data="$dir/rgw"
# What an instance has for its own, in place of what was unpacked.
own=(etc/ceph var/lib/ceph run/ceph tmp)

# within COMMAND...: the unpacked system with this instance's directories over it. The mounts are
# seen by these processes alone and end with the last of them, however it ends.
within=(unshare --mount --propagation private)
[[ $(id -u) -eq 0 ]] || within+=(--map-root-user)
# shellcheck disable=SC2016
within+=(
  sh -euc '
    tree=$1 data=$2
    shift 2
    for name in etc/ceph var/lib/ceph run/ceph tmp; do
      mount --bind "$data/$name" "$tree/$name"
    done
    mount --rbind /proc "$tree/proc"
    mount --rbind /dev "$tree/dev"
    exec env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot "$tree" "$@"
  ' sh "$tree" "$data"
)

within() { "${within[@]}" "$@"; }

by_debian() {
  by_sid radosgw ceph-mon ceph-osd "$1"
  mkdir -p "$1"/{proc,dev} "${own[@]/#/$1/}"
  rm -rf "$1/var/run"
  ln -s ../run "$1/var/run"
}

install() { once ceph by_debian; }

# Every wait for the others of a cluster is made short: there are none.
configuration() {
  cat <<EOT
[global]
fsid = $(</proc/sys/kernel/random/uuid)
mon_host = [v2:127.0.0.1:$(port rgw-mon)]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_msgr1 = false
ms_bind_port_min = $(port rgw-osd 32)
ms_bind_port_max = $(($(port rgw-osd) + 31))
log_to_file = false
log_to_stderr = true
osd_pool_default_size = 1
osd_pool_default_min_size = 1
mon_allow_pool_size_one = true
osd_crush_chooseleaf_type = 0
osd_pool_default_pg_num = 8
osd_pool_default_pg_autoscale_mode = off
mon_max_pg_per_osd = 2000
paxos_propose_interval = 0.05
[mon]
mon_data = /var/lib/ceph/mon/a
mon_data_avail_warn = 2
mon_data_avail_crit = 1
[osd]
osd_data = /var/lib/ceph/osd/0
bluestore_block_size = 8589934592
osd_memory_target = 939524096
[client]
rgw_frontends = beast endpoint=127.0.0.1:$(port rgw)
rgw_crypt_require_ssl = false
rgw_data = /var/lib/ceph/rgw
EOT
}

keyring=/etc/ceph/ceph.client.admin.keyring

make_monitor() {
  mkdir -p "${own[@]/#/$data/}" "$data"/var/lib/ceph/{mon/a,osd/0,rgw}
  configuration >"$data/etc/ceph/ceph.conf"
  within ceph-authtool -C "$keyring" --gen-key -n client.admin \
    --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
  within ceph-authtool -C /etc/ceph/mon.key --gen-key -n mon. --cap mon 'allow *'
  within ceph-authtool /etc/ceph/mon.key --import-keyring "$keyring"
  cp "$data$keyring" "$data/var/lib/ceph/rgw/keyring"
  local fsid
  fsid=$(awk '/^fsid/ { print $3 }' "$data/etc/ceph/ceph.conf")
  within monmaptool --create --clobber --fsid "$fsid" \
    --addv a "[v2:127.0.0.1:$(port rgw-mon)]" /etc/ceph/monmap
  within ceph-mon --mkfs -i a --monmap /etc/ceph/monmap --keyring /etc/ceph/mon.key
}

make_osd() {
  local secret id
  secret=$(within ceph-authtool --gen-print-key)
  id=$(</proc/sys/kernel/random/uuid)
  printf '{"cephx_secret":"%s"}\n' "$secret" >"$data/etc/ceph/osd.json"
  within ceph osd new "$id" 0 -i /etc/ceph/osd.json
  within ceph-authtool -C /var/lib/ceph/osd/0/keyring -n osd.0 -a "$secret"
  within ceph-osd -i 0 --mkfs --osd-uuid "$id"
}

# user NAME FLAG...: all in one account, so that they share its buckets as far as policies let them.
account=RGW00000000000000001
user() {
  within radosgw-admin user create --account-id "$account" --uid "$1" --display-name "$1" \
    --access-key "$1key" --secret-key "$1secret123" "${@:2}"
}

make_users() {
  within radosgw-admin account create --account-id "$account" --account-name test
  user test --account-root
  user read
  within radosgw-admin user policy attach --uid read \
    --policy-arn arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess
  user nolist
}

# A policy of one's own can only be set through the gateway.
make_policy() {
  "$("$here/clients.sh" python)" - "http://127.0.0.1:$(port rgw)" <<'PYTHON'
import sys

import boto3

policy = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*", "Action":
    ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]}]}"""
iam = boto3.client(
    "iam", endpoint_url=sys.argv[1], region_name="default",
    aws_access_key_id="testkey", aws_secret_access_key="testsecret123",
)
iam.put_user_policy(UserName="nolist", PolicyName="objects", PolicyDocument=policy)
PYTHON
}

# made STEP: does it once for each instance.
made() {
  [[ ! -e $data/$1 ]] || return 0
  "$1" >>"$dir/logs/rgw-made.log" 2>&1
  touch "$data/$1"
}

osd_is_up() { within ceph --connect-timeout 5 osd stat | grep -q '1 up'; }

start() {
  # A cluster that was never whole is begun again.
  if [[ ! -e $data/whole ]]; then
    stop
    rm -rf "$data"
  fi
  made make_monitor
  alive mon || daemon mon "${within[@]}" ceph-mon -f -i a
  await mon 60 within ceph --connect-timeout 2 -s
  made make_osd
  alive osd || daemon osd "${within[@]}" ceph-osd -f -i 0
  await osd 120 osd_is_up
  made make_users
  alive rgw || daemon rgw "${within[@]}" radosgw -f -n client.admin
  await rgw 120 answers "http://127.0.0.1:$(port rgw)/"
  made make_policy
  touch "$data/whole"
}

# They take minutes to end by themselves, and lose nothing when they are killed.
stop() {
  local part
  for part in rgw osd mon; do end "$part" KILL; done
}

# The gateway alone is what a restart is about.
halt() { end rgw KILL; }

env() {
  variable TEST_RGW_ENDPOINT "http://127.0.0.1:$(port rgw)"
  variable TEST_RGW_REGION default
  variable TEST_RGW_ACCESS_KEY testkey
  variable TEST_RGW_SECRET_KEY testsecret123
  variable TEST_RGW_READONLY_ACCESS_KEY readkey
  variable TEST_RGW_READONLY_SECRET_KEY readsecret123
  variable TEST_RGW_NOLIST_ACCESS_KEY nolistkey
  variable TEST_RGW_NOLIST_SECRET_KEY nolistsecret123
  process TEST_RGW rgw
}

"$@"
