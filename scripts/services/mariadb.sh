#!/usr/bin/env bash
# MariaDB as Debian has it. root needs no password from anywhere, and everybody may use TLS.
set -euo pipefail
# shellcheck source=scripts/services/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

data="$dir/mariadb"

install() {
  need openssl openssl
  need mariadbd mariadb-server
}

configuration() {
  cat <<EOT
[mariadbd]
datadir = $data/db
socket = $data/socket
pid_file = $data/pid
port = $(port mariadb)
bind_address = 127.0.0.1
skip_name_resolve = ON
local_infile = ON
max_connections = 300
server_id = 1
log_bin = $data/db/binlog
binlog_format = ROW
binlog_row_metadata = FULL
character_set_server = utf8mb4
innodb_buffer_pool_size = 256M
max_allowed_packet = 64M
ssl_ca = $data/ca.pem
ssl_cert = $data/here.pem
ssl_key = $data/here.key
EOT
}

make() {
  rm -rf "$data"
  mkdir -p "$data"
  certificates "$data"
  configuration >"$data/my.cnf"
  mariadb-install-db --no-defaults --datadir="$data/db" --user="$(id -un)" --skip-test-db \
    --auth-root-authentication-method=normal >>"$dir/logs/mariadb-made.log" 2>&1
  touch "$data/whole"
}

start() {
  ! alive mariadb || return 0
  [[ -e $data/whole ]] || make
  # It runs as whoever runs this: its data may lie where an account of its own does not reach.
  daemon mariadb mariadbd --defaults-file="$data/my.cnf" --user="$(id -un)"
  await mariadb 60 mariadb-admin --no-defaults -h127.0.0.1 -P"$(port mariadb)" -uroot ping
}

env() {
  variable TEST_MARIA_URL "mysql://root@127.0.0.1:$(port mariadb)/"
  variable TEST_MARIA_CA "$data/ca.pem"
  variable TEST_MARIA_LOG "$dir/logs/mariadb.log"
  process TEST_MARIA mariadb
}

"$@"
