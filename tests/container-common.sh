# What the tests of both container images share; they read this file in a folder $store.

fail() { echo "FAILED: $*"; exit 1; }

# Waits until the server in the container answers.
wait_until_healthy() {
    tries=300
    until curl -sS --fail http://127.0.0.1:5000/health > /dev/null 2>&1; do
        tries=$((tries - 1))
        test $tries -gt 0 || { cat "$store/log"; fail "it does not become healthy"; }
        sleep 0.1
    done
}

# A paste goes in and comes out again, by this fpaste.
expect_to_keep() {
    link=$(echo kept | HOME=$store "$1" -s http://127.0.0.1:5000)
    test "$(HOME=$store "$1" get "$link")" = kept || fail "the paste is not what went in"
}

# The process of this name has neither privileges nor libraries, and stops in order.
expect_confined_and_stop() {
    server=$(pgrep -x "$1")
    for uid in $(sed -n 's/^Uid:[[:space:]]*//p' "/proc/$server/status"); do test "$uid" = 65532 || fail "it runs as $uid"; done
    test "$(grep -c '\.so' "/proc/$server/maps")" = 0 || fail "it has loaded libraries"
    kill -TERM "$server"
    wait
    grep -q stopping "$store/log" || { cat "$store/log"; fail "it did not stop in order"; }
}
