# shellcheck shell=sh disable=SC2154  # begin.sh comes before it
table "$1" <<END
label: dos
size=192MiB, type=83, bootable
size=128MiB, type=82
type=83
END
mkfs.ext4 -q "$(part "$1" 1)"
mkswap -q "$(part "$1" 2)"
mkfs.ext4 -q "$(part "$1" 3)"
put "$(part "$1" 3)" /
put "$(part "$1" 1)" /boot
copy_system
cat >"$NEW/etc/fstab" <<END
UUID=$(uuid "$(part "$1" 3)") / ext4 errors=remount-ro 0 1
UUID=$(uuid "$(part "$1" 1)") /boot ext4 defaults 0 2
UUID=$(uuid "$(part "$1" 2)") none swap sw 0 0
END
menu "UUID=$(uuid "$(part "$1" 3)")" "$(part "$1" 1)" ""
boot_from_bios "$1"
finish
