# shellcheck shell=sh
# What an initramfs of the installed system holds, and what it must hold on this machine.

# list_initramfs DEST FILE: the names in it, one a line. It may be several archives one after the
# other: uncompressed ones (microcode), then a compressed one.
list_initramfs() {
    offset=0
    while :; do
        magic=$(tail -c "+$((offset + 1))" "$2" | head -c 6 | hexdump -v -e '/1 "%02x"')
        case $magic in
            303730373031 | 303730373032)
                tail -c "+$((offset + 1))" "$2" | cpio -t 2>/dev/null || :
                skip_archive "$2" || return 0
                ;;
            *)
                unpacker=$(unpacker_for "$magic") || return 1
                # shellcheck disable=SC2086  # a program and its options
                tail -c "+$((offset + 1))" "$2" | unpack "$1" $unpacker | cpio -t 2>/dev/null
                return
                ;;
        esac
    done
}

# known_initramfs DEST FILE: its names in $BOEL_STATE/initramfs; it is read again only when it is
# another file than before, for that takes seconds.
known_initramfs() {
    stamp=$(stat -c '%n %i %s %Y' "$2")
    [ "$stamp" != "$(cat "$BOEL_STATE/initramfs.stamp" 2>/dev/null)" ] || return 0
    rm -f "$BOEL_STATE/initramfs.stamp"
    list_initramfs "$1" "$2" >"$BOEL_STATE/initramfs" || return 1
    printf '%s\n' "$stamp" >"$BOEL_STATE/initramfs.stamp"
}

unpacker_for() {
    case $1 in
        1f8b*) echo gzip -dc ;;
        28b52ffd*) echo zstd -dc ;;
        fd377a58*) echo xz -dc ;;
        425a68*) echo bzip2 -dc ;;
        5d0000*) echo lzma -dc ;;
        0221*) echo lz4 -dc ;;
        *) return 1 ;;
    esac
}

# unpack DEST PROGRAM...: BOEL's, else the image's own.
unpack() {
    unpack_dest=$1
    shift
    if command -v "$1" >/dev/null; then "$@"; else in_chroot "$unpack_dest" "$@"; fi
}

# skip_archive FILE: moves $offset behind the uncompressed archive that begins there. The fields of
# a header are 8 hex digits each: 54 is the size of the file, 94 that of its name.
skip_archive() {
    total=$(stat -c %s "$1")
    while :; do
        header=$(tail -c "+$((offset + 1))" "$1" | head -c 110 | tr -d '\000')
        case $header in
            07070[12]*) ;;
            *) return 1 ;;
        esac
        rest=${header#??????????????????????????????????????????????????????}
        file_size=$((0x${rest%"${rest#????????}"}))
        rest=${rest#????????????????????????????????????????}
        name_size=$((0x${rest%"${rest#????????}"}))
        name=$(tail -c "+$((offset + 111))" "$1" | head -c "$name_size" | tr -d '\000')
        offset=$(((offset + 110 + name_size + 3) / 4 * 4))
        offset=$(((offset + file_size + 3) / 4 * 4))
        [ "$name" != 'TRAILER!!!' ] || break
    done
    # Zeros may follow, mostly up to the end of a block.
    while [ "$offset" -lt "$total" ] &&
        [ -z "$(tail -c "+$((offset + 1))" "$1" | head -c 4 | tr -d '\000')" ]; do
        offset=$((offset + 4))
    done
    [ "$offset" -lt "$total" ]
}

# needed_modules NAME: the drivers that it takes to reach this block device, from the disks up.
needed_modules() {
    devices_below "$1" | sort -u | while read -r below; do
        folder=/sys/class/block/$below
        if [ -e "$folder/dm" ]; then
            echo dm_mod
            case $(cat "$folder/dm/uuid") in
                CRYPT-*) echo dm_crypt ;;
            esac
        elif [ -e "$folder/md/level" ]; then
            case $(cat "$folder/md/level") in
                raid[456]) echo raid456 ;;
                *) cat "$folder/md/level" ;;
            esac
        elif [ -e "$folder/device" ]; then
            drivers_above "$(readlink -f "$folder/device")"
        fi
    done | sort -u
}

# drivers_above SYSFS_FOLDER: of this device and of the buses that it hangs on.
drivers_above() {
    device=$1
    while [ "${device#/sys/devices/}" != "$device" ]; do
        if [ -e "$device/driver/module" ]; then
            basename "$(readlink -f "$device/driver/module")"
        elif [ -e "$device/driver" ]; then
            basename "$(readlink -f "$device/driver")"
        fi
        device=${device%/*}
    done | tr - _
}

# needed_programs NAME: what an initramfs runs to open this block device.
needed_programs() {
    devices_below "$1" | sort -u | while read -r below; do
        folder=/sys/class/block/$below
        if [ -e "$folder/dm/uuid" ]; then
            case $(cat "$folder/dm/uuid") in
                CRYPT-*) echo cryptsetup ;;
                LVM-*) echo lvm ;;
            esac
        elif [ -e "$folder/md/level" ]; then
            echo mdadm
        fi
    done | sort -u
}

# lacking DEST RELEASE INITRAMFS NAME TYPE: what the initramfs of this kernel lacks to mount the
# file system of TYPE on the block device NAME, one a line. A module that the kernel has built in
# is not looked for, nor is a driver that it does not know at all under this name, unless it has
# none of the modules of the disk.
lacking() {
    known_initramfs "$1" "$3" || { echo "an archive format that BOEL knows"; return 0; }
    [ -s "$BOEL_STATE/initramfs" ] || { echo "everything: it cannot be read"; return 0; }
    modules=$1/lib/modules/$2
    sed -n 's|.*/\([^/]*\)\.ko\(\.[a-z0-9]*\)\{0,1\}$|\1|p' "$BOEL_STATE/initramfs" | tr - _ | sort -u >"$BOEL_STATE/held"
    {
        needed_modules "$4"
        printf '%s\n' "$5"
    } | while read -r module; do
        ! grep -qx "$module" "$BOEL_STATE/held" || continue
        ! tr - _ <"$modules/modules.builtin" 2>/dev/null | grep -q "/$module\.ko" || continue
        if tr - _ <"$modules/modules.dep" 2>/dev/null | grep -q "/$module\.ko[.a-z0-9]*:"; then
            echo "the module $module"
        elif [ -d "/sys/module/$module" ] && [ -e "/sys/module/$module/initstate" ]; then
            echo "the module $module, which kernel $2 does not have"
        fi
    done
    for program in $(needed_programs "$4"); do
        grep -q "/\(systemd-\)\{0,1\}$program\$" "$BOEL_STATE/initramfs" || echo "the program $program"
    done
}

# initramfs_of DEST RELEASE: its path, whatever the distribution calls it; none when there is none.
initramfs_of() {
    for initrd in "$1/boot/initrd.img-$2" "$1/boot/initramfs-$2.img" "$1/boot/initrd-$2"; do
        if [ -f "$initrd" ]; then
            printf '%s\n' "$initrd"
            return 0
        fi
    done
}

# rebuild_initramfs DEST: by the image's own tool, for each kernel whose initramfs lacks what this
# machine needs or knows containers by other names; else it stays as it was captured.
rebuild_initramfs() {
    root_device=$(mounted_device "$1")
    root_type=$(mounted_type "$1")
    mount_for_chroot "$1"
    for kernel in "$1"/boot/vmlinuz-*; do
        release=${kernel##*/vmlinuz-}
        initrd=$(initramfs_of "$1" "$release")
        [ -n "$initrd" ] || continue
        lacks=$(lacking "$1" "$release" "$initrd" "$root_device" "$root_type" | tr '\n' ',')
        case " $(needed_programs "$root_device" | tr '\n' ' ')" in
            *' cryptsetup '*) lacks=${lacks}this\ machine\'s\ crypttab, ;;
        esac
        [ -n "$lacks" ] || continue
        say "the initramfs of $release lacks ${lacks%,}: it is made anew"
        remember_times "$1/boot" "$1/var/tmp"
        make_initramfs "$1" "$release" "$initrd"
        restore_times
    done
}

make_initramfs() {
    if [ -x "$1/usr/sbin/update-initramfs" ]; then
        in_chroot "$1" update-initramfs -u -k "$2" </dev/null || fail "update-initramfs failed for $2"
    elif [ -x "$1/usr/bin/dracut" ]; then
        in_chroot "$1" dracut --force --kver "$2" "${3#"$1"}" </dev/null || fail "dracut failed for $2"
    else
        fail "the image has neither update-initramfs nor dracut to make an initramfs with"
    fi
}

# read_from_initramfs DEST FILE NAME: the contents of a file in it.
read_from_initramfs() {
    offset=0
    while :; do
        magic=$(tail -c "+$((offset + 1))" "$2" | head -c 6 | hexdump -v -e '/1 "%02x"')
        case $magic in
            30373037*) skip_archive "$2" || return 0 ;;
            *) break ;;
        esac
    done
    # shellcheck disable=SC2046  # a program and its options
    tail -c "+$((offset + 1))" "$2" | unpack "$1" $(unpacker_for "$magic") |
        cpio -i --to-stdout "$3" 2>/dev/null
}
