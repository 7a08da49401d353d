#!/bin/bash
# Installs the Debian packages of packages.txt that are missing.
#
#   deps/install.sh run     what building and running takes (the default)
#   deps/install.sh test    that and what `make test` takes
#   deps/install.sh bench   that and the peers of `make bench-cluster`
#
# Asks nothing, starts no service, and does nothing at all when nothing is missing. Uses sudo when
# it isn't run by root.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
group=${1:-run}
case $group in
  run | test | bench) ;;
  *) echo "usage: $0 [run|test|bench]" >&2; exit 2 ;;
esac

# One line "package command" for each package of the group; the command is "-" when there is none.
wanted() {
  sed 's/#.*//' "$here/packages.txt" | awk -v group="$group" '
    NF && ($1 == "run" || $1 == group || group == "bench") {
      command = $3; gsub(/[()]/, "", command)
      print $2, (command == "" ? "-" : command)
    }'
}

installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

debian=no
if [ -r /etc/os-release ]; then
  # shellcheck disable=SC1091
  . /etc/os-release
  if [ "${ID:-}" = debian ] && [ "${VERSION_ID:-}" = 12 ]; then debian=yes; fi
fi
if [ $debian = no ] || ! command -v dpkg-query >/dev/null; then
  {
    echo "deps/install.sh installs packages on Debian 12 only; this is ${PRETTY_NAME:-another system}."
    echo "Install what corresponds to these packages yourself, then use \`make\` and \`build/holdfast\`:"
    wanted | awk '{ printf " %s", $1 } END { print "" }'
  } >&2
  exit 1
fi

missing=()
while read -r package command; do
  if [ "$command" != - ] && command -v "$command" >/dev/null; then continue; fi
  installed "$package" || missing+=("$package")
done < <(wanted)
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "These packages are missing: ${missing[*]}" >&2
    echo "Install them as root, or install sudo: there is neither here." >&2
    exit 1
  fi
  as_root=(sudo)
fi

# Debian starts a service when its package is installed (redis-server would take port 6379) unless
# this file refuses. One that is there already stays.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null
  "${as_root[@]}" chmod 755 $policy
  trap '"${as_root[@]}" rm -f $policy' EXIT
fi

echo "Installing: ${missing[*]}"
apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l \
    apt-get -q -y -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 "$@"
}
apt update
apt install --no-install-recommends "${missing[@]}"

# Nor should it start with the next boot, whichever init there is.
for pair in redis-server:redis-server etcd-server:etcd; do
  if [[ " ${missing[*]} " != *" ${pair%:*} "* ]]; then continue; fi
  "${as_root[@]}" update-rc.d "${pair#*:}" disable >/dev/null 2>&1 || true
  if command -v systemctl >/dev/null; then
    "${as_root[@]}" systemctl disable "${pair#*:}.service" >/dev/null 2>&1 || true
  fi
done
