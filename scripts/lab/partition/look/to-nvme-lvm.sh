# shellcheck shell=sh disable=SC2154  # begin.sh comes before it
vgchange --quiet --activate y vg-fast
put /dev/vg-fast/root / ro,norecovery
put "$(part "$1" 2)" /boot ro,noload
put "$(part "$1" 1)" /boot/efi ro
