# shellcheck shell=sh
# Arrays, encryption and volume groups: of an earlier install, which have to go, and of this one.

# devices_below NAME...: these block devices (kernel names) and all that they stand on, one a line.
# Asked often, so it starts no programs.
devices_below() {
    for below in "$@"; do
        printf '%s\n' "$below"
        if [ -e "/sys/class/block/$below/partition" ]; then
            above=$(cd -P "/sys/class/block/$below/.." && pwd -P)
            printf '%s\n' "${above##*/}"
        fi
        for slave in "/sys/class/block/$below"/slaves/*; do
            [ ! -e "$slave" ] || (devices_below "${slave##*/}")
        done
    done
}

# kernel_name DEVICE: "dm-0" for /dev/mapper/data, "cciss!c0d0" for /dev/cciss/c0d0. By its numbers,
# for without udev the names that LVM makes are devices, not links.
kernel_name() {
    [ -b "$1" ] || return 1
    numbers=$(stat -L -c '0x%t 0x%T' "$1")
    folder=$(cd -P "/sys/dev/block/$((${numbers% *})):$((${numbers#* }))" && pwd -P) || return 1
    printf '%s\n' "${folder##*/}"
}

# disks_of NAME...: the whole disks among what they stand on.
disks_of() {
    devices_below "$@" | sort -u | while read -r below; do
        if [ ! -e "/sys/class/block/$below/partition" ] && ! has_entries "/sys/class/block/$below/slaves"; then
            printf '%s\n' "$below"
        fi
    done
}

has_entries() {
    for entry in "$1"/*; do
        [ -e "$entry" ] && return 0
    done
    return 1
}

# list_layers: kernel names of arrays and mapped devices that are running.
list_layers() {
    for layer in /sys/class/block/dm-* /sys/class/block/md*; do
        if [ ! -e "$layer/partition" ] && has_entries "$layer/slaves"; then
            printf '%s\n' "${layer##*/}"
        fi
    done
}

# kernel_names DEVICE...: each between blanks.
kernel_names() {
    printf ' '
    for device in "$@"; do
        printf '%s ' "$(kernel_name "$device")"
    done
}

# parts_of NAME NAMES: what it stands on: the first of NAMES on each way down, or else a whole disk.
parts_of() {
    case $2 in
        *" $1 "*)
            printf '%s\n' "$1"
            return 0
            ;;
    esac
    if [ -e "/sys/class/block/$1/partition" ]; then
        above=$(cd -P "/sys/class/block/$1/.." && pwd -P)
        (parts_of "${above##*/}" "$2")
    elif has_entries "/sys/class/block/$1/slaves"; then
        for slave in "/sys/class/block/$1"/slaves/*; do
            (parts_of "${slave##*/}" "$2")
        done
    else
        printf '%s\n' "$1"
    fi
}

# place_of NAME NAMES: "none", "all" or "some" of what it stands on lies on these disks and
# partitions, whose kernel names stand between blanks.
place_of() {
    inside='' outside=''
    for below in $(parts_of "$1" "$2"); do
        case $2 in
            *" $below "*) inside=yes ;;
            *) outside=yes ;;
        esac
    done
    case $inside,$outside in
        yes,) echo all ;;
        yes,*) echo some ;;
        *) echo none ;;
    esac
}

# check_layers DEVICE...: whether arrays and volume groups on these disks and partitions lie wholly on
# them, be they running or not. Writes nothing.
check_layers() {
    ours=$(kernel_names "$@")
    for layer in $(list_layers); do
        [ "$(place_of "$layer" "$ours")" != some ] ||
            fail "$layer stands on disks of the layout and on others: $(disks_of "$layer" | tr '\n' ' ')"
    done
    blkid -c /dev/null -o export >"$BOEL_STATE/blkid" || :
    awk -v RS= -v FS='\n' '/TYPE=linux_raid_member/ {
        for (i = 1; i <= NF; i++) { split($i, pair, "="); found[pair[1]] = pair[2] }
        print found["UUID"], found["DEVNAME"]
    }' "$BOEL_STATE/blkid" >"$BOEL_STATE/members"
    check_members array
    grep -q '^TYPE=LVM2_member' "$BOEL_STATE/blkid" || return 0
    lvm pvs --noheadings --options vg_name,pv_name >"$BOEL_STATE/members" 2>/dev/null || :
    check_members "volume group"
}

# check_members KIND: $BOEL_STATE/members has lines of a group and one of its devices.
check_members() {
    : >"$BOEL_STATE/inside"
    : >"$BOEL_STATE/outside"
    while read -r group device; do
        [ -n "$device" ] || continue # a physical volume without group
        case $(place_of "$(kernel_name "$device")" "$ours") in
            none) printf '%s %s\n' "$group" "$device" >>"$BOEL_STATE/outside" ;;
            *) printf '%s\n' "$group" >>"$BOEL_STATE/inside" ;;
        esac
    done <"$BOEL_STATE/members"
    while read -r group device; do
        ! grep -qxF "$group" "$BOEL_STATE/inside" ||
            fail "the $1 $group is on disks of the layout and on $device, which is not one of them"
    done <"$BOEL_STATE/outside"
}

# clear_disks DEVICE...: stop what runs on these disks (and on single partitions of a disk that is
# kept) and wipe all signatures, so that nothing of an earlier install comes back when partitions
# stand where they stood before.
clear_disks() {
    stop_layers "$@"
    for disk in "$@"; do
        name=$(kernel_name "$disk")
        for part in "/sys/class/block/$name/$name"*; do
            [ ! -e "$part/partition" ] || wipefs --all --quiet "/dev/$(printf %s "${part##*/}" | tr '!' /)"
        done
        wipefs --all --quiet "$disk"
    done
}

# stop_layers [DISK...]: what lies wholly on these disks, or everything; the topmost first.
stop_layers() {
    ours=$(kernel_names "$@")
    for round in 1 2 3 4 5 6 7 8 9; do
        left=
        for layer in $(list_layers); do
            [ $# -eq 0 ] || [ "$(place_of "$layer" "$ours")" = all ] || continue
            left="$left $layer"
            has_entries "/sys/class/block/$layer/holders" || stop_layer "$layer"
        done
        if [ -z "$left" ]; then
            remove_links
            return 0
        fi
    done
    fail "these devices cannot be stopped after $round rounds:$left"
}

# remove_links: LVM's own of volumes that are closed; a volume group of the same name needs the place.
remove_links() {
    for link in /dev/*/*; do
        if [ -L "$link" ] && [ ! -e "$link" ]; then
            case $(readlink "$link") in
                /dev/mapper/* | ../dm-*)
                    rm -f "$link"
                    rmdir "${link%/*}" 2>/dev/null || :
                    ;;
            esac
        fi
    done
}

stop_layer() {
    if [ -e "/sys/class/block/$1/dm/name" ]; then
        read -r mapped <"/sys/class/block/$1/dm/name"
        dmsetup remove --retry --noudevrules --noudevsync "$mapped" || fail "cannot close $mapped: it is in use"
        rm -f "/dev/mapper/$mapped" # without udev, it stays
    else
        mdadm --quiet --stop "/dev/$1" || fail "cannot stop $1: it is in use"
    fi
}

# get_passphrase NAME [FILE]: the passphrase of the container NAME, from the server's FILE or from
# whoever stands at the console, into $BOEL_STATE/keys/NAME, without the end of its line.
get_passphrase() {
    mkdir -p "$BOEL_STATE/keys"
    if [ -n "${2:-}" ]; then
        case $2 in
            *[!A-Za-z0-9._-]* | .*) fail "a passphrase file has no fit name: $2" ;;
        esac
        [ -s "$BOEL_STATE/bundle/keys/$2" ] || fail "the server has no passphrase file $2 for $1"
        passphrase=$(cat "$BOEL_STATE/bundle/keys/$2")
    else
        ask_passphrase "$1"
    fi
    [ -n "$passphrase" ] || fail "the passphrase of $1 is empty"
    (umask 077 && printf %s "$passphrase" >"$BOEL_STATE/keys/$1")
    passphrase=''
}

# ask_passphrase NAME: twice, until both are the same.
ask_passphrase() {
    again=
    while :; do
        for word in "Passphrase for $1:" "Again:"; do
            stty -echo </dev/console
            printf '%s ' "$word" >/dev/console
            passphrase=$again
            IFS= read -r again </dev/console
            stty echo </dev/console
            echo >/dev/console
        done
        [ "$passphrase" != "$again" ] || return 0
        echo "They differ." >/dev/console
    done
}

# configure_storage DEST: mdadm.conf and crypttab name the arrays and containers of this machine,
# which the master script left in $BOEL_STATE/arrays and crypttab, and not those of the image.
configure_storage() {
    remember_times "$1/etc" "$1/etc/mdadm"
    config=$1/etc/mdadm/mdadm.conf
    [ -d "$1/etc/mdadm" ] || config=$1/etc/mdadm.conf
    replace_lines "$config" "$BOEL_STATE/arrays" '^ARRAY'
    replace_lines "$1/etc/crypttab" "$BOEL_STATE/crypttab" '^[^#]'
    restore_times
}

# replace_lines FILE LINES PATTERN: in FILE, those that match PATTERN make way for those in LINES.
replace_lines() {
    if [ ! -s "$2" ] && ! grep -q "$3" "$1" 2>/dev/null; then
        return 0
    fi
    {
        [ ! -e "$1" ] || grep -v "$3" "$1" || :
        [ ! -s "$2" ] || cat "$2"
    } >"$BOEL_STATE/lines"
    cat "$BOEL_STATE/lines" >"$1"
}
