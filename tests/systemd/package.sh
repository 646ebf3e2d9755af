#!/bin/sh
# The life of the Debian packages under a real dpkg and systemd (boot.sh): installed, upgraded, removed, installed again, purged.
# /packages/old and /packages/new hold two versions of both. Ends with the word "passed".
. /test-units/common.sh
settings=/etc/flaskpaste.env
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
secret() { sed -n 's/^FLASKPASTE_PROXY_SECRET=//p' $settings; }
version() { dpkg-query --show --showformat '${Version}' flaskpaste; }
# All there is in the places where packages and services put things, but for what dpkg itself and the man pages' index keep.
everything() {
    find /etc /usr/bin /usr/lib /usr/share /var/lib /var/cache -xdev ! -path '/var/lib/dpkg/*' ! -path '/var/cache/man/*' ! -path /var/lib/private | sort
}
everything > /tmp/before

step "installed, it runs, with a secret of its own"
dpkg --install /packages/old/*.deb
for unit in flaskpaste.socket flaskpaste.service; do
    systemctl is-active --quiet $unit || fail "$unit is not active"
    systemctl is-enabled --quiet $unit || fail "$unit is not enabled"
done
test "$(property ExecStart | grep -o 'path=[^ ]*')" = path=/usr/bin/flaskpaste
test "$(stat -c '%a %U' $settings)" = "600 root"
secret | grep -qxE '[0-9a-f]{64}' || fail "no secret was made"
grep -qx FLASKPASTE_MAX_DB_SIZE=10000000000 $settings
get /health | grep -q healthy
get /client | cmp - /usr/bin/fpaste
FLASKPASTE_DB=/var/lib/flaskpaste/pastes.db flaskpaste stats | grep -q '^pastes'
kept=$(echo kept | fpaste)
test "$(fpaste get "$kept")" = kept
# Anybody may send the header of a client's certificate; only the proxy, which has the secret, is believed.
authenticated() { curl -sS --fail -H "X-SSL-Client-SHA1: 00112233445566778899aabbccddeeff00112233" "$@" "$FLASKPASTE_SERVER/" | grep -c '"authenticated": *true' || true; }
test "$(authenticated) $(authenticated -H "X-Proxy-Secret: $(secret)")" = "0 1" || fail "the secret is not in force"

step "an upgrade keeps pastes and edited settings, and refuses no connection"
echo FLASKPASTE_METRICS=1 >> $settings
cp $settings /tmp/edited
before=$(property MainPID) socket_since=$(systemctl show flaskpaste.socket --property=ActiveEnterTimestampMonotonic)
old=$(version)
without_refusal dpkg --install /packages/new/*.deb
dpkg --compare-versions "$(version)" gt "$old" || fail "this was no upgrade: $(version) after $old"
is_running_anew "$before" || fail "the old server still runs"
test "$(systemctl show flaskpaste.socket --property=ActiveEnterTimestampMonotonic)" = "$socket_since" || fail "the socket was closed"
test "$(fpaste get "$kept")" = kept
cmp /tmp/edited $settings
get /metrics | grep -q '^flaskpaste_pastes '

step "the maintainer scripts may run twice"
for time in first second; do
    DPKG_MAINTSCRIPT_PACKAGE=flaskpaste /var/lib/dpkg/info/flaskpaste.postinst configure "$(version)" || fail "the $time time"
done
cmp /tmp/edited $settings
test "$(fpaste get "$kept")" = kept

step "a unit that was disabled stays disabled, and stopped"
systemctl disable --now flaskpaste.socket flaskpaste.service
dpkg --install /packages/new/*.deb
for unit in flaskpaste.socket flaskpaste.service; do
    refused systemctl is-enabled $unit
    refused systemctl is-active $unit
done
systemctl enable --now flaskpaste.socket flaskpaste.service
test "$(fpaste get "$kept")" = kept

step "removed, it is stopped; settings and pastes stay"
dpkg --remove flaskpaste
refused get /health
refused systemctl is-active flaskpaste.service
refused systemctl cat flaskpaste.service
cmp /tmp/edited $settings
test -s /var/lib/flaskpaste/pastes.db
test -s /var/lib/flaskpaste/pastes.db.pepper

step "installed again, it has them"
dpkg --install /packages/new/flaskpaste_*.deb
test "$(fpaste get "$kept")" = kept
cmp /tmp/edited $settings

step "settings that were deleted stay deleted"
rm $settings
dpkg --install /packages/new/flaskpaste_*.deb
test ! -e $settings
test "$(fpaste get "$kept")" = kept
cp /tmp/edited $settings

step "a server that cannot start is said, and leaves no broken package"
systemctl stop flaskpaste.socket flaskpaste.service
echo FLASKPASTE_THREADS=none >> $settings
dpkg --install /packages/new/flaskpaste_*.deb > /tmp/told 2>&1 || fail "the package is broken: $(cat /tmp/told)"
grep -q 'flaskpaste is not running' /tmp/told || fail "nothing was said: $(cat /tmp/told)"

step "purged, nothing is left"
dpkg --purge flaskpaste fpaste
refused get /health
everything > /tmp/after
diff /tmp/before /tmp/after || fail "something is left, or was taken away"
refused systemctl cat flaskpaste.service
echo passed
