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
# system's grub-install. It writes all its modules anew; those that are the same as in the image
# get the image's times back.
install_grub_bios() {
    grub_dest=$1
    shift
    [ -x "$grub_dest/usr/sbin/grub-install" ] ||
        fail "the image has no grub-install (on Debian: package grub-pc)"
    mount_for_chroot "$grub_dest"
    remember_times "$grub_dest/boot"
    mkdir -p "$grub_dest/boot/grub" "$BOEL_STATE/grub"
    rsync -aHAX --numeric-ids "$grub_dest/boot/grub/" "$BOEL_STATE/grub/"
    for disk in "$@"; do
        in_chroot "$grub_dest" grub-install --target=i386-pc "$disk"
    done
    # What differs in contents stays as grub-install wrote it; the rest gets its old attributes.
    rsync -rcn --existing --out-format='/%n' "$BOEL_STATE/grub/" "$grub_dest/boot/grub/" |
        grep -v '/$' >"$BOEL_STATE/grub.changed" || :
    rsync -aHAX --numeric-ids --modify-window=-1 --existing --size-only \
        --exclude-from="$BOEL_STATE/grub.changed" "$BOEL_STATE/grub/" "$grub_dest/boot/grub/"
    rm -rf "$BOEL_STATE/grub"
    restore_times
}
