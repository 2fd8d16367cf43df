# shellcheck shell=sh
# Drivers and disks.

# load_modules: a driver for every device that the kernel shows, until no new devices appear
# (a virtio bus shows its disks only when its own driver is there).
load_modules() {
    seen=
    while :; do
        shown=$(find /sys/devices -name modalias -exec cat {} + 2>/dev/null | sort -u)
        [ "$shown" != "$seen" ] || return 0
        seen=$shown
        # Most devices need none, or one that this flavor has not: modprobe's verdict says little.
        printf '%s\n' "$shown" | tr '\n' '\000' | xargs -0 "$(command -v modprobe)" -a -b -q || :
    done
}

# wait_for DEVICE...: until each is there, at most 15 seconds.
wait_for() {
    for device in "$@"; do
        tries=150
        while [ ! -b "$device" ]; do
            [ "$tries" -gt 0 ] || fail "there is no block device $device; there are: $(list_disks)"
            [ $((tries % 10)) -ne 0 ] || load_modules
            usleep 100000
            tries=$((tries - 1))
        done
    done
}

# link_devices [FOLDER]: the links of /dev/disk that udev would make, for the programs of the image:
# by-uuid and by-label of what a file system, swap or container is on, by-partuuid and by-partlabel.
link_devices() {
    disk_links=${1:-/dev/disk}
    for folder in /sys/class/block/*; do
        device=/dev/$(printf %s "${folder##*/}" | tr '!' /)
        [ -b "$device" ] || continue
        blkid -p -o udev "$device" 2>/dev/null | awk '
            { value = $0; sub(/^[^=]*=/, "", value) }
            /^ID_FS_USAGE=(filesystem|other|crypto)$/ { named = 1 }
            /^ID_FS_UUID_ENC=/ { uuid = value }
            /^ID_FS_LABEL_ENC=/ { label = value }
            /^ID_PART_ENTRY_UUID=/ { print "by-partuuid " value }
            /^ID_PART_ENTRY_NAME=/ { print "by-partlabel " value }
            END {
                if (named && uuid != "") print "by-uuid " uuid
                if (named && label != "") print "by-label " label
            }' |
            while read -r kind name; do
                case $name in
                    '' | */*) continue ;;
                esac
                mkdir -p "$disk_links/$kind"
                ln -snf "$device" "$disk_links/$kind/$name"
            done
    done
}

# list_disks: the names of the disks that are there.
list_disks() {
    lsblk --nodeps --noheadings --output PATH,SIZE --bytes | tr -s ' \n' ' '
}

# check_disk DEVICE MIN_BYTES: whether the disk may be wiped: it is a whole disk, writable, big
# enough, and nothing on it is in use. Writes nothing.
check_disk() {
    wait_for "$1"
    disk=/sys/class/block/$(kernel_name "$1")
    if [ ! -d "$disk" ] || [ -e "$disk/partition" ]; then
        fail "$1 is no whole disk"
    fi
    called=$1
    [ ! -L "$1" ] || called="$(readlink "$1") ($1)"
    read -r read_only <"$disk/ro"
    [ "$read_only" = 0 ] || fail "the disk $called cannot be written to"
    read -r sectors <"$disk/size"
    [ $((sectors * 512)) -ge "$2" ] ||
        fail "the disk $called is too small: it has $((sectors * 512)) bytes, the layout needs $2"
    for part in "$disk" "$disk/${disk##*/}"*; do
        [ ! -e "$part/dev" ] || check_unused "$called" "$part"
    done
    say "disk $called: $((sectors * 512)) bytes, not in use"
}

# check_unused DISK SYSFS_FOLDER: neither it, nor an array or volume that it is part of, is mounted
# or swap. Arrays and volumes that merely run are stopped later; check_layers says whether they may.
check_unused() {
    read -r number <"$2/dev"
    while read -r _ _ mounted _ point _; do
        [ "$mounted" != "$number" ] || fail "the disk $1 is in use: ${2##*/} is mounted on $point"
    done </proc/self/mountinfo
    while read -r swap _; do
        [ "$(kernel_name "$swap")" != "${2##*/}" ] || fail "the disk $1 is in use: $swap is active swap"
    done </proc/swaps
    for holder in "$2"/holders/*; do
        [ ! -e "$holder" ] || (check_unused "$1" "$(readlink -f "$holder")") || exit 1
    done
}
