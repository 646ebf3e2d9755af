#!/bin/sh
# The documented installation and administration, under a real systemd (boot.sh). Ends with the word "passed".
. /test-units/common.sh
database=/var/lib/flaskpaste/pastes.db
systemctl start flaskpaste.socket

step "the first connection starts the server"
test "$(systemctl is-active flaskpaste.socket)" = active
refused systemctl is-active --quiet flaskpaste.service
get /health | grep -q healthy
await systemctl is-active --quiet flaskpaste.service
property StatusText | grep -q 'listening on http://127.0.0.1:5000'

step "the service has no privileges, no network and no access to other files"
pid=$(property MainPID)
status() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$pid/status"; }
for uid in $(status Uid); do test "$uid" -gt 60000 || fail "the server runs as UID $uid"; done
for set in CapInh CapPrm CapEff CapBnd CapAmb; do test "$(status $set)" = 0000000000000000 || fail "$set"; done
test "$(status Seccomp)" = 2
test "$(status NoNewPrivs)" = 1
test "$(grep -c : "/proc/$pid/net/dev")" = 1 || fail "the server has network devices"
test "$(stat -Lc %a /var/lib/flaskpaste)" = 700
test "$(stat -c %a $database)" = 600

step "pastes can be created, read and burned; the server serves the client"
head -c 3000000 /dev/urandom > /tmp/large
large=$(fpaste /tmp/large)
fpaste get -o - "$large" | cmp - /tmp/large
burn=$(echo secret | fpaste -b)
test "$(fpaste get "$burn")" = secret
refused fpaste get "$burn"
hushed=$(echo hushed | FPASTE_PASSWORD=word fpaste -p)
FPASTE_PASSWORD=wrong refused fpaste get -p "$hushed"
test "$(FPASTE_PASSWORD=word fpaste get -p "$hushed")" = hushed
get /client | cmp - /usr/local/bin/fpaste
kept=$(echo kept | fpaste)

step "a restart refuses no connection"
restart_thrice() {
    for round in 1 2 3; do
        before=$(property MainPID)
        systemctl restart flaskpaste.service
        has_restarted "$before" || fail "round $round: not restarted"
    done
}
without_refusal restart_thrice
test "$(fpaste get "$kept")" = kept

step "a killed server is restarted without data loss"
pid=$(property MainPID)
kill -9 "$pid"
await has_restarted "$pid"
test "$(fpaste get "$kept")" = kept

step "a hanging server is restarted"
mkdir -p /etc/systemd/system/flaskpaste.service.d
printf '[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\n' > /etc/systemd/system/flaskpaste.service.d/test.conf
systemctl daemon-reload
systemctl restart flaskpaste.service
pid=$(property MainPID)
kill -STOP "$pid"
await has_restarted "$pid"
test "$(fpaste get "$kept")" = kept

step "settings are read from /etc/flaskpaste.env"
refused get /metrics
cp /usr/local/share/doc/flaskpaste/flaskpaste.env /etc/flaskpaste.env
echo FLASKPASTE_METRICS=1 >> /etc/flaskpaste.env
systemctl restart flaskpaste.service
get /metrics | grep -q '^flaskpaste_pastes '

step "the documented commands work while the server runs"
export FLASKPASTE_DB=$database
flaskpaste stats | grep -q '^pastes'
flaskpaste purge
flaskpaste backup /root/pastes.db
flaskpaste health
fpaste delete "$kept"
refused fpaste get "$kept"

step "a backup can be restored as documented"
systemctl stop flaskpaste.socket flaskpaste.service
test "$(property Result) $(property ExecMainStatus)" = "success 0" || fail "the server did not stop cleanly"
cd /var/lib/flaskpaste
rm -f pastes.db-wal pastes.db-shm
cp /root/pastes.db pastes.db
chown --reference=. pastes.db
systemctl start flaskpaste.socket flaskpaste.service
test "$(fpaste get "$kept")" = kept
echo more | fpaste > /dev/null

step "a command while the server is stopped does not prevent its start"
systemctl stop flaskpaste.socket flaskpaste.service
flaskpaste stats > /dev/null
test "$(find . -user root ! -name . | wc -l)" = 0 || fail "files owned by root are left"
systemctl start flaskpaste.socket

step "a Unix socket for the proxy's group works instead"
systemctl stop flaskpaste.socket flaskpaste.service
mkdir -p /etc/systemd/system/flaskpaste.socket.d
printf '[Socket]\nListenStream=\nListenStream=/run/flaskpaste/socket\nSocketGroup=www-data\n' > /etc/systemd/system/flaskpaste.socket.d/test.conf
systemctl daemon-reload
systemctl start flaskpaste.socket
curl -sS --fail --max-time 30 --unix-socket /run/flaskpaste/socket http://localhost/health | grep -q healthy
FLASKPASTE_BIND=unix:/run/flaskpaste/socket flaskpaste health
test "$(stat -c "%a %U %G" /run/flaskpaste/socket)" = "660 root www-data"
echo passed
