# shellcheck shell=sh disable=SC2154  # begin.sh comes before it
table "$1" <<END
label: gpt
size=300MiB, type=U
size=256MiB, type=L
size=128MiB, type=S
type=L
END
mkfs.vfat -F 32 "$(part "$1" 1)"
mkfs.ext4 -q "$(part "$1" 2)"
mkswap -q "$(part "$1" 3)"
mkfs.ext4 -q -L system "$(part "$1" 4)"
put "$(part "$1" 4)" /
put "$(part "$1" 2)" /boot
put "$(part "$1" 1)" /boot/efi
copy_system
cat >"$NEW/etc/fstab" <<END
LABEL=system / ext4 errors=remount-ro 0 1
UUID=$(uuid "$(part "$1" 2)") /boot ext4 defaults 0 2
UUID=$(uuid "$(part "$1" 1)") /boot/efi vfat umask=0077 0 1
UUID=$(uuid "$(part "$1" 3)") none swap sw 0 0
END
menu LABEL=system "$(part "$1" 2)" ""
boot_from_uefi
finish
