#!/bin/sh
# Makes certificates for a TLS server of tests, with openssl, in a folder:
#   sh certificates.sh FOLDER NAME...
# ca.pem signs server.pem, which is valid for the hosts NAME only, and client.pem; stranger.pem is another authority.
# Each has its private key beside it (.key). They are valid for two days; expired-server.pem and expired-client.pem, for
# the same keys, are not any more.
set -eu
cd "$1"
shift
key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout"
for name in ca stranger; do
  openssl req -x509 $key "$name.key" -out "$name.pem" -days 2 -subj "/CN=$name"
done
printf '[client]\nextendedKeyUsage=clientAuth\n[server]\nsubjectAltName=' > extensions
printf 'DNS:%s,' "$@" | sed 's/,$//' >> extensions
for name in server client; do
  openssl req $key "$name.key" -out "$name.csr" -subj "/CN=$name"
  for days in 2 -1; do
    case $days in 2) file=$name ;; *) file=expired-$name ;; esac
    openssl x509 -req -in "$name.csr" -out "$file.pem" -CA ca.pem -CAkey ca.key -CAcreateserial -days "$days" \
      -extfile extensions -extensions "$name"
  done
done
