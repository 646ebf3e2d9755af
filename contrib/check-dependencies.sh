#!/bin/sh
# Fails when a crate is linked into the server that is not on the list. The list is the whole tree, so that a new
# name, be it deep below, is a decision somebody made and wrote down here.
set -eu

allowed='aead
aes
aes-gcm
ascii
base64
bitflags
block-buffer
cfg-if
chunked_transfer
cipher
cmov
const-oid
cpubits
cpufeatures
crypto-common
ctr
ctutils
digest
fallible-iterator
fallible-streaming-iterator
flaskpaste
foldhash
getrandom
ghash
hashbrown
hashlink
hmac
httpdate
hybrid-array
inout
itoa
lexopt
libc
libsqlite3-sys
memchr
pbkdf2
polyval
rusqlite
serde_core
serde_json
sha2
smallvec
tiny_http_fork
typenum
unicase
universal-hash
zeroize
zmij'

found=$(cargo tree --locked --edges normal --prefix none --format '{p}' | awk '{ print $1 }' | sort -u)
unknown=$(printf '%s\n' "$found" | grep -vxF "$allowed" || true)
if [ -n "$unknown" ]; then
    echo "crates in the server that contrib/check-dependencies.sh does not list:" >&2
    echo "$unknown" >&2
    exit 1
fi
