#!/bin/sh
# boot.sh ROOT: Debian's own systemd as process 1 of new namespaces, with the folder ROOT as its whole file system and
# without a network. It ends when this process is killed.
set -eu
if [ "${2-}" != inside ]; then
    # A control group of its own in each hierarchy: it takes it for the top and touches nothing of this machine.
    for hierarchy in $(awk '$3 ~ /^cgroup/ {print $2}' /proc/mounts); do
        mkdir -p "$hierarchy/posdiag-test"
        echo $$ >"$hierarchy/posdiag-test/cgroup.procs" || true # not every hierarchy takes processes
    done
    exec unshare --mount --pid --fork --uts --ipc --net --cgroup --kill-child sh "$0" "$1" inside
fi
root=$1
mount --make-rprivate /
mount --bind "$root" "$root" # only a mount can become the root; without that there are no user namespaces inside
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
for node in null zero full random urandom tty; do
    cp -a "/dev/$node" "$root/dev/$node"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
cd "$root"
mkdir -p old
pivot_root . old
umount -l /old
exec env -i container=posdiag PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=multi-user.target </dev/null >/dev/null 2>&1
