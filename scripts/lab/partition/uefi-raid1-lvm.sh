# shellcheck shell=sh disable=SC2154  # begin.sh comes before it
for disk in "$1" "$2"; do
    table "$disk" <<END
label: gpt
size=128MiB, type=U
size=256MiB, type=R
type=R
END
    mkfs.vfat -F 32 "$(part "$disk" 1)"
done
mdadm --create /dev/md0 --run --level=1 --raid-devices=2 --metadata=1.2 --homehost=golden \
    --assume-clean "$(part "$1" 2)" "$(part "$2" 2)"
mdadm --create /dev/md1 --run --level=1 --raid-devices=2 --metadata=1.2 --homehost=golden \
    --assume-clean "$(part "$1" 3)" "$(part "$2" 3)"
mkfs.ext4 -q -L boot /dev/md0
vgcreate --quiet vg-main /dev/md1
lvcreate --quiet --yes --name swap --size 128M vg-main
lvcreate --quiet --yes --name var-log --size 256M vg-main
lvcreate --quiet --yes --name root --extents 100%FREE vg-main
mkswap -q /dev/vg-main/swap
mkfs.ext4 -q /dev/vg-main/var-log
mkfs.ext4 -q /dev/vg-main/root
put /dev/vg-main/root /
put /dev/vg-main/var-log /var/log
put /dev/md0 /boot
put "$(part "$1" 1)" /boot/efi
copy_system
# Without nofail the machine would not start when the first disk is gone.
cat >"$NEW/etc/fstab" <<END
/dev/mapper/vg--main-root / ext4 errors=remount-ro 0 1
/dev/mapper/vg--main-var--log /var/log ext4 defaults 0 2
UUID=$(uuid /dev/md0) /boot ext4 defaults 0 2
UUID=$(uuid "$(part "$1" 1)") /boot/efi vfat umask=0077,nofail,x-systemd.device-timeout=30s 0 1
/dev/mapper/vg--main-swap none swap sw 0 0
END
mdadm --detail --scan >>"$NEW/etc/mdadm/mdadm.conf"
mkdir -p /tmp/more/etc/mdadm
cp "$NEW/etc/mdadm/mdadm.conf" /tmp/more/etc/mdadm/mdadm.conf
add_to_initramfs /tmp/more
rm -r /tmp/more
menu /dev/mapper/vg--main-root /dev/md0 ""
boot_from_uefi
mkdir -p /second
mount "$(part "$2" 1)" /second
cp -r "$NEW/boot/efi/EFI" /second/
umount /second
finish
vgchange --quiet --activate n vg-main
mdadm --stop /dev/md0 /dev/md1
