# shellcheck shell=sh disable=SC2154  # begin.sh comes before it
mdadm --assemble --scan || :
udevadm settle
for array in /dev/md[0-9]*; do
    mkdir -p /run/look
    mount -o ro,noload "$array" /run/look
    if [ -d /run/look/etc ]; then
        root=$array
    else
        boot=$array
    fi
    umount /run/look
done
put "$root" / ro,noload
put "$boot" /boot ro,noload
