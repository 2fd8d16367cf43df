# shellcheck shell=sh disable=SC2154  # begin.sh comes before it
table "$1" <<END
label: dos
size=192MiB, type=83, bootable
size=1800MiB, type=83
type=5
size=128MiB, type=82
size=500MiB, type=83
type=83
END
mkfs.ext4 -q -L boot "$(part "$1" 1)"
mkfs.ext4 -q "$(part "$1" 2)"
mkswap -q "$(part "$1" 5)"
mkfs.ext4 -q "$(part "$1" 6)"
mkfs.xfs -q "$(part "$1" 7)"
put "$(part "$1" 2)" /
put "$(part "$1" 1)" /boot
put "$(part "$1" 6)" /var
put "$(part "$1" 7)" /usr/local
copy_system
cat >"$NEW/etc/fstab" <<END
UUID=$(uuid "$(part "$1" 2)") / ext4 errors=remount-ro 0 1
UUID=$(uuid "$(part "$1" 1)") /boot ext4 defaults 0 2
UUID=$(uuid "$(part "$1" 6)") /var ext4 nodev,nosuid 0 2
UUID=$(uuid "$(part "$1" 7)") /usr/local xfs noatime 0 2
UUID=$(uuid "$(part "$1" 5)") none swap sw 0 0
END
menu "UUID=$(uuid "$(part "$1" 2)")" "$(part "$1" 1)" ""
boot_from_bios "$1"
finish
