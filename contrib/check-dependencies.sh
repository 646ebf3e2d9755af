#!/bin/sh
# Fails if a server links a crate that is not on its list. The lists cover the whole tree, so that every new crate, however
# deep, is a decision recorded here. The plain server has none of the PostgreSQL crates.
set -eu

plain='aead
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

# Additional crates of flaskpaste-postgres: the protocol client, the parts of tokio it needs, and TLS.
postgres='async-trait
aws-lc-rs
aws-lc-sys
byteorder
bytes
chacha20
der
der_derive
flagset
futures-channel
futures-core
futures-sink
futures-task
futures-util
lock_api
log
md-5
mio
once_cell
openssl-probe
parking_lot
parking_lot_core
percent-encoding
phf
phf_shared
pin-project-lite
postgres-protocol
postgres-types
proc-macro2
quote
rand
rand_core
rustls
rustls-native-certs
rustls-pki-types
rustls-webpki
scopeguard
siphasher
socket2
spki
stringprep
subtle
syn
tinyvec
tokio
tokio-postgres
tokio-postgres-rustls
tokio-rustls
tokio-util
unicode-bidi
unicode-ident
unicode-normalization
unicode-properties
untrusted
whoami
x509-cert'

# Compares a server's crates, with these cargo options, with a list.
check() {
    program=$1 allowed=$2
    shift 2
    found=$(cargo tree --locked --edges normal --prefix none --format '{p}' "$@" | awk '{ print $1 }' | sort -u)
    unknown=$(printf '%s\n' "$found" | grep -vxF "$allowed" || true)
    if [ -n "$unknown" ]; then
        echo "crates in $program that contrib/check-dependencies.sh does not list:" >&2
        echo "$unknown" >&2
        exit 1
    fi
}

check flaskpaste "$plain"
check flaskpaste-postgres "$plain
$postgres" --no-default-features --features postgres
