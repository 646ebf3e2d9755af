#!/bin/sh
# Boots a real systemd, with only our units, in its own namespaces on a throw-away copy of this machine's
# file system, and runs a scenario. Run as root: unshare --mount --pid --fork --kill-child --cgroup --uts --ipc --net
# boot.sh SCENARIO STAGE RESULT; SCENARIO is a script in this folder, such as install.sh, STAGE a folder copied over
# the root, RESULT a folder for the scenario's output.
set -eu
PATH=$PATH:/usr/sbin:/sbin
scenario=$1 stage=$(realpath "$2") result=$(realpath "$3") here=$(dirname "$(realpath "$0")")

mount --make-rprivate /
# Everything below affects only the new root; writes go to memory.
work=$result/work
mkdir "$work"
mount -t tmpfs tmpfs "$work"
mkdir "$work/upper" "$work/index" "$work/root"
root=$work/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/index" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 none "$root/sys/fs/cgroup"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"

rm -rf "$root/var/lib/flaskpaste" "$root/var/lib/private" "$root/etc/flaskpaste.env"
# Container images forbid packages to start services.
rm -f "$root/usr/sbin/policy-rc.d"
# No units of other packages.
mount -t tmpfs -o mode=755 tmpfs "$root/usr/lib/systemd/system"
cp -r "$stage/." "$root/"
mkdir "$root/test-units" "$root/result"
mount --bind "$result" "$root/result"
cp "$here/common.sh" "$here/$scenario" "$here/../../docs/tls.md" "$root/test-units/"
for target in sysinit basic sockets multi-user shutdown network network-online; do
    printf '[Unit]\nDescription=%s\nDefaultDependencies=no\n' "$target" > "$root/test-units/$target.target"
done
cat > "$root/test-units/scenario.service" <<UNIT
[Service]
Type=oneshot
ExecStart=/bin/sh /test-units/$scenario
StandardOutput=file:/result/output
StandardError=inherit
ExecStopPost=systemctl exit 0 --force --force
UNIT

cd "$root"
mkdir -p test-units/old
pivot_root . test-units/old
umount -l /test-units/old
export container=other SYSTEMD_UNIT_PATH=/test-units:/etc/systemd/system:/usr/local/lib/systemd/system:/usr/lib/systemd/system PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
exec /lib/systemd/systemd --system --unit=scenario.service --show-status=0
