#!/usr/bin/env bash
# nginx over a directory, plain and with TLS under a made-up authority: ranges, ETag, Last-Modified.
# A third port shows a certificate for another name.
set -euo pipefail
# shellcheck source=scripts/services/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# The program alone: installing the package would start the system's own server.
by_apt() {
  command -v apt-get >/dev/null || die "needs nginx"
  (
    cd "$1"
    [[ $(id -u) -ne 0 ]] || apt-get -qq update
    apt-get -qq -o APT::Sandbox::User=root download nginx
    unpack "$1" nginx_*.deb
  )
}

install() {
  need openssl openssl
  need curl curl
  command -v nginx >/dev/null || once nginx by_apt
}

# One process: workers would outlive a master that is killed, and keep its ports.
configuration() {
  cat <<EOT
daemon off;
master_process off;
pid "$dir/nginx/pid";
error_log stderr;
events { worker_connections 512; }
http {
  access_log "$dir/logs/nginx-access.log";
  client_body_temp_path "$dir/nginx/tmp";
  proxy_temp_path "$dir/nginx/tmp";
  fastcgi_temp_path "$dir/nginx/tmp";
  uwsgi_temp_path "$dir/nginx/tmp";
  scgi_temp_path "$dir/nginx/tmp";
  types { text/plain txt; text/html html; application/json json; }
  default_type application/octet-stream;
  sendfile on;
  root "$dir/nginx/root";
  server { listen 127.0.0.1:$(port nginx-http); }
  server {
    listen 127.0.0.1:$(port nginx-https) ssl;
    ssl_certificate here.pem;
    ssl_certificate_key here.key;
  }
  server {
    listen 127.0.0.1:$(port nginx-elsewhere) ssl;
    ssl_certificate elsewhere.pem;
    ssl_certificate_key elsewhere.key;
  }
}
EOT
}

start() {
  ! alive nginx || return 0
  local program
  program=$(command -v nginx || echo "$installed/nginx/usr/sbin/nginx")
  mkdir -p "$dir"/nginx/{root,tmp}
  certificates "$dir/nginx"
  configuration >"$dir/nginx/nginx.conf"
  daemon nginx "$program" -e stderr -p "$dir/nginx" -c "$dir/nginx/nginx.conf"
  # Any answer will do: the directory is empty.
  await nginx 60 curl --silent --noproxy '*' --max-time 5 "http://127.0.0.1:$(port nginx-http)/"
}

env() {
  variable TEST_HTTP_ENDPOINT "http://127.0.0.1:$(port nginx-http)"
  variable TEST_HTTPS_ENDPOINT "https://127.0.0.1:$(port nginx-https)"
  variable TEST_HTTPS_WRONG_NAME_ENDPOINT "https://127.0.0.1:$(port nginx-elsewhere)"
  variable TEST_HTTPS_CA "$dir/nginx/ca.pem"
  variable TEST_HTTP_ROOT "$dir/nginx/root"
  variable TEST_HTTP_LOG "$dir/logs/nginx-access.log"
  process TEST_HTTP nginx
}

"$@"
