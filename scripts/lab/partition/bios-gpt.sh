# shellcheck shell=sh disable=SC2154  # begin.sh comes before it
table "$1" <<END
label: gpt
size=1MiB, type=21686148-6449-6E6F-744E-656564454649
size=256MiB, type=L, name=boot
size=128MiB, type=S
type=L, name="the system"
END
mkfs.ext4 -q "$(part "$1" 2)"
mkswap -q -L swap "$(part "$1" 3)"
mkfs.ext4 -q "$(part "$1" 4)"
put "$(part "$1" 4)" /
put "$(part "$1" 2)" /boot
copy_system
cat >"$NEW/etc/fstab" <<END
# by hand
UUID=$(uuid "$(part "$1" 4)") / ext4 errors=remount-ro 0 1
UUID=$(uuid "$(part "$1" 2)") /boot ext4 defaults 0 2
LABEL=swap none swap sw 0 0
END
menu "UUID=$(uuid "$(part "$1" 4)")" "$(part "$1" 2)" ""
boot_from_bios "$1"
finish
