#!/bin/sh
# Builds the container image for PostgreSQL with buildah, in its own folder, and runs it on a database over a Unix
# socket. Run as root in a network namespace: unshare --net container-postgres.sh FOLDER SOCKETS URL, where SOCKETS is
# the folder that URL names as /sockets. Ends with the word "passed".
set -eu
PATH=$PATH:/usr/sbin:/sbin
store=$1 sockets=$2 url=$3
buildah="buildah --storage-driver vfs --root $store/root --runroot $store/run"
. tests/container-common.sh
ip link set lo up

# The static targets count as built: the caller has built them.
make --silent -o static -o static-postgres container-postgres CONTAINER="$buildah bud --isolation chroot --format docker"

container=$($buildah from flaskpaste-postgres)
run="$buildah run --isolation chroot -v $sockets:/sockets -e FLASKPASTE_DB=$url $container -- /flaskpaste-postgres"
# Without a database it refuses to start, and creates none.
$buildah run --isolation chroot "$container" -- /flaskpaste-postgres 2> "$store/log" && fail "the server started without a database"
grep -q FLASKPASTE_DB "$store/log" || fail "the error does not name FLASKPASTE_DB"
$run 2> "$store/log" &
wait_until_healthy
expect_to_keep target/container-postgres/fpaste
expect_confined_and_stop flaskpaste-post
echo passed
