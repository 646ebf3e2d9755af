#!/bin/sh
# Builds the container image with buildah, in its own folder, runs it and checks it from inside and outside.
# Run as root in a network namespace: unshare --net container.sh FOLDER [ARCH]. With ARCH, another architecture whose
# static programs are built, its image is checked, too. Ends with the word "passed".
set -eu
PATH=$PATH:/usr/sbin:/sbin
store=$1 other=${2:-}
buildah="buildah --storage-driver vfs --root $store/root --runroot $store/run"
. tests/container-common.sh
ip link set lo up

# `static` counts as built: the caller has built it.
build() { make --silent -o static container CONTAINER="$buildah bud --isolation chroot --format docker" "$@"; }
build
$buildah inspect --type image --format '{{.Docker.Config.Healthcheck.Test}} {{.Docker.Config.User}} {{.Docker.Config.Volumes}}' flaskpaste \
    | grep -qF '[CMD /flaskpaste health] 65532:65532 map[/data:{}]' || fail "the image does not match the Containerfile"

container=$($buildah from flaskpaste)
$buildah run --isolation chroot "$container" -- /flaskpaste 2> "$store/log" &
ask() { $buildah run --isolation chroot "$container" -- /flaskpaste "$@"; }
# From outside first: two runs started at the same time conflict.
wait_until_healthy
ask health > /dev/null || fail "flaskpaste health failed inside the container"
curl -sS --fail http://127.0.0.1:5000/client | cmp - target/container/fpaste
expect_to_keep target/container/fpaste
ask stats | grep -q '^pastes  *1$' || fail "stats does not show one paste"
ask backup /data/backup.db
expect_confined_and_stop flaskpaste

if [ -n "$other" ]; then
    case $other in x86_64) tag=amd64 ;; aarch64) tag=arm64 ;; esac
    build ARCH="$other"
    test "$($buildah inspect --type image --format '{{.OCIv1.Architecture}}' flaskpaste:$tag)" = $tag || fail "the image is not for $tag"
    # Run from outside: the image has no emulator.
    image=$($buildah mount "$($buildah from --arch $tag --pull-never flaskpaste:$tag)")
    for program in flaskpaste fpaste; do
        "qemu-$other-static" "$image/$program" --version | grep -q "^$program " || fail "$program does not run"
    done
fi
echo passed
