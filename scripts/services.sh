#!/usr/bin/env bash
# services.sh up [--bench | --databases] | down | env | status | restart SERVER   [DIR]
# Real servers for the tests, on free ports of the loopback, with all their data in DIR (default:
# services in the cache directory). An instance lives from up to down. What up downloads is kept in
# the cache and used by every instance. up starts what does not run and leaves alone what runs.
#   seaweed azurite gcs nginx postgres mariadb  required: up fails without them
#   rgw     Ceph from Debian sid; where it cannot be had it is named as absent
#   mysql   MySQL from Debian sid, likewise
#   garage  with --bench only: minutes to build, and nothing but speed to show
# --databases starts PostgreSQL and MariaDB alone.
# env prints what tests find them by: eval "$(scripts/services.sh env)"
set -euo pipefail
verb=${1:-}
shift || true
required=(seaweed azurite gcs nginx postgres mariadb)
optional=(rgw mysql)
named=''
while (($#)); do
  case $1 in
    --bench) optional+=(garage) ;;
    --databases) required=(postgres mariadb) optional=() ;;
    -*) verb='' ;;
    *)
      if [[ $verb == restart && -z $named ]]; then named=$1; else SERVICES_DIR=$1; fi
      ;;
  esac
  shift
done
export SERVICES_DIR="${SERVICES_DIR:-}"
# shellcheck source=scripts/services/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/services/common.sh"

# server NAME VERB: each server's file is a program of its own, so that its errors end it.
server() { "$here/$1.sh" "$2"; }

# The servers of this instance, in the order in which they were started.
servers() { cat "$dir/servers" 2>/dev/null || true; }

# lock FD FILE SECONDS: daemons close 8 and 9, or a lock would live as long as they do.
lock() {
  mkdir -p "$(dirname "$2")"
  eval "exec $1>>\"\$2\""
  flock --wait "$3" "$1" || die "$2 is locked for more than $3 s"
}

own_directory() {
  if [[ ! -e $dir/instance ]]; then
    [[ -z $(ls -A "$dir" 2>/dev/null) ]] || die "$dir holds something else"
    mkdir -p "$dir"
    touch "$dir/instance"
  fi
}

start() {
  grep -qx "$1" "$dir/servers" 2>/dev/null || echo "$1" >>"$dir/servers"
  local began=$EPOCHREALTIME
  server "$1" start || return 1
  printf 'services: %s answers, %s ms\n' "$1" $(((${EPOCHREALTIME/./} - ${began/./}) / 1000))
}

up() {
  own_directory
  lock 8 "$dir/lock" 600
  # One at a time on this machine: downloads are made once, and no two pick the same port.
  lock 9 "$installed/lock" 3600
  [[ -e $dir/servers ]] || rm -rf "$dir/logs"
  mkdir -p "$dir"/{pids,ports,logs}
  : >"$dir/absent"
  "$here/clients.sh" install
  local name
  for name in "${required[@]}"; do
    server "$name" install
    start "$name"
  done
  for name in "${optional[@]}"; do
    { server "$name" install && start "$name"; } || give_up "$name"
  done
  ! grep -qx seaweed "$dir/servers" || buckets
  summary
}

# The bucket that the tests share, in every server.
buckets() {
  (
    eval "$(print_env)"
    "$TEST_CLIENTS_PYTHON" "$here/buckets.py"
  )
}

# give_up NAME: an optional server that did not come up leaves nothing behind but its log.
give_up() {
  server "$1" stop || true
  sed -i "/^$1\$/d" "$dir/servers" 2>/dev/null || true
  echo "$1" >>"$dir/absent"
}

summary() {
  printf 'services: up in %s: %s\n' "$dir" "$(servers | paste -sd ' ')"
  local name
  while read -r name; do
    printf 'services: ABSENT: %s, so nothing is tested against it\n' "$name"
  done <"$dir/absent"
}

down() {
  [[ -e $dir/instance ]] || die "$dir is no instance"
  lock 8 "$dir/lock" 600
  local name
  # Every recorded process, also of servers that did not come up.
  for name in $(servers | tac); do server "$name" stop; done
  for name in "$dir"/pids/*; do
    [[ -e $name ]] || continue
    end "${name##*/}" KILL
  done
  find "$dir" -mindepth 1 -maxdepth 1 ! -name logs ! -name instance ! -name lock -exec rm -rf {} +
  printf 'services: down; logs are in %s\n' "$dir/logs"
}

# Every server of the instance, also one that was killed: its address stays the same.
print_env() {
  [[ -s $dir/servers ]] || die "nothing is up in $dir"
  local name
  variable TEST_SERVICES_DIR "$dir"
  variable TEST_BUCKET tests
  "$here/clients.sh" env
  for name in $(servers); do server "$name" env; done
}

status() {
  [[ -s $dir/servers ]] || die "nothing is up in $dir"
  local name dead=0
  for name in "$dir"/pids/*; do
    [[ -e $name ]] || continue
    name=${name##*/}
    if alive "$name"; then
      printf '%-8s pid %-7s %5s MiB\n' "$name" "$(pid_of "$name")" "$(resident "$name")"
    else
      printf '%-8s dead\n' "$name"
      dead=1
    fi
  done
  sed 's/$/ absent/' "$dir/absent"
  return "$dead"
}

restart() {
  grep -qx "$named" "$dir/servers" 2>/dev/null || die "no server ${named:-(none given)} in $dir"
  lock 8 "$dir/lock" 600
  server "$named" halt
  start "$named"
}

case $verb in
  up | down | status | restart) "$verb" ;;
  env) print_env ;;
  *) die "up [--bench | --databases] | down | env | status | restart SERVER, and a directory" ;;
esac
