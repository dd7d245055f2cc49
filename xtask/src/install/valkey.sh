#!/bin/sh
# Installs valkey-server with apt; run as root. Where no source has the package, as on Debian 12, it adds that of Debian's
# backports. Nothing else comes from there by itself: apt prefers any other source. The service is neither started nor
# enabled.
set -eu
export DEBIAN_FRONTEND=noninteractive

offered() {
  apt-cache policy valkey-server | grep -q 'Candidate: [0-9]'
}

offered || apt-get --quiet --yes update
if ! offered; then
  . /etc/os-release
  if [ "${ID-}" != debian ] || [ "${VERSION_CODENAME-}" != bookworm ]; then
    echo "no source of apt has valkey-server" >&2
    exit 1
  fi
  key=/usr/share/keyrings/debian-archive-keyring.gpg
  echo "deb [signed-by=$key] http://deb.debian.org/debian bookworm-backports main" \
    > /etc/apt/sources.list.d/bookworm-backports-valkey.list
  apt-get --quiet --yes update
fi

# With this file the package's installation does not start the service; a policy that is there already decides itself.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod 755 "$policy"
fi
apt-get --quiet --yes install --no-install-recommends valkey-server
if command -v systemctl > /dev/null; then
  systemctl disable --now --quiet valkey-server || true
fi
