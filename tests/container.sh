#!/bin/sh
# Builds the container image with buildah, in a folder of its own, runs it and looks at it from inside and outside.
# Run as root in a network namespace: unshare --net container.sh FOLDER. Ends with the word "passed".
set -eu
PATH=$PATH:/usr/sbin:/sbin
store=$1
buildah="buildah --storage-driver vfs --root $store/root --runroot $store/run"
. tests/container-common.sh
ip link set lo up

# `static` counts as made: the caller has seen to it.
make --silent -o static container CONTAINER="$buildah bud --isolation chroot --format docker"
$buildah inspect --type image --format '{{.Docker.Config.Healthcheck.Test}} {{.Docker.Config.User}} {{.Docker.Config.Volumes}}' flaskpaste \
    | grep -qF '[CMD /flaskpaste health] 65532:65532 map[/data:{}]' || fail "the image is not what the Containerfile says"

container=$($buildah from flaskpaste)
$buildah run --isolation chroot "$container" -- /flaskpaste 2> "$store/log" &
ask() { $buildah run --isolation chroot "$container" -- /flaskpaste "$@"; }
# From outside first: two runs that begin at once stand in each other's way.
wait_until_healthy
ask health > /dev/null || fail "it is not healthy from inside"
curl -sS --fail http://127.0.0.1:5000/client | cmp - target/container/fpaste
expect_to_keep target/container/fpaste
ask stats | grep -q '^pastes  *1$'
ask backup /data/backup.db
expect_confined_and_stop flaskpaste
echo passed
