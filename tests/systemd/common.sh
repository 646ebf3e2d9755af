# Shared by the scenarios: named steps, and helpers that wait and check.
set -eu
export HOME=/root FLASKPASTE_SERVER=http://127.0.0.1:5000
fail() { echo "FAILED: $*"; systemctl status flaskpaste.service --no-pager --lines=0 || true; exit 1; }
trap 'test $? = 0 || echo "FAILED in the step above"' EXIT
step() { echo "- $*"; }
property() { systemctl show flaskpaste.service --property="$1" --value; }
get() { curl -sS --fail --max-time 30 "$FLASKPASTE_SERVER$1"; }
await() { # until a command succeeds, for up to 30 s
    tries=300
    until "$@"; do tries=$((tries - 1)); test $tries -gt 0 || fail "timed out waiting for: $*"; sleep 0.1; done
}
refused() { if "$@" > /dev/null 2>&1; then fail "should have been refused: $*"; fi; }
has_restarted() { new=$(property MainPID) && test "$new" != 0 && test "$new" != "$1" && test "$(property SubState)" = running; }
asked_often() { test "$(wc -l < /tmp/asked)" -gt 10; }
# Connects repeatedly while a command runs; no connection may be refused.
without_refusal() {
    rm -f /tmp/over /tmp/refused /tmp/asked
    ( while ! test -e /tmp/over; do get /health > /dev/null || touch /tmp/refused; echo x >> /tmp/asked; done ) &
    "$@"
    # A restart may be over before the next connection.
    await asked_often
    touch /tmp/over
    wait
    test ! -e /tmp/refused || fail "a connection was refused"
}
