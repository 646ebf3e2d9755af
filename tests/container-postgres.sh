#!/bin/sh
# Builds the container image for PostgreSQL with buildah, in a folder of its own, and runs it on a database it reaches by a Unix
# socket. Run as root in a network namespace: unshare --net container-postgres.sh FOLDER SOCKETS URL, where SOCKETS is the
# folder that URL has as /sockets. Ends with the word "passed".
set -eu
PATH=$PATH:/usr/sbin:/sbin
store=$1 sockets=$2 url=$3
buildah="buildah --storage-driver vfs --root $store/root --runroot $store/run"
fail() { echo "FAILED: $*"; exit 1; }
ip link set lo up

# What is static counts as made: the caller has seen to it.
make --silent -o static -o static-postgres container-postgres CONTAINER="$buildah bud --isolation chroot --format docker"

container=$($buildah from flaskpaste-postgres)
run="$buildah run --isolation chroot -v $sockets:/sockets -e FLASKPASTE_DB=$url $container -- /flaskpaste-postgres"
# Without a database it is refused, and begins none of its own.
$buildah run --isolation chroot "$container" -- /flaskpaste-postgres 2> "$store/log" && fail "it starts without a database"
grep -q FLASKPASTE_DB "$store/log" || fail "it does not say what is missing"
$run 2> "$store/log" &
tries=300
until curl -sS --fail http://127.0.0.1:5000/health > /dev/null 2>&1; do
    tries=$((tries - 1))
    test $tries -gt 0 || { cat "$store/log"; fail "it does not become healthy"; }
    sleep 0.1
done
link=$(echo kept | HOME=$store target/container-postgres/fpaste -s http://127.0.0.1:5000)
test "$(HOME=$store target/container-postgres/fpaste get "$link")" = kept
server=$(pgrep -x flaskpaste-post)
for uid in $(sed -n 's/^Uid:[[:space:]]*//p' "/proc/$server/status"); do test "$uid" = 65532 || fail "it runs as $uid"; done
test "$(grep -c '\.so' "/proc/$server/maps")" = 0 || fail "it has loaded libraries"
kill -TERM "$server"
wait
grep -q stopping "$store/log"
echo passed
