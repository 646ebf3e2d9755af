#!/bin/sh
# Boots a real systemd, with nothing but our units, in namespaces of its own over a throw-away copy of this machine's
# file system, and runs scenario.sh in it. Run as root: unshare --mount --pid --fork --kill-child --cgroup --uts --ipc --net
# boot.sh STAGE RESULT; STAGE is what `make install DESTDIR=STAGE` made, RESULT a folder for what the scenario prints.
set -eu
PATH=$PATH:/usr/sbin:/sbin
stage=$(realpath "$1") result=$(realpath "$2") here=$(dirname "$(realpath "$0")")

mount --make-rprivate /
# Everything below is for the new root alone; writes end in memory.
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
cp -r "$stage/." "$root/"
mkdir "$root/test-units" "$root/result"
mount --bind "$result" "$root/result"
cp "$here/scenario.sh" "$root/test-units/"
for target in sysinit basic sockets multi-user shutdown; do
    printf '[Unit]\nDescription=%s\nDefaultDependencies=no\n' "$target" > "$root/test-units/$target.target"
done
cat > "$root/test-units/scenario.service" <<'UNIT'
[Unit]
Wants=flaskpaste.socket
After=flaskpaste.socket
[Service]
Type=oneshot
ExecStart=/bin/sh /test-units/scenario.sh
StandardOutput=file:/result/output
StandardError=inherit
ExecStopPost=systemctl exit 0 --force --force
UNIT

cd "$root"
mkdir -p test-units/old
pivot_root . test-units/old
umount -l /test-units/old
export container=other SYSTEMD_UNIT_PATH=/test-units:/etc/systemd/system:/usr/local/lib/systemd/system PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
exec /lib/systemd/systemd --system --unit=scenario.service --show-status=0
