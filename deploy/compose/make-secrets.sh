#!/bin/sh
# Makes the secrets of docker-compose.temporal.yml, each once: what is there already stays as it is.
#
# The folder is closed to other users of this computer (0700). The files in it are not (0444): Compose hands them to containers with the mode they
# have here, and the processes in there are nobody's users.
set -eu
folder="${1:-secrets}"

mkdir -p "$folder"
chmod 700 "$folder"
cd "$folder"

keep() { # name: takes the value from standard input, unless there is one
  if [ -s "$1" ]; then cat >/dev/null; return; fi
  umask 077
  cat >"$1.new"
  chmod 444 "$1.new"
  mv "$1.new" "$1"
  echo "made $folder/$1"
}
word() { openssl rand -hex 24; }

openssl rand -base64 32 | keep master-key
word | keep root-password
word | keep postgres-password
word | keep drover-database-password
word | keep temporal-database-password
word | keep store-secret-key

printf 'postgres://drover:%s@postgres:5432/drover\n' "$(cat drover-database-password)" | keep database-url
printf '{"identities":[{"name":"drover","credentials":[{"accessKey":"drover","secretKey":"%s"}],"actions":["Read:drover-images","Write:drover-images","List:drover-images"]}]}\n' \
  "$(cat store-secret-key)" | keep store-identities.json
