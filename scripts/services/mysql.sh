#!/usr/bin/env bash
# MySQL: Debian's unstable distribution alone has it, so it is unpacked aside with a C library of its
# own. root needs no password; accounts use caching_sha2_password. Its versions move on.
set -euo pipefail
# shellcheck source=scripts/services/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

tree="$installed/mysql"
data="$dir/mysql"
libraries="$tree/usr/lib/x86_64-linux-gnu"
program=("$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" "$tree/usr/sbin/mysqld")

install() {
  need openssl openssl
  once mysql by_sid mysql-server-core
}

configuration() {
  cat <<EOT
[mysqld]
user = $(id -un)
basedir = $tree/usr
plugin_dir = $tree/usr/lib/mysql/plugin
lc_messages_dir = $tree/usr/share/mysql
character_sets_dir = $tree/usr/share/mysql/charsets
datadir = $data/db
socket = $data/socket
pid_file = $data/pid
log_error = $data/errors.log
secure_file_priv =
port = $(port mysql)
bind_address = 127.0.0.1
mysqlx = OFF
local_infile = ON
max_connections = 300
server_id = 1
log_bin = $data/db/binlog
binlog_row_metadata = FULL
gtid_mode = ON
enforce_gtid_consistency = ON
performance_schema = OFF
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
  "${program[@]}" --defaults-file="$data/my.cnf" --initialize-insecure >>"$dir/logs/mysql-made.log" 2>&1
  touch "$data/whole"
}

# It speaks first: a byte of its greeting is an answer.
greets() { timeout 5 head -c 1 <"/dev/tcp/127.0.0.1/$(port mysql)" | grep -q .; }

start() {
  ! alive mysql || return 0
  [[ -e $data/whole ]] || make
  daemon mysql "${program[@]}" --defaults-file="$data/my.cnf"
  await mysql 60 greets
}

env() {
  variable TEST_MYSQL_URL "mysql://root@127.0.0.1:$(port mysql)/"
  variable TEST_MYSQL_CA "$data/ca.pem"
  variable TEST_MYSQL_LOG "$data/errors.log"
  process TEST_MYSQL mysql
}

"$@"
