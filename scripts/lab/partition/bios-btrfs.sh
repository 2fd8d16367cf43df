# shellcheck shell=sh disable=SC2154  # begin.sh comes before it
table "$1" <<END
label: gpt
size=1MiB, type=21686148-6449-6E6F-744E-656564454649
size=128MiB, type=S
type=L
END
mkswap -q "$(part "$1" 2)"
mkfs.btrfs -q -L pool "$(part "$1" 3)"
mkdir -p "$NEW"
mount "$(part "$1" 3)" "$NEW"
for name in @ @root-home @var-log; do
    btrfs -q subvolume create "$NEW/$name"
done
umount "$NEW"
put "$(part "$1" 3)" / subvol=@
put "$(part "$1" 3)" /root subvol=@root-home
put "$(part "$1" 3)" /var/log subvol=@var-log
copy_system
cat >"$NEW/etc/fstab" <<END
UUID=$(uuid "$(part "$1" 3)") / btrfs subvol=@,noatime 0 0
UUID=$(uuid "$(part "$1" 3)") /root btrfs subvol=@root-home 0 0
UUID=$(uuid "$(part "$1" 3)") /var/log btrfs subvol=@var-log,compress=zstd 0 0
UUID=$(uuid "$(part "$1" 2)") none swap sw 0 0
END
menu "UUID=$(uuid "$(part "$1" 3)")" "$(part "$1" 3)" /@/boot rootflags=subvol=@
boot_from_bios "$1"
finish
