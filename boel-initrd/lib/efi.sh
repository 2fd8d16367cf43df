# shellcheck shell=sh
# Making a UEFI machine start the installed system's own GRUB.

# check_firmware bios|uefi: whether this machine was started the way that the layout is made for.
# Writes nothing.
check_firmware() {
    firmware=bios
    [ ! -d /sys/firmware/efi ] || firmware=uefi
    [ "$firmware" = "$1" ] || case $1 in
        uefi) fail "this machine was booted by BIOS, the layout is for UEFI: change the firmware's boot mode" ;;
        *) fail "this machine was booted by UEFI, the layout is for BIOS: change the firmware's boot mode" ;;
    esac
    say "booted by $firmware, as the layout wants"
}

# install_grub_uefi DEST ESP...: GRUB into the EFI system partitions that are mounted at DEST/ESP,
# by the installed system's grub-install (with shim, where the image has its signed files), as
# \EFI\NAME with an entry of its own in the firmware, and as \EFI\BOOT\BOOTX64.EFI, which firmware
# starts when it has forgotten its entries. NAME is the ID in os-release.
install_grub_uefi() {
    grub_dest=$1
    shift
    require_grub "$grub_dest" x86_64-efi "UEFI (on Debian: package grub-efi-amd64)"
    grub_name=$(os_name "$grub_dest")
    keep_grub_files "$grub_dest"
    for esp in "$@"; do
        [ "$(mounted_type "$grub_dest$esp")" = vfat ] || fail "no EFI system partition is mounted at $esp"
        # The entry is ours to make: an old grub-install would not clear the one of the last install.
        in_chroot "$grub_dest" grub-install --target=x86_64-efi --efi-directory="$esp" \
            --bootloader-id="$grub_name" --no-nvram
        copy_to_removable_path "$grub_dest$esp/EFI" "$grub_name"
    done
    restore_grub_files "$grub_dest"
    loader=$grub_name\\grubx64.efi
    [ ! -f "$grub_dest$1/EFI/$grub_name/shimx64.efi" ] || loader=$grub_name\\shimx64.efi
    write_boot_entries "$grub_dest" "$grub_name" "$loader" "$@"
}

# copy_esp FOLDER DEVICE...: what the firmware reads at FOLDER, on the EFI system partitions of the
# other disks too, for a machine that must start from any of them.
copy_esp() {
    esp_from=$1
    shift
    mkdir -p "$BOEL_STATE/esp"
    for device in "$@"; do
        mount -t vfat "$device" "$BOEL_STATE/esp" || fail "cannot mount the EFI system partition $device"
        cp -r "$esp_from/." "$BOEL_STATE/esp/" || fail "cannot copy $esp_from to $device"
        umount "$BOEL_STATE/esp"
        say "$device starts this machine as well"
    done
}

# os_name DEST: the image's own ID (debian, ubuntu, ...), which signed boot loaders look below.
os_name() {
    name=$(sed -n 's/^ID=["'\'']\{0,1\}\([A-Za-z0-9._-]\{1,64\}\).*/\1/p' "$1/etc/os-release" 2>/dev/null | head -n 1)
    echo "${name:-linux}"
}

# mounted_type POINT, mounted_device POINT: type of the file system that is mounted there, and the
# kernel's name of its device, such as vda1.
mounted_type() {
    found=
    while read -r _ point type _; do
        [ "$point" != "$1" ] || found=$type
    done </proc/mounts
    printf '%s\n' "$found"
}

mounted_device() {
    found=
    while read -r source point _; do
        [ "$point" != "$1" ] || found=$source
    done </proc/mounts
    [ -n "$found" ] && kernel_name "$found"
}

# copy_to_removable_path EFI_FOLDER NAME: shim first, where there is one; else GRUB itself.
copy_to_removable_path() {
    mkdir -p "$1/BOOT"
    first=grubx64.efi
    [ ! -f "$1/$2/shimx64.efi" ] || first=shimx64.efi
    [ -f "$1/$2/$first" ] || fail "grub-install made no $2/$first"
    cp "$1/$2/$first" "$1/BOOT/BOOTX64.EFI"
    [ "$first" = shimx64.efi ] || return 0
    for file in grubx64.efi mmx64.efi; do
        [ ! -f "$1/$2/$file" ] || cp "$1/$2/$file" "$1/BOOT/$file"
    done
    # Started from here, it would write entries of its own and start over.
    rm -f "$1/BOOT/fbx64.efi"
}

# write_boot_entries DEST NAME LOADER ESP...: an entry that starts \EFI\LOADER for each ESP, in place of those that bear the name
# already. What started this machine stays first when it was: a machine that asks the network
# first goes on to do so.
write_boot_entries() {
    entry_dest=$1 entry_name=$2 loader=$3
    shift 3
    if [ ! -e /sys/firmware/efi/efivars ] || ! efibootmgr >"$BOEL_STATE/efi" 2>&1; then
        say "the firmware's variables cannot be read: it will start \\EFI\\BOOT\\BOOTX64.EFI"
        return 0
    fi
    old_order=$(sed -n 's/^BootOrder: //p' "$BOEL_STATE/efi")
    current=$(sed -n 's/^BootCurrent: //p' "$BOEL_STATE/efi")
    remove_boot_entries
    made=''
    for esp in "$@"; do
        add_boot_entry "$(mounted_device "$entry_dest$esp")" || {
            say "the firmware takes no entry: it will start \\EFI\\BOOT\\BOOTX64.EFI"
            return 0
        }
    done
    order_boot_entries
}

# remove_boot_entries: those of an earlier install; their partitions may be gone.
remove_boot_entries() {
    sed -n 's/^Boot\([0-9A-F]\{4\}\)[* ] \([^\t]*\).*/\1 \2/p' "$BOEL_STATE/efi" |
        while read -r number label; do
            case $label in
                "$entry_name" | "$entry_name on "*) efibootmgr --quiet --bootnum "$number" --delete-bootnum ;;
            esac
        done
}

# add_boot_entry PARTITION: appends its number to $made.
add_boot_entry() {
    label=$entry_name
    [ -z "$made" ] || label="$entry_name on $1"
    read -r part <"/sys/class/block/$1/partition" || return 1
    whole=$(basename "$(dirname "$(readlink -f "/sys/class/block/$1")")")
    efibootmgr --create-only --disk "/dev/$whole" --part "$part" --label "$label" \
        --loader "\\EFI\\$loader" >"$BOEL_STATE/efi" 2>&1 || return 1
    number=$(sed -n "s/^Boot\([0-9A-F]\{4\}\)[* ] $label\(\t.*\)\{0,1\}\$/\1/p" "$BOEL_STATE/efi" | tail -n 1)
    [ -n "$number" ] || return 1
    say "boot entry $number: $label, /dev/$1"
    made=$made${made:+,}$number
}

order_boot_entries() {
    first='' others=''
    # shellcheck disable=SC2086  # numbers between commas
    for number in $(printf %s "$old_order" | tr , ' '); do
        grep -q "^Boot${number}[* ]" "$BOEL_STATE/efi" || continue
        case ",$made," in
            *",$number,"*) continue ;;
        esac
        if [ "$number" = "$current" ] && [ "${old_order%%,*}" = "$current" ]; then
            first=$number,
        else
            others=$others,$number
        fi
    done
    efibootmgr --quiet --bootorder "$first$made$others"
}
