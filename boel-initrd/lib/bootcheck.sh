# shellcheck shell=sh
# Before the reboot: whether every reference on the written disk resolves on this machine. A boot
# loader that cannot find its root is told here, while the server listens, and not by a black screen.

# check_boot DEST: names everything that does not resolve, and then fails. Writes nothing below DEST.
check_boot() {
    : >"$BOEL_STATE/unresolved"
    list_tags
    check_fstab "$1"
    check_crypttab "$1"
    check_arrays "$1"
    check_menus "$1"
    check_initramfs "$1"
    check_loader "$1"
    if [ ! -s "$BOEL_STATE/unresolved" ]; then
        say "boot check: all that this system refers to is there"
        return 0
    fi
    while IFS= read -r line; do
        say "boot check: $line" >&2
    done <"$BOEL_STATE/unresolved"
    fail "this system would not start: $(wc -l <"$BOEL_STATE/unresolved") references do not resolve; it is not rebooted"
}

# unresolved TEXT...: one more; said at the end, all at once.
unresolved() {
    printf '%s\n' "$*" >>"$BOEL_STATE/unresolved"
}

# list_tags: a line "TAG=VALUE<tab>DEVICE<tab>TYPE" for each tag of each block device.
list_tags() {
    blkid -c /dev/null -o export >"$BOEL_STATE/blkid" || :
    awk -v RS= -v FS='\n' '{
        type = ""; device = ""
        for (i = 1; i <= NF; i++) {
            if ($i ~ /^DEVNAME=/) device = substr($i, 9)
            if ($i ~ /^TYPE=/) type = substr($i, 6)
        }
        for (i = 1; i <= NF; i++)
            if ($i ~ /^(UUID|LABEL|PARTUUID|PARTLABEL)=/) {
                gsub(/\\/, "", $i)
                printf "%s\t%s\t%s\n", $i, device, type
            }
    }' "$BOEL_STATE/blkid" >"$BOEL_STATE/tags"
}

# resolve REFERENCE: sets $resolved to the device of a TAG=VALUE or of a path, and $resolved_type to
# what is on it. Fails when there is none. Names that only udev makes resolve to "?": that of a disk.
resolve() {
    resolved='' resolved_type=''
    reference=$(printf %b "$1" | tr -d '"'\')
    case $reference in
        /dev/disk/by-uuid/*) reference=UUID=${reference#/dev/disk/by-uuid/} ;;
        /dev/disk/by-label/*) reference=LABEL=${reference#/dev/disk/by-label/} ;;
        /dev/disk/by-partuuid/*) reference=PARTUUID=${reference#/dev/disk/by-partuuid/} ;;
        /dev/disk/by-partlabel/*) reference=PARTLABEL=${reference#/dev/disk/by-partlabel/} ;;
        /dev/disk/*)
            resolved='?'
            return 0
            ;;
    esac
    case $reference in
        /dev/*)
            [ -b "$reference" ] || return 1
            resolved=$reference
            resolved_type=$(blkid -p -s TYPE -o value "$reference") || :
            ;;
        *=*)
            line=$(awk -F '\t' -v tag="$reference" 'tolower($1) == tolower(tag) { print; exit }' "$BOEL_STATE/tags")
            [ -n "$line" ] || return 1
            resolved=$(printf %s "$line" | cut -f 2)
            resolved_type=$(printf %s "$line" | cut -f 3)
            ;;
        *) return 1 ;;
    esac
}

# is_same_device DEVICE NAME: whether a device that was resolved is the one of this kernel name.
is_same_device() {
    [ "$1" = '?' ] || [ "$(kernel_name "$1")" = "$2" ]
}

# check_fstab DEST: every source is there and holds what the line says; / is where it was installed.
check_fstab() {
    root_line=
    while read -r source point type options _; do
        case $source in
            '#'* | '') continue ;;
        esac
        [ "$point" != / ] || root_line=yes
        check_fstab_line "$1" "$source" "$point" "$type" ",${options:-defaults},"
    done <"$1/etc/fstab"
    [ -n "$root_line" ] || unresolved "/etc/fstab has no line for /"
}

check_fstab_line() {
    case $2 in
        *=* | /dev/*) ;;
        /*) # a swap file, or a directory that is mounted elsewhere
            case $5 in
                *,nofail,* | *,noauto,*) return 0 ;;
            esac
            [ "${2#//}" != "$2" ] || [ -e "$1$2" ] || unresolved "/etc/fstab: $3 needs $2, which is not there"
            return 0
            ;;
        *) return 0 ;; # proc, tmpfs, server:/path
    esac
    if ! resolve "$2"; then
        case $5 in
            *,nofail,* | *,noauto,*) say "boot check: /etc/fstab: $2 for $3 is not on this machine (it need not be)" ;;
            *) unresolved "/etc/fstab: no device is $2, which $3 needs" ;;
        esac
        return 0
    fi
    case $4,$resolved_type in
        auto,* | *,'') ;;
        *) [ "$4" = "$resolved_type" ] || unresolved "/etc/fstab: $2 for $3 holds $resolved_type, not $4" ;;
    esac
    [ "$3" != / ] || is_same_device "$resolved" "$(mounted_device "$1")" ||
        unresolved "/etc/fstab: / is $2, but the system was installed on $(mounted_device "$1")"
}

# mounted_below DEST: kernel names of what is mounted on it and below, and of the swap in use.
mounted_below() {
    while read -r source point _; do
        case $source,$point in
            /dev/*,"$1" | /dev/*,"$1"/*) kernel_name "$source" ;;
        esac
    done </proc/mounts
    while read -r source type _; do
        [ "$type" != partition ] || kernel_name "$source"
    done </proc/swaps
}

# check_crypttab DEST: its containers are there, and each that the system lies in is named in it.
check_crypttab() {
    : >"$BOEL_STATE/containers"
    if [ -e "$1/etc/crypttab" ]; then
        while read -r name source key options; do
            case $name in
                '#'* | '') continue ;;
            esac
            printf '%s\n' "$name" >>"$BOEL_STATE/containers"
            check_crypttab_line "$1" "$name" "$source" "${key:-none}" "${options:-}"
        done <"$1/etc/crypttab"
    fi
    for below in $(mounted_below "$1" | while read -r name; do devices_below "$name"; done | sort -u); do
        folder=/sys/class/block/$below/dm
        [ -e "$folder/uuid" ] || continue
        read -r uuid <"$folder/uuid"
        read -r name <"$folder/name"
        case $uuid in
            CRYPT-LUKS*)
                grep -qxF "$name" "$BOEL_STATE/containers" ||
                    unresolved "/etc/crypttab has no line for $name, which the system lies in"
                ;;
        esac
    done
}

check_crypttab_line() {
    if ! resolve "$3"; then
        case ",$5," in
            *,nofail,* | *,noauto,*) return 0 ;;
        esac
        unresolved "/etc/crypttab: no device is $3, the container of $2"
    elif [ "$resolved" != '?' ] && [ "$resolved_type" != crypto_LUKS ]; then
        case ",$5," in
            *,plain,* | *,swap,*) ;;
            *) unresolved "/etc/crypttab: $3, the container of $2, holds no LUKS" ;;
        esac
    fi
    case $4 in
        none | - | /dev/*) ;;
        /*) [ -e "$1$4" ] || unresolved "/etc/crypttab: the key file $4 of $2 is not there" ;;
    esac
}

# check_arrays DEST: every ARRAY of mdadm.conf is one of this machine's.
check_arrays() {
    for config in "$1/etc/mdadm/mdadm.conf" "$1/etc/mdadm.conf"; do
        [ -e "$config" ] || continue
        sed -n 's/^ARRAY.*[Uu][Uu][Ii][Dd]=\([0-9A-Fa-f:.-]*\).*/\1/p' "$config" | while read -r uuid; do
            plain=$(printf %s "$uuid" | tr -d ':.-' | tr A-F a-f)
            awk -F '\t' '$3 == "linux_raid_member"' "$BOEL_STATE/tags" | tr -d - | grep -qi "^UUID=$plain" ||
                unresolved "${config#"$1"}: no array of this machine has the UUID $uuid"
        done
    done
}
