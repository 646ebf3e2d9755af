# Shared by the tests of both container images, which source this file with a folder in $store.

fail() { echo "FAILED: $*"; exit 1; }

# Waits until the server in the container is healthy.
wait_until_healthy() {
    tries=300
    until curl -sS --fail http://127.0.0.1:5000/health > /dev/null 2>&1; do
        tries=$((tries - 1))
        test $tries -gt 0 || { cat "$store/log"; fail "the server did not become healthy"; }
        sleep 0.1
    done
}

# A paste round-trips with this fpaste.
expect_to_keep() {
    link=$(echo kept | HOME=$store "$1" -s http://127.0.0.1:5000)
    test "$(HOME=$store "$1" get "$link")" = kept || fail "the paste was changed"
}

# The process of this name has no privileges and no shared libraries, and stops cleanly.
expect_confined_and_stop() {
    server=$(pgrep -x "$1")
    for uid in $(sed -n 's/^Uid:[[:space:]]*//p' "/proc/$server/status"); do test "$uid" = 65532 || fail "the server runs as UID $uid"; done
    test "$(grep -c '\.so' "/proc/$server/maps")" = 0 || fail "the server has loaded shared libraries"
    kill -TERM "$server"
    wait
    grep -q stopping "$store/log" || { cat "$store/log"; fail "the server did not stop cleanly"; }
}
