#!/usr/bin/env bash
# PostgreSQL as Debian has it. postgres needs no password; members of the roles scram and md5 do, and
# members of tls are let in by TLS alone: tests make users of their own in them.
set -euo pipefail
# shellcheck source=scripts/services/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

data="$dir/postgres"

# Debian keeps the programs of each version apart: those of the newest that is there.
programs() { find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1; }

install() {
  need openssl openssl
  [[ -n $(programs) ]] || apt_install postgresql || die "needs PostgreSQL"
}

# It refuses to run as root. And its account must reach the data wherever they are: root's own
# directories let nobody through.
as=()
identify() {
  [[ $(id -u) -eq 0 ]] || return 0
  as=(setpriv --reuid=postgres --regid=postgres --init-groups)
  "${as[@]}" test -x "$data" || as+=(--inh-caps=+dac_override --ambient-caps=+dac_override)
}

configuration() {
  cat <<EOT
listen_addresses = '127.0.0.1'
port = $(port postgres)
unix_socket_directories = ''
max_connections = 300
wal_level = logical
max_replication_slots = 10
max_wal_senders = 10
ssl = on
ssl_cert_file = '$data/here.pem'
ssl_key_file = '$data/here.key'
EOT
}

access() {
  cat <<EOT
host all +scram 127.0.0.1/32 scram-sha-256
host all +md5 127.0.0.1/32 md5
hostssl all +tls 127.0.0.1/32 scram-sha-256
host all +tls 127.0.0.1/32 reject
host all,replication all 127.0.0.1/32 trust
EOT
}

make() {
  certificates "$data"
  [[ $(id -u) -ne 0 ]] || chown -R postgres: "$data"
  (cd "$data" && "${as[@]}" "$(programs)/initdb" -D "$data/db" -A trust -U postgres --no-sync \
    -E UTF8 --locale=C.UTF-8) >>"$dir/logs/postgres-made.log" 2>&1
  configuration >>"$data/db/postgresql.conf"
  access >"$data/db/pg_hba.conf"
}

client() {
  local program=$1
  shift
  "$(programs)/$program" -h 127.0.0.1 -p "$(port postgres)" "$@"
}

begin() {
  (cd "$data" && daemon postgres "${as[@]}" "$(programs)/postgres" -D "$data/db")
  (await postgres 60 client pg_isready)
}

start() {
  ! alive postgres || return 0
  # A cluster that was never whole is begun again.
  [[ -e $data/whole ]] || rm -rf "$data"
  mkdir -p "$data"
  identify
  [[ -e $data/whole ]] || make
  local tries=0
  # One that was killed leaves children that end a moment later, and until then it does not start.
  until begin; do
    ((tries += 1))
    ((tries < 20)) || die "PostgreSQL does not start"
    sleep 0.5
  done
  [[ -e $data/whole ]] ||
    client psql -qX -U postgres -c 'CREATE ROLE scram; CREATE ROLE md5; CREATE ROLE tls' postgres
  touch "$data/whole"
}

# It ends its sessions first; TERM would wait for them.
stop() { end postgres INT; }

env() {
  variable TEST_PG_URL "postgres://postgres@127.0.0.1:$(port postgres)/postgres"
  variable TEST_PG_CA "$data/ca.pem"
  variable TEST_PG_DATA "$data/db"
  variable TEST_PG_LOG "$dir/logs/postgres.log"
  process TEST_PG postgres
}

"$@"
