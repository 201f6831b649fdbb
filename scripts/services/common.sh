# shellcheck shell=bash
# Sourced by services.sh and by each server's file: what is installed, ports, daemons, bounded waits.
# A server's file has the functions install, start, env, and ends with "$@". It may have its own
# stop (for good) and halt (until it is started again).

# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/../environment.sh"
here="$root/scripts/services"
installed="$tools/services"
dir=$(realpath -m "${SERVICES_DIR:-$cache/services}")
# The name of the server whose file sources this.
self=$(basename "$0" .sh)

# once NAME COMMAND...: runs it with a new directory as its last word. The directory gets its name
# when the command has succeeded, so what has a name is whole.
once() {
  local name=$1
  shift
  [[ ! -d $installed/$name ]] || return 0
  printf 'services: installing %s\n' "$name"
  rm -rf "$installed/$name.part"
  mkdir -p "$installed/$name.part"
  "$@" "$installed/$name.part"
  mv "$installed/$name.part" "$installed/$name"
}

# by_pip PACKAGE==VERSION... DIRECTORY
by_pip() {
  local into=${*: -1}
  need python3 python3
  python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv || die "needs Python's venv"
  python3 -m venv "$into"
  "$into/bin/pip" install --quiet --disable-pip-version-check "${@:1:$#-1}"
}

# unpack ROOT PACKAGE.deb...
unpack() {
  local package
  for package in "${@:2}"; do
    dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$1"
  done
}

# by_sid PACKAGE... DIRECTORY: from Debian's unstable distribution, with all they depend on, unpacked
# into the directory by an apt that knows nothing of what this system has.
by_sid() {
  local tree=${*: -1} apt="${*: -1}.apt" uri name
  # The mirror that this system uses, in either style of its lists.
  uri=$(cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null |
    awk '/^URIs:/ { print $2; exit } /^deb / { for (i = 2; i <= NF; i++) if ($i ~ /^[a-z]+:/) { print $i; exit } }')
  [[ -n $uri ]] || die "no mirror of Debian in this system's lists of sources"
  rm -rf "$apt"
  mkdir -p "$apt"/{lists/partial,cache/archives/partial,parts} "$tree"/usr/{bin,sbin,lib,lib64}
  : >"$apt/status"
  cat >"$apt/parts/sid.sources" <<EOT
Types: deb
URIs: $uri
Suites: sid
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
EOT
  cat >"$apt/apt.conf" <<EOT
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$apt/parts";
Dir::State::lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
APT::Sandbox::User "root";
EOT
  APT_CONFIG="$apt/apt.conf" apt-get -qq update
  APT_CONFIG="$apt/apt.conf" apt-get -qqy --no-install-recommends --download-only install "${@:1:$#-1}"
  for name in bin sbin lib lib64; do ln -s "usr/$name" "$tree/$name"; done
  unpack "$tree" "$apt"/cache/archives/*.deb
  rm -rf "$apt"
}

# port NAME [COUNT]: the port of that name in this instance, picked when first asked for. COUNT: the
# ports after it are free as well.
port() {
  local file="$dir/ports/$1"
  [[ -s $file ]] || python3 "$here/free_port.py" "${2:-1}" "$dir"/ports/* >"$file"
  cut -d ' ' -f 1 "$file"
}

# born PID: when the process began, in ticks since the system did; with the pid it is one process
# and no later one.
born() {
  local fields
  { read -r fields <"/proc/$1/stat"; } 2>/dev/null || return 1
  # The name in parentheses may hold anything; the 22nd field is the 20th after it.
  read -r -a fields <<<"${fields##*) }"
  printf '%s %s\n' "${fields[19]}" "$(</proc/sys/kernel/random/boot_id)"
}

pid_of() { cut -d ' ' -f 1 "$dir/pids/$1" 2>/dev/null; }

# alive DAEMON: the very process that was started under this name.
alive() {
  local pid record
  { read -r pid record <"$dir/pids/$1"; } 2>/dev/null && [[ $(born "$pid") == "$record" ]] &&
    [[ $(cut -d ')' -f 2 "/proc/$pid/stat") != ' Z'* ]]
}

resident() { awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$(pid_of "$1")/status"; }

# daemon NAME COMMAND...: in a session of its own. The record stands before the program begins, so
# that whatever happens to this script, down finds it.
daemon() {
  local name=$1 pid tries=0
  shift
  rm -f "$dir/pids/$name"
  (
    # Said here: within $(...) it is the pid of another process.
    pid=$BASHPID
    printf '%s %s\n' "$pid" "$(born "$pid")" >"$dir/pids/$name"
    exec setsid "$@" </dev/null >>"$dir/logs/$name.log" 2>&1 8>&- 9>&-
  ) &
  until [[ -s $dir/pids/$name ]]; do
    ((tries += 1))
    ((tries < 1000)) || die "$name cannot be started"
    sleep 0.01
  done
}

# await DAEMON SECONDS COMMAND...: until the command succeeds; fails when the daemon ends or the time
# does, with the end of its log.
await() {
  local name=$1 deadline=$((SECONDS + $2))
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ! alive "$name" || ((SECONDS >= deadline)); then
      tail -n 20 "$dir/logs/$name.log" >&2
      die "$name does not answer"
    fi
    sleep 0.1
  done
}

answers() { curl --silent --fail --noproxy '*' --max-time 5 --output /dev/null "$1"; }

# end DAEMON SIGNAL: waits until it is gone, and after 10 s leaves it no choice.
end() {
  local pid tries=0
  if alive "$1"; then
    pid=$(pid_of "$1")
    kill "-$2" "$pid" 2>/dev/null || true
    while alive "$1"; do
      ((tries += 1))
      ((tries != 200)) || kill -KILL "$pid" 2>/dev/null || true
      ((tries < 400)) || die "$1 (pid $pid) does not end"
      sleep 0.05
    done
  fi
  rm -f "$dir/pids/$1"
}

stop() { end "$self" TERM; }

halt() { stop; }

# certificate NAME SUBJECT_ALTERNATIVE_NAMES: signed by the authority.
certificate() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" \
    -keyout "$1.key" -out "$1.csr"
  printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n' "$2" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 \
    -extfile "$1.ext" -out "$1.pem"
}

# certificates DIRECTORY: an authority (ca.pem), a certificate for this machine (here.pem, here.key)
# and one for another (elsewhere.pem, elsewhere.key), where they are not there yet.
certificates() {
  [[ ! -s $1/elsewhere.pem ]] || return 0
  (
    cd "$1" || exit
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
      -subj '/CN=An authority for tests' -addext keyUsage=critical,keyCertSign,cRLSign \
      -keyout ca.key -out ca.pem
    certificate here IP:127.0.0.1,DNS:localhost
    certificate elsewhere DNS:elsewhere.invalid
  ) >>"$dir/logs/openssl.log" 2>&1
}

# variable NAME VALUE: a line for a shell to read.
variable() { printf "export %s='%s'\n" "$1" "${2//\'/\'\\\'\'}"; }

# process PREFIX DAEMON: its pid, and the file whose first word is its pid also after a restart.
process() {
  variable "$1_PID" "$(pid_of "$2")"
  variable "$1_PID_FILE" "$dir/pids/$2"
}
