# shellcheck shell=sh
# What comes before each script of this folder: it partitions the blank disks $1, $2, ... by hand and
# makes this running system bootable from them. Nothing of si is used here, for these disks judge it.
set -eu
NEW=/new

# part DISK NUMBER
part() {
    case $1 in
        *[0-9]) echo "$1p$2" ;;
        *) echo "$1$2" ;;
    esac
}

# table DISK: sfdisk's words on standard input, and wait for the devices.
table() {
    sfdisk --quiet --wipe always "$1"
    udevadm settle
}

uuid() {
    blkid -p -s UUID -o value "$1"
}

# put DEVICE PLACE [OPTIONS]: mount below the new root.
put() {
    mkdir -p "$NEW$2"
    mount ${3:+-o "$3"} "$1" "$NEW$2"
}

copy_system() {
    for place in / /boot/; do
        mkdir -p "$NEW$place"
        cp --archive --one-file-system --sparse=always "$place." "$NEW$place"
    done
    rm -rf "$NEW/new" "$NEW"/var/log/journal/*
}

# add_to_initramfs FILE...: files of the new system, at the same places in its initramfs.
add_to_initramfs() {
    for image in "$NEW"/boot/initrd.img-*; do
        truncate --size=%4 "$image"
        (cd "$1" && find . -mindepth 1 | cpio --quiet -o -H newc) >>"$image"
    done
}

inside() {
    for folder in dev proc sys run; do
        mountpoint -q "$NEW/$folder" || mount --rbind "/$folder" "$NEW/$folder"
    done
    chroot "$NEW" "$@"
}

# menu ROOT BOOT_DEVICE FOLDER [WORDS]: written by hand, for update-grub takes a minute here.
menu() {
    release=$(uname -r)
    words="root=$1 ro ${4:-} console=tty0 console=ttyS0,115200 quiet"
    mkdir -p "$NEW/boot/grub"
    cat >"$NEW/boot/grub/grub.cfg" <<END
set timeout=0
search --no-floppy --fs-uuid --set=root $(uuid "$2")
menuentry 'Debian' {
    linux $3/vmlinuz-$release $words
    initrd $3/initrd.img-$release
}
END
}

# boot_from_bios DISK...
boot_from_bios() {
    for disk in "$@"; do
        inside grub-install --target=i386-pc "$disk"
    done
}

# boot_from_uefi: into the ESP at /boot/efi, and the place that firmware without entries looks at.
boot_from_uefi() {
    inside grub-install --target=x86_64-efi --efi-directory=/boot/efi --no-nvram \
        --force-extra-removable
}

finish() {
    for folder in dev proc sys run; do
        ! mountpoint -q "$NEW/$folder" || umount --lazy --recursive "$NEW/$folder"
    done
    umount --recursive "$NEW"
    sync
}
