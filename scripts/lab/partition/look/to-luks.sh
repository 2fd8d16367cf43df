# shellcheck shell=sh disable=SC2154  # begin.sh comes before it
printf %s "$PASSPHRASE" | cryptsetup open --readonly "$(part "$1" 3)" look --key-file -
put /dev/mapper/look / ro,noload
put "$(part "$1" 2)" /boot ro,noload
put "$(part "$1" 1)" /boot/efi ro
