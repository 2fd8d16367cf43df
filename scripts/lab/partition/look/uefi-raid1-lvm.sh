# shellcheck shell=sh disable=SC2154  # begin.sh comes before it
mdadm --assemble --scan || :
udevadm settle
vgchange --quiet --activate y vg-main
put /dev/vg-main/root / ro,noload
put /dev/vg-main/var-log /var/log ro,noload
put LABEL=boot /boot ro,noload
put "$(part "$1" 1)" /boot/efi ro
