#!/bin/sh
# What an administrator does in the first hour, under a real systemd (boot.sh). Ends with the word "passed".
. /test-units/common.sh
database=/var/lib/flaskpaste/pastes.db
systemctl start flaskpaste.socket

step "the first connection starts the server"
test "$(systemctl is-active flaskpaste.socket)" = active
refused systemctl is-active --quiet flaskpaste.service
get /health | grep -q healthy
await systemctl is-active --quiet flaskpaste.service
property StatusText | grep -q 'listening on http://127.0.0.1:5000'

step "it has no privileges, no network and no view of the rest"
pid=$(property MainPID)
status() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$pid/status"; }
for uid in $(status Uid); do test "$uid" -gt 60000 || fail "it runs as $uid"; done
for set in CapInh CapPrm CapEff CapBnd CapAmb; do test "$(status $set)" = 0000000000000000 || fail "$set"; done
test "$(status Seccomp)" = 2
test "$(status NoNewPrivs)" = 1
test "$(grep -c : "/proc/$pid/net/dev")" = 1 || fail "it has network devices"
test "$(stat -Lc %a /var/lib/flaskpaste)" = 700
test "$(stat -c %a $database)" = 600

step "pastes of all sizes, burned, deleted; the client from the server"
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
        is_running_anew "$before" || fail "round $round: not started anew"
    done
}
without_refusal restart_thrice
test "$(fpaste get "$kept")" = kept

step "killed, it comes back with everything"
pid=$(property MainPID)
kill -9 "$pid"
await is_running_anew "$pid"
test "$(fpaste get "$kept")" = kept

step "a server that hangs is started anew"
mkdir -p /etc/systemd/system/flaskpaste.service.d
printf '[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\n' > /etc/systemd/system/flaskpaste.service.d/test.conf
systemctl daemon-reload
systemctl restart flaskpaste.service
pid=$(property MainPID)
kill -STOP "$pid"
await is_running_anew "$pid"
test "$(fpaste get "$kept")" = kept

step "settings come from /etc/flaskpaste.env"
refused get /metrics
cp /usr/local/share/doc/flaskpaste/flaskpaste.env /etc/flaskpaste.env
echo FLASKPASTE_METRICS=1 >> /etc/flaskpaste.env
systemctl restart flaskpaste.service
get /metrics | grep -q '^flaskpaste_pastes '

step "chores beside it, as the manual has them"
export FLASKPASTE_DB=$database
flaskpaste stats | grep -q '^pastes'
flaskpaste purge
flaskpaste backup /root/pastes.db
flaskpaste health
fpaste delete "$kept"
refused fpaste get "$kept"

step "restoring a backup, as the manual has it"
systemctl stop flaskpaste.socket flaskpaste.service
test "$(property Result) $(property ExecMainStatus)" = "success 0" || fail "it did not end well"
cd /var/lib/flaskpaste
rm -f pastes.db-wal pastes.db-shm
cp /root/pastes.db pastes.db
chown --reference=. pastes.db
systemctl start flaskpaste.socket flaskpaste.service
test "$(fpaste get "$kept")" = kept
echo more | fpaste > /dev/null

step "a chore while it is stopped leaves nothing in its way"
systemctl stop flaskpaste.socket flaskpaste.service
flaskpaste stats > /dev/null
test "$(find . -user root ! -name . | wc -l)" = 0 || fail "files of root's are left"
systemctl start flaskpaste.socket

step "a Unix socket instead, for the group of the proxy"
systemctl stop flaskpaste.socket flaskpaste.service
mkdir -p /etc/systemd/system/flaskpaste.socket.d
printf '[Socket]\nListenStream=\nListenStream=/run/flaskpaste/socket\nSocketGroup=www-data\n' > /etc/systemd/system/flaskpaste.socket.d/test.conf
systemctl daemon-reload
systemctl start flaskpaste.socket
curl -sS --fail --max-time 30 --unix-socket /run/flaskpaste/socket http://localhost/health | grep -q healthy
FLASKPASTE_BIND=unix:/run/flaskpaste/socket flaskpaste health
test "$(stat -c "%a %U %G" /run/flaskpaste/socket)" = "660 root www-data"
echo passed
