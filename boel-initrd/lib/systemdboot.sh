# shellcheck shell=sh
# Making a UEFI machine start an image that uses systemd-boot, by entries of the boot loader
# specification. All is plain copying: bootctl wants a running udev, and asks the wrong machine.

# install_systemd_boot DEST ROOT_UUID 'KERNEL ARGS' ESP...: systemd-boot of the image onto the EFI
# system partitions that are mounted at DEST/ESP, as \EFI\systemd\systemd-bootx64.efi with an entry
# of its own in the firmware and as \EFI\BOOT\BOOTX64.EFI, which firmware starts when it has
# forgotten its entries; and on each of them a menu entry for each kernel.
install_systemd_boot() {
    loader_dest=$1
    grub_arguments "$2" "$3"
    shift 3
    program=$loader_dest/usr/lib/systemd/boot/efi/systemd-bootx64.efi
    [ ! -f "$program.signed" ] || program=$program.signed
    [ -f "$program" ] || fail "the image has no systemd-boot (on Debian: package systemd-boot)"
    loader_name=$(os_name "$loader_dest")
    for esp in "$@"; do
        [ "$(mounted_type "$loader_dest$esp")" = vfat ] || fail "no EFI system partition is mounted at $esp"
        mkdir -p "$loader_dest$esp/EFI/systemd" "$loader_dest$esp/EFI/BOOT"
        cp "$program" "$loader_dest$esp/EFI/systemd/systemd-bootx64.efi"
        cp "$program" "$loader_dest$esp/EFI/BOOT/BOOTX64.EFI"
        remove_loader_entries "$loader_dest$esp"
        write_loader_entries "$loader_dest" "$esp"
    done
    keep_kernel_arguments "$loader_dest"
    : >"$BOEL_STATE/systemd-boot"
    write_boot_entries "$loader_dest" "$loader_name" 'systemd\systemd-bootx64.efi' "$@"
}

# remove_loader_entries FOLDER: those of the golden client that start a kernel, and these kernels;
# they name its root. What else the menu offers stays. A random seed is of one machine.
remove_loader_entries() {
    rm -f "$1/loader/random-seed"
    for entry in "$1"/loader/entries/*.conf; do
        grep -q '^linux[[:space:]]' "$entry" 2>/dev/null || continue
        sed -n 's/^\(linux\|initrd\)[[:space:]]\{1,\}//p' "$entry" | tr -s '[:space:]' '\n' |
            while read -r file; do
                # On an ESP at /boot they are the image's own kernels.
                case $file in
                    *..* | /vmlinuz* | /initrd* | /initramfs*) ;;
                    *)
                        rm -f "$1/${file#/}"
                        rmdir -p "$(dirname "$1/${file#/}")" 2>/dev/null || :
                        ;;
                esac
            done
        rm -f "$entry"
    done
}

# write_loader_entries DEST ESP: one for each kernel in /boot, which is copied to the ESP unless that
# is /boot itself: systemd-boot reads nothing else.
# shellcheck disable=SC2154  # grub_arguments sets $arguments
write_loader_entries() {
    mkdir -p "$1$2/loader/entries"
    title=$(sed -n 's/^PRETTY_NAME=["'\'']\{0,1\}\([^"'\'']*\).*/\1/p' "$1/etc/os-release" 2>/dev/null | head -n 1)
    entries=0
    for kernel in "$1"/boot/vmlinuz-*; do
        [ -f "$kernel" ] || continue
        release=${kernel##*/vmlinuz-}
        initrd=$(initramfs_of "$1" "$release")
        folder=
        if [ "$2" != /boot ]; then
            folder=/$loader_name/$release
            mkdir -p "$1$2$folder"
            cp "$kernel" ${initrd:+"$initrd"} "$1$2$folder/" || fail "the EFI system partition at $2 has no room for the kernel $release"
        fi
        {
            printf 'title %s\nversion %s\nsort-key %s\n' "${title:-Linux}" "$release" "$loader_name"
            printf 'linux %s/%s\n' "$folder" "${kernel##*/}"
            [ -z "$initrd" ] || printf 'initrd %s/%s\n' "$folder" "${initrd##*/}"
            printf 'options %s\n' "$arguments"
        } >"$1$2/loader/entries/$loader_name-$release.conf"
        entries=$((entries + 1))
    done
    [ "$entries" -gt 0 ] || fail "the image has no kernel /boot/vmlinuz-*"
}

# keep_kernel_arguments DEST: kernel-install of the installed system takes them from this file.
keep_kernel_arguments() {
    [ -e "$1/etc/kernel/cmdline" ] || return 0
    remember_times "$1/etc/kernel"
    printf '%s\n' "$arguments" >"$1/etc/kernel/cmdline"
    restore_times
}
