#!/bin/sh
# Proves the README on a fresh machine: builds a clean Debian 12 tree, clones this checkout's HEAD into
# it, and runs `make demo` and `make test` there. Uses the apt sources, pip settings and certificates
# of this machine, and nothing else of it. Needs root; leaves nothing mounted.
#   scripts/clean-room.sh [DIRECTORY] [GOAL...]     default: build/clean-room demo test
set -eu
cd "$(dirname "$0")/.."
room=$(realpath -m "${1:-build/clean-room}")
[ $# -eq 0 ] || shift
goals=${*:-demo test}

die() {
    printf 'clean-room: error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || die "a clean room needs root" "sudo scripts/clean-room.sh"
command -v debootstrap >/dev/null || die "debootstrap is not installed" "make setup"

mirror=$(sed -n -e 's/^URIs:[[:space:]]*//p' -e 's/^deb[[:space:]]\{1,\}\(http[^[:space:]]*\).*/\1/p' \
    /etc/apt/sources.list /etc/apt/sources.list.d/*.sources 2>/dev/null | head -n 1)

if [ ! -e "$room/.complete" ]; then
    printf 'clean-room: building a Debian 12 tree in %s\n' "$room"
    rm -rf "$room"
    debootstrap --variant=minbase --include=ca-certificates,git,make,python3,python3-venv \
        bookworm "$room" "${mirror:-http://deb.debian.org/debian}" >"$room.log" 2>&1 ||
        die "debootstrap failed" "read $room.log"
    : >"$room/.complete"
fi

leave() {
    for pid in /proc/[0-9]*; do
        if [ "$(readlink "$pid/root" 2>/dev/null)" = "$room" ]; then
            kill -9 "${pid#/proc/}" 2>/dev/null || :
        fi
    done
    while mountpoint -q "$room"; do
        umount --recursive --lazy "$room"
    done
}
leave # what a run that was killed has left
trap leave EXIT
trap 'exit 130' INT TERM

# A mount of its own, for programs in it make mount namespaces, and / must then be a mount point.
mount --bind "$room" "$room"
mount --make-private "$room"
mount -t proc proc "$room/proc"
mount -t sysfs sysfs "$room/sys"
mount --rbind /dev "$room/dev"
mount --make-rslave "$room/dev"
cp /etc/resolv.conf "$room/etc/resolv.conf"
printf '127.0.0.1 localhost\n' >"$room/etc/hosts" # as Debian's installer does
cp /etc/ssl/certs/ca-certificates.crt "$room/etc/ssl/certs/ca-certificates.crt"
rm -rf "$room/etc/apt/sources.list.d" "$room/etc/apt/sources.list"
mkdir "$room/etc/apt/sources.list.d"
for source in /etc/apt/sources.list /etc/apt/sources.list.d/debian.*; do
    [ ! -e "$source" ] || cp "$source" "$room/$source"
done
cp /etc/apt/apt.conf.d/*proxy* "$room/etc/apt/apt.conf.d/" 2>/dev/null || :

rm -rf "$room/root/si"
git clone --quiet --no-hardlinks . "$room/root/si"
for goal in $goals; do
    printf 'clean-room: make %s\n' "$goal"
    started=$(date +%s)
    chroot "$room" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
        CI="${CI:-true}" ${PIP_CERT:+PIP_CERT=/etc/ssl/certs/ca-certificates.crt} \
        make -C /root/si "$goal" || die "make $goal failed in the clean room" "the tree is kept: chroot $room"
    printf 'clean-room: make %s took %s s\n' "$goal" "$(($(date +%s) - started))"
done
