# shellcheck shell=sh
# Making the disk bootable with the installed system's own GRUB.

# write_grub_config DEST ROOT_UUID BOOT_UUID BOOT_PREFIX 'KERNEL ARGS': grub.cfg with an entry for
# each kernel, the newest first. Written and not probed for (grub-mkconfig takes a minute, and sees
# the installing machine): all that it would find out is known. BOOT_PREFIX is empty when /boot is
# a file system of its own, else /boot. The image's GRUB_TIMEOUT is kept.
write_grub_config() {
    remember_times "$1/boot" "$1/boot/grub"
    mkdir -p "$1/boot/grub"
    grub_arguments "$2" "$5"
    {
        printf '# Written by BOEL when this machine was installed. update-grub replaces it.\n'
        printf 'set timeout=%s\nset default=0\n' "$(grub_timeout "$1")"
        grub_serial
        printf 'search --no-floppy --fs-uuid --set=root %s\n' "$3"
        grub_entries "$1" "$4"
    } >"$1/boot/grub/grub.cfg"
    grep -q '^menuentry' "$1/boot/grub/grub.cfg" || fail "the image has no kernel /boot/vmlinuz-*"
    restore_times
}

# grub_arguments ROOT_UUID 'KERNEL ARGS': sets $arguments; root= and ro are added when not given.
grub_arguments() {
    arguments=$2
    case " $arguments " in
        *' ro '* | *' rw '*) ;;
        *) arguments="ro $arguments" ;;
    esac
    case " $arguments" in
        *' root='*) ;;
        *) arguments="root=UUID=$1 $arguments" ;;
    esac
}

# grub_timeout DEST: the number in the image's /etc/default/grub, else Debian's 5.
grub_timeout() {
    timeout=
    [ ! -r "$1/etc/default/grub" ] ||
        timeout=$(sed -n 's/^GRUB_TIMEOUT=["'\'']\{0,1\}\([0-9]\{1,\}\).*/\1/p' "$1/etc/default/grub" |
            tail -n 1)
    echo "${timeout:-5}"
}

# grub_serial: GRUB's menu on the serial console too, when the kernel has one.
grub_serial() {
    case " $arguments " in
        *' console=ttyS'[0-9]*) ;;
        *) return 0 ;;
    esac
    serial=${arguments##*console=ttyS}
    serial=${serial%% *}
    unit=${serial%%,*}
    speed=9600
    case $serial in
        *,[0-9]*) speed=${serial#*,} speed=${speed%%[!0-9]*} ;;
    esac
    printf 'serial --unit=%s --speed=%s\n' "$unit" "$speed"
    printf 'terminal_input console serial\nterminal_output console serial\n'
}

# grub_entries DEST BOOT_PREFIX: GRUB takes a backslash before anything that is special to it.
grub_entries() {
    quoted=$(printf %s "$arguments" | sed 's/[^A-Za-z0-9 ._=:,/@%+-]/\\&/g')
    for kernel in "$1"/boot/vmlinuz-*; do
        printf '%s\n' "${kernel##*/vmlinuz-}"
    done | sort -rV | while IFS= read -r release; do
        [ -f "$1/boot/vmlinuz-$release" ] || continue
        printf "menuentry 'Linux %s' {\n" "$release"
        printf '\tlinux %s/vmlinuz-%s %s\n' "$2" "$release" "$quoted"
        for initrd in "initrd.img-$release" "initramfs-$release.img" "initrd-$release"; do
            [ ! -f "$1/boot/$initrd" ] || printf '\tinitrd %s/%s\n' "$2" "$initrd"
        done
        printf '}\n'
    done
}

# install_grub_bios DEST DISK...: GRUB for BIOS into the boot sector of each disk, by the installed
# system's grub-install.
install_grub_bios() {
    grub_dest=$1
    shift
    require_grub "$grub_dest" i386-pc "BIOS (on Debian: package grub-pc)"
    keep_grub_files "$grub_dest"
    for disk in "$@"; do
        in_chroot "$grub_dest" grub-install --target=i386-pc "$disk"
    done
    restore_grub_files "$grub_dest"
}

# require_grub DEST PLATFORM WHAT
require_grub() {
    if [ ! -x "$1/usr/sbin/grub-install" ] || [ ! -d "$1/usr/lib/grub/$2" ]; then
        fail "the image has no grub-install for $3"
    fi
}

# keep_grub_files DEST, restore_grub_files DEST: grub-install writes all its modules anew; of what it
# wrote, only what differs from the image's own files is taken, for those have the image's times and
# holes. A subvolume of its own cannot be set aside: its files get new times.
keep_grub_files() {
    mount_for_chroot "$1"
    remember_times "$1/boot" "$1/boot/grub" "$1"/boot/grub/*/
    rm -rf "$1/boot/grub.kept"
    mv "$1/boot/grub" "$1/boot/grub.kept" || say "/boot/grub is written anew"
}

restore_grub_files() {
    kept=$1/boot/grub.kept
    if [ -d "$kept" ]; then
        rsync -rlcn --out-format=%n "$1/boot/grub/" "$kept/" >"$BOEL_STATE/grub.changed"
        while IFS= read -r name; do
            case $name in
                */) mkdir -p "$kept/$name" ;;
                *) mv -f "$1/boot/grub/$name" "$kept/$name" ;;
            esac
        done <"$BOEL_STATE/grub.changed"
        rm -rf "$1/boot/grub"
        mv "$kept" "$1/boot/grub"
    fi
    restore_times
}
