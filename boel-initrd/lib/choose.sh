# shellcheck shell=sh
# Disks that a layout names by rule, because they have another name on every machine.

# choose_disk LINK [smallest|largest|first] [rotational=yes|no] [min_bytes=N] [holds=boot]
# [except=DEVICE]...: makes LINK, such as /dev/si/system, a link to the one disk that fits. With
# nothing that says which, several that fit are as wrong as none, and so are several of the same
# size that are all the smallest. Removable and read-only media never fit. Writes to no disk.
choose_disk() {
    chosen=$1
    shift
    settle_disks
    : >"$BOEL_STATE/fitting"
    for disk in $(list_fixed_disks); do
        ! fits_rule "$disk" "$@" || printf '%s %s\n' "$(disk_bytes "$disk")" "$(disk_path "$disk")" >>"$BOEL_STATE/fitting"
    done
    case " $* " in
        *' smallest '*) sort -n "$BOEL_STATE/fitting" | awk 'NR == 1 { size = $1 } $1 == size { print $2 }' ;;
        *' largest '*) sort -rn "$BOEL_STATE/fitting" | awk 'NR == 1 { size = $1 } $1 == size { print $2 }' ;;
        *' first '*) awk 'NR == 1 { print $2 }' "$BOEL_STATE/fitting" ;;
        *) awk '{ print $2 }' "$BOEL_STATE/fitting" ;;
    esac >"$BOEL_STATE/chosen"
    case $(wc -l <"$BOEL_STATE/chosen") in
        1) ;;
        0) fail "no disk fits $chosen ($*); there are: $(list_disks)" ;;
        *) fail "several disks fit $chosen ($*), which names one: $(sort "$BOEL_STATE/chosen" | tr '\n' ' ')" ;;
    esac
    read -r disk <"$BOEL_STATE/chosen"
    mkdir -p "${chosen%/*}"
    ln -snf "$disk" "$chosen"
    say "$chosen is $disk ($*)"
}

# settle_disks: until no new disk has come for 3 seconds. Controllers look for theirs in the
# background, and nothing tells that the last one has been found.
settle_disks() {
    settled=0
    while [ "$settled" -lt 6 ]; do
        before=$(list_fixed_disks)
        usleep 500000
        settled=$((settled + 1))
        [ "$before" = "$(list_fixed_disks)" ] || settled=0
    done
}

# list_fixed_disks: kernel names of the disks that a rule may take: hardware, which neither goes
# away nor is read-only.
list_fixed_disks() {
    for folder in /sys/class/block/*; do
        if [ ! -e "$folder/device" ] || [ -e "$folder/partition" ]; then
            continue
        fi
        # One path of several to an NVMe disk has no device of its own.
        [ -b "$(disk_path "${folder##*/}")" ] || continue
        case ${folder##*/} in
            fd* | sr* | mmcblk*boot* | mmcblk*rpmb) continue ;;
        esac
        read -r removable <"$folder/removable"
        read -r read_only <"$folder/ro"
        [ "$removable$read_only" != 00 ] || [ "$(disk_bytes "${folder##*/}")" = 0 ] || printf '%s\n' "${folder##*/}"
    done
}

# disk_bytes NAME, disk_path NAME: size and device of a disk by its kernel name.
disk_bytes() {
    read -r sectors <"/sys/class/block/$1/size"
    echo $((sectors * 512))
}

disk_path() {
    printf '/dev/%s\n' "$1" | tr '!' /
}

# fits_rule NAME WORD...: as choose_disk has them.
fits_rule() {
    name=$1
    shift
    read -r rotational <"/sys/class/block/$name/queue/rotational"
    for word in "$@"; do
        case $word in
            smallest | largest | first) ;;
            rotational=yes) [ "$rotational" = 1 ] || return 1 ;;
            rotational=no) [ "$rotational" = 0 ] || return 1 ;;
            min_bytes=*) [ "$(disk_bytes "$name")" -ge "${word#min_bytes=}" ] || return 1 ;;
            holds=boot) holds_boot "$name" || return 1 ;;
            except=*) [ "$(kernel_name "${word#except=}")" != "$name" ] || return 1 ;;
            *) fail "a rule for $chosen says $word, which BOEL does not know" ;;
        esac
    done
}

# holds_boot NAME: whether a partition of the disk is where a machine begins to start from: marked
# active or for old boot loaders, an EFI system partition, or one for GRUB.
holds_boot() {
    for part in "/sys/class/block/$1/$1"*; do
        [ -e "$part/partition" ] || continue
        ! blkid -p -o export "$(disk_path "${part##*/}")" 2>/dev/null | grep -qixE \
            -e 'PART_ENTRY_FLAGS=0x(80|4)' -e 'PART_ENTRY_TYPE=0xef' \
            -e 'PART_ENTRY_TYPE=c12a7328-f81f-11d2-ba4b-00a0c93ec93b' \
            -e 'PART_ENTRY_TYPE=21686148-6449-6e6f-744e-656564454649' || return 0
    done
    return 1
}

# link_partitions LINK NUMBER...: LINK-part1 and so on, as links to the partitions of the disk that
# LINK leads to; they may come later.
link_partitions() {
    chosen=$1
    disk=$(readlink "$chosen") || fail "$chosen leads to no disk"
    shift
    case $disk in
        *[0-9]) disk=${disk}p ;;
    esac
    for number in "$@"; do
        ln -snf "$disk$number" "$chosen-part$number"
    done
}
