#!/bin/sh
# The Debian packages under a real dpkg and systemd (boot.sh): install, upgrade, remove, reinstall, purge.
# /packages/old and /packages/new hold two versions of both. Ends with the word "passed".
. /test-units/common.sh
settings=/etc/flaskpaste.env
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
secret() { sed -n 's/^FLASKPASTE_PROXY_SECRET=//p' $settings; }
version() { dpkg-query --show --showformat '${Version}' flaskpaste; }
# All files where packages and services put theirs, except those of dpkg itself and the man page index.
everything() {
    find /etc /usr/bin /usr/lib /usr/share /var/lib /var/cache -xdev ! -path '/var/lib/dpkg/*' ! -path '/var/cache/man/*' ! -path /var/lib/private | sort
}
everything > /tmp/before

step "an installed server runs, with a generated secret"
dpkg --install /packages/old/*.deb
for unit in flaskpaste.socket flaskpaste.service; do
    systemctl is-active --quiet $unit || fail "$unit is not active"
    systemctl is-enabled --quiet $unit || fail "$unit is not enabled"
done
test "$(property ExecStart | grep -o 'path=[^ ]*')" = path=/usr/bin/flaskpaste
test "$(stat -c '%a %U' $settings)" = "600 root"
secret | grep -qxE '[0-9a-f]{64}' || fail "no secret was generated"
grep -qx FLASKPASTE_MAX_DB_SIZE=10000000000 $settings
get /health | grep -q healthy
get /client | cmp - /usr/bin/fpaste
FLASKPASTE_DB=/var/lib/flaskpaste/pastes.db flaskpaste stats | grep -q '^pastes'
kept=$(echo kept | fpaste)
test "$(fpaste get "$kept")" = kept
# Anyone can send the header of a client certificate; only the proxy, which has the secret, is trusted.
authenticated() { curl -sS --fail -H "X-SSL-Client-SHA1: 00112233445566778899aabbccddeeff00112233" "$@" "$FLASKPASTE_SERVER/" | grep -c '"authenticated": *true' || true; }
test "$(authenticated) $(authenticated -H "X-Proxy-Secret: $(secret)")" = "0 1" || fail "the secret has no effect"

step "an upgrade keeps pastes and edited settings, and refuses no connection"
echo FLASKPASTE_METRICS=1 >> $settings
cp $settings /tmp/edited
before=$(property MainPID) socket_since=$(systemctl show flaskpaste.socket --property=ActiveEnterTimestampMonotonic)
old=$(version)
without_refusal dpkg --install /packages/new/*.deb
dpkg --compare-versions "$(version)" gt "$old" || fail "not an upgrade: $(version) after $old"
has_restarted "$before" || fail "the old server still runs"
test "$(systemctl show flaskpaste.socket --property=ActiveEnterTimestampMonotonic)" = "$socket_since" || fail "the socket was closed"
test "$(fpaste get "$kept")" = kept
cmp /tmp/edited $settings
get /metrics | grep -q '^flaskpaste_pastes '

step "the maintainer scripts can run twice"
for time in first second; do
    DPKG_MAINTSCRIPT_PACKAGE=flaskpaste /var/lib/dpkg/info/flaskpaste.postinst configure "$(version)" || fail "postinst failed the $time time"
done
cmp /tmp/edited $settings
test "$(fpaste get "$kept")" = kept

step "disabled units stay disabled and stopped"
systemctl disable --now flaskpaste.socket flaskpaste.service
dpkg --install /packages/new/*.deb
for unit in flaskpaste.socket flaskpaste.service; do
    refused systemctl is-enabled $unit
    refused systemctl is-active $unit
done
systemctl enable --now flaskpaste.socket flaskpaste.service
test "$(fpaste get "$kept")" = kept

step "remove stops the server and keeps settings and pastes"
dpkg --remove flaskpaste
refused get /health
refused systemctl is-active flaskpaste.service
refused systemctl cat flaskpaste.service
cmp /tmp/edited $settings
test -s /var/lib/flaskpaste/pastes.db
test -s /var/lib/flaskpaste/pastes.db.pepper

step "a reinstalled server has them again"
dpkg --install /packages/new/flaskpaste_*.deb
test "$(fpaste get "$kept")" = kept
cmp /tmp/edited $settings

step "deleted settings stay deleted"
rm $settings
dpkg --install /packages/new/flaskpaste_*.deb
test ! -e $settings
test "$(fpaste get "$kept")" = kept
cp /tmp/edited $settings

step "a server that cannot start is reported and leaves no broken package"
systemctl stop flaskpaste.socket flaskpaste.service
echo FLASKPASTE_THREADS=none >> $settings
dpkg --install /packages/new/flaskpaste_*.deb > /tmp/told 2>&1 || fail "the package is broken: $(cat /tmp/told)"
grep -q 'flaskpaste is not running' /tmp/told || fail "no message: $(cat /tmp/told)"

step "purge leaves nothing"
dpkg --purge flaskpaste fpaste
refused get /health
everything > /tmp/after
diff /tmp/before /tmp/after || fail "files are left or missing"
refused systemctl cat flaskpaste.service
echo passed
