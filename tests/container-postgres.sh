#!/bin/sh
# Builds the container image for PostgreSQL with buildah, in a folder of its own, and runs it on a database it reaches by a Unix
# socket. Run as root in a network namespace: unshare --net container-postgres.sh FOLDER SOCKETS URL, where SOCKETS is the
# folder that URL has as /sockets. Ends with the word "passed".
set -eu
PATH=$PATH:/usr/sbin:/sbin
store=$1 sockets=$2 url=$3
buildah="buildah --storage-driver vfs --root $store/root --runroot $store/run"
. tests/container-common.sh
ip link set lo up

# What is static counts as made: the caller has seen to it.
make --silent -o static -o static-postgres container-postgres CONTAINER="$buildah bud --isolation chroot --format docker"

container=$($buildah from flaskpaste-postgres)
run="$buildah run --isolation chroot -v $sockets:/sockets -e FLASKPASTE_DB=$url $container -- /flaskpaste-postgres"
# Without a database it is refused, and begins none of its own.
$buildah run --isolation chroot "$container" -- /flaskpaste-postgres 2> "$store/log" && fail "it starts without a database"
grep -q FLASKPASTE_DB "$store/log" || fail "it does not say what is missing"
$run 2> "$store/log" &
wait_until_healthy
expect_to_keep target/container-postgres/fpaste
expect_confined_and_stop flaskpaste-post
echo passed
