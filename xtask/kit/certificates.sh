#!/bin/sh
# Makes certificates for a TLS server of tests, with openssl, in a folder:
#   sh certificates.sh FOLDER NAME
# ca.pem signs server.pem, which is valid for the host NAME only, and client.pem; stranger.pem is another authority.
# Each has its private key beside it (.key). They are valid for two days.
set -eu
cd "$1"
key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout"
for name in ca stranger; do
  openssl req -x509 $key "$name.key" -out "$name.pem" -days 2 -subj "/CN=$name"
done
printf '[server]\nsubjectAltName=DNS:%s\n[client]\nextendedKeyUsage=clientAuth\n' "$2" > extensions
for name in server client; do
  openssl req $key "$name.key" -out "$name.csr" -subj "/CN=$name"
  openssl x509 -req -in "$name.csr" -out "$name.pem" -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
    -extfile extensions -extensions "$name"
done
