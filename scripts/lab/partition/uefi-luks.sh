# shellcheck shell=sh disable=SC2154  # begin.sh comes before it
table "$1" <<END
label: gpt
size=128MiB, type=U
size=256MiB, type=L
type=L
END
mkfs.vfat -F 32 "$(part "$1" 1)"
mkfs.ext4 -q "$(part "$1" 2)"
printf %s "$PASSPHRASE" | cryptsetup luksFormat --batch-mode --type luks2 --pbkdf argon2id \
    --pbkdf-memory 32768 --pbkdf-force-iterations 4 "$(part "$1" 3)" -
printf %s "$PASSPHRASE" | cryptsetup open "$(part "$1" 3)" root_crypt --key-file -
mkfs.ext4 -q /dev/mapper/root_crypt
put /dev/mapper/root_crypt /
put "$(part "$1" 2)" /boot
put "$(part "$1" 1)" /boot/efi
copy_system
cat >"$NEW/etc/fstab" <<END
/dev/mapper/root_crypt / ext4 errors=remount-ro 0 1
UUID=$(uuid "$(part "$1" 2)") /boot ext4 defaults 0 2
UUID=$(uuid "$(part "$1" 1)") /boot/efi vfat umask=0077 0 1
END
echo "root_crypt UUID=$(uuid "$(part "$1" 3)") none luks" >"$NEW/etc/crypttab"
mkdir -p /tmp/more/cryptroot
cp "$NEW/etc/crypttab" /tmp/more/cryptroot/crypttab
add_to_initramfs /tmp/more
rm -r /tmp/more
menu /dev/mapper/root_crypt "$(part "$1" 2)" ""
boot_from_uefi
finish
cryptsetup close root_crypt
