#!/bin/sh
# docs/tls.md as written, under a real dpkg, systemd and Caddy (boot.sh): its lines with "# " run on the server, those
# with "$ " on another machine, a network namespace. It also has a CA under the name of Let's Encrypt, which
# checks over HTTP that the name points to the server, as the real one does. Ends with the word "passed".
. /test-units/common.sh
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
page=/test-units/tls.md
# The commands of a section, by their prompt.
commands() { sed -n "/^## $1/,/^## /s/^$2 //p" $page; }

step "set up a network with the server, a CA and a client"
ip link set lo up
ip netns add internet
ip link add server type veth peer name internet netns internet
ip address add 192.0.2.1/24 dev server
ip link set server up
ip -n internet address add 192.0.2.2/24 dev internet
ip -n internet link set internet up
ip -n internet link set lo up
printf '127.0.0.1 localhost\n192.0.2.1 paste.example.org\n192.0.2.2 acme-v02.api.letsencrypt.org\n' > /etc/hosts
mkdir /tmp/authority
cat > /tmp/authority/Caddyfile <<'END'
{
	admin off
	skip_install_trust
	storage file_system /tmp/authority
}
https://acme-v02.api.letsencrypt.org {
	tls internal
	rewrite /directory /acme/local/directory
	acme_server
}
END
XDG_DATA_HOME=/tmp/authority ip netns exec internet caddy run --config /tmp/authority/Caddyfile > /result/authority 2>&1 &
root=/tmp/authority/pki/authorities/local/root.crt
await test -s $root
cat $root >> /etc/ssl/certs/ca-certificates.crt
await ip netns exec internet curl -sS --fail --output /dev/null https://acme-v02.api.letsencrypt.org/directory

# There is no journal here.
mkdir -p /etc/systemd/system/flaskpaste.service.d
printf '[Service]\nStandardError=append:/result/log\n' > /etc/systemd/system/flaskpaste.service.d/log.conf

step "the commands of the page work"
cd /packages
started=$(date +%s)
for section in 1 2 3; do
    test -n "$(commands $section '#')" || fail "section $section has no commands"
    commands $section '#' >> /tmp/server.sh
done
# apt asks for confirmation.
yes 2>/dev/null | sh -eux /tmp/server.sh > /result/server 2>&1 || fail "$(tail -5 /result/server)"
is_public() { ip netns exec internet curl -sS --fail --max-time 5 https://paste.example.org/health 2>/dev/null | grep -q healthy; }
await is_public
echo "  from nothing to TLS in $(($(date +%s) - started)) s"

step "another machine reads and writes"
test "$(commands 4 '\$' | grep -c fpaste)" -ge 3
# With an empty home, and the output where the test can read it.
( commands 4 '\$'; echo 'fpaste list' ) > /tmp/client.sh
unset FLASKPASTE_SERVER
HOME=/tmp/home ip netns exec internet sh -eu /tmp/client.sh > /tmp/told 2>&1 || fail "$(cat /tmp/told)"
grep -q '^https://paste.example.org/[0-9a-f]*#' /tmp/told || fail "no link in the output: $(cat /tmp/told)"
link=$(grep -o '^https://paste.example.org/[^ ]*' /tmp/told | head -1)
test "$(HOME=/tmp/home ip netns exec internet fpaste get "$link")" = hello

step "only the proxy is trusted"
ip netns exec internet curl -sS --fail https://paste.example.org/ | grep -q '"authenticated": *false'
ip netns exec internet curl -sS -H "X-SSL-Client-SHA1: 00112233445566778899aabbccddeeff00112233" https://paste.example.org/ |
    grep -q '"authenticated": *false'
secret=$(sed -n 's/^FLASKPASTE_PROXY_SECRET=//p' /etc/flaskpaste.env)
test "$(stat -c '%a %U' /etc/caddy/flaskpaste.env)" = "600 root"
if curl -s --max-time 5 --output /dev/null http://localhost:2019/config/; then fail "any user of the machine can ask Caddy for the secret"; fi
for file in /etc/caddy/Caddyfile /result/server; do ! grep -q "$secret" $file || fail "the secret is in $file"; done
# The server takes the client's address from the proxy that knows the secret.
ip netns exec internet curl -sS --output /dev/null https://paste.example.org/00000000
await grep -q '"client":"192.0.2.2"' /result/log

step "a backup is made"
commands 5 '#' > /tmp/keep.sh
sh -eu /tmp/keep.sh > /dev/null
test -s /var/lib/flaskpaste/pastes.db.pepper
test -s /root/pastes.db
echo passed
