# shellcheck shell=sh
# The boot check's second half: what boot loaders and initramfs refer to. See bootcheck.sh.

# check_menus DEST: the entries of grub.cfg, where GRUB starts the machine, and those of the boot
# loader specification (BLS) in /boot and on the EFI system partition.
check_menus() {
    menus=0
    for config in "$1/boot/grub/grub.cfg" "$1/boot/grub2/grub.cfg"; do
        if [ -f "$config" ] && [ ! -e "$BOEL_STATE/systemd-boot" ]; then
            menus=$((menus + 1))
            check_grub_config "$1" "$config"
        fi
    done
    {
        printf '%s\n' "$1/boot"
        list_esps "$1" | cut -d ' ' -f 2-
    } | sort -u >"$BOEL_STATE/menus"
    while read -r folder <&4; do
        for config in "$folder"/loader/entries/*.conf; do
            if [ -f "$config" ]; then
                menus=$((menus + 1))
                check_entry "$1" "$config"
            fi
        done
    done 4<"$BOEL_STATE/menus"
    [ "$menus" -gt 0 ] || unresolved "there is no boot menu: neither grub.cfg nor loader/entries"
}

# check_grub_config DEST FILE: commands are read one a line, as grub-mkconfig and BOEL write them.
check_grub_config() {
    in_file=${2#"$1"} entries=0 menu_root='' resolved=''
    while read -r command words; do
        # GRUB takes a backslash before what is special to it.
        words=$(printf %s "$words" | sed 's/\\\(.\)/\1/g')
        case $command in
            search | search.fs_uuid | search.file | search.fs_label) check_search "$command" "$words" ;;
            linux | linux16 | linuxefi)
                entries=$((entries + 1))
                check_kernel "$1" "$words"
                ;;
            initrd | initrd16 | initrdefi)
                for file in $words; do
                    check_menu_file "$1" "$file"
                done
                ;;
        esac
    done <"$2"
    [ "$entries" -gt 0 ] || [ -d "$1/boot/loader/entries" ] || unresolved "$in_file starts no kernel"
}

# check_search COMMAND WORDS: the last word is what is looked for.
check_search() {
    case " $1 $2" in
        *' --fs-uuid '* | *'search.fs_uuid '*) tag=UUID ;;
        *' --label '* | *'search.fs_label '*) tag=LABEL ;;
        *) return 0 ;;
    esac
    value=${2##* }
    [ "$1" = search ] || value=${2%% *}
    if resolve "$tag=$value"; then
        menu_root=$resolved
    else
        menu_root=
        unresolved "$in_file: no device is $tag=$value, which GRUB searches"
    fi
}

# check_menu_file DEST PATH: on the file system that GRUB has searched last.
check_menu_file() {
    file=${2#"("*")"}
    [ -n "$menu_root" ] || return 0 # the search has been named already
    place=$(path_below "$1" "$(kernel_name "$menu_root")" "$file")
    [ -s "${place:-/none}" ] || unresolved "$in_file: there is no $file on $menu_root"
}

# path_below DEST NAME PATH: where a path of a file system of this block device is mounted below
# DEST; a mount of btrfs shows what is below its subvolume.
path_below() {
    while read -r _ _ _ top point rest; do
        case $point in
            "$1" | "$1"/*) ;;
            *) continue ;;
        esac
        source=${rest#*- }
        source=${source#* }
        source=${source%% *}
        [ "$(kernel_name "$source")" = "$2" ] || continue
        case $3 in
            "${top%/}"/*)
                printf '%s\n' "$point${3#"${top%/}"}"
                return 0
                ;;
        esac
    done </proc/self/mountinfo
}

# check_kernel DEST WORDS: of a command linux: the kernel's file, and the devices in its arguments.
check_kernel() {
    check_menu_file "$1" "${2%% *}"
    check_arguments "$1" "$2"
}

check_arguments() {
    root_argument=
    set -f
    for argument in $2; do
        case $argument in
            root=*)
                root_argument=${argument#root=}
                check_root "$1" "$root_argument"
                ;;
            resume=*)
                if ! resolve "${argument#resume=}"; then
                    unresolved "$in_file: no device is ${argument#resume=}, which resume= names"
                elif [ -n "$resolved_type" ] && [ "$resolved_type" != swap ]; then
                    unresolved "$in_file: resume= names $resolved, which holds $resolved_type"
                fi
                ;;
        esac
    done
    set +f
    [ -n "$root_argument" ] || unresolved "$in_file: a kernel gets no root="
}

check_root() {
    if ! resolve "$2"; then
        unresolved "$in_file: no device is $2, which root= names"
    elif ! is_same_device "$resolved" "$(mounted_device "$1")"; then
        unresolved "$in_file: root= names $2, but the system was installed on $(mounted_device "$1")"
    fi
}

# check_entry DEST FILE: of the boot loader specification; its paths begin at the top of the file
# system that it lies on.
check_entry() {
    in_file=${2#"$1"}
    top=${2%/loader/entries/*}
    options=
    while read -r command words; do
        case $command in
            linux | initrd | efi)
                for file in $words; do
                    [ -s "$top/${file#/}" ] || unresolved "$in_file: there is no $file"
                done
                ;;
            options) options="$options $words" ;;
        esac
    done <"$2"
    check_arguments "$1" "$options"
}

# check_initramfs DEST: of each kernel that can be chosen, it can reach and mount the root.
check_initramfs() {
    for kernel in "$1"/boot/vmlinuz-*; do
        [ -f "$kernel" ] || continue
        release=${kernel##*/vmlinuz-}
        if [ ! -d "$1/lib/modules/$release" ]; then
            unresolved "${kernel#"$1"} has no modules in /lib/modules/$release"
            continue
        fi
        initrd=$(initramfs_of "$1" "$release")
        [ -n "$initrd" ] || continue
        lacking "$1" "$release" "$initrd" "$(mounted_device "$1")" "$(mounted_type "$1")" |
            while IFS= read -r what; do
                unresolved "${initrd#"$1"} lacks $what"
            done
        check_initramfs_crypttab "$1" "$initrd"
    done
}

# check_initramfs_crypttab DEST FILE: the containers that the root lies in are known to it by UUID.
check_initramfs_crypttab() {
    grep -q '^cryptroot/crypttab$' "$BOEL_STATE/initramfs" || return 0
    read_from_initramfs "$1" "$2" cryptroot/crypttab >"$BOEL_STATE/cryptroot"
    for below in $(devices_below "$(mounted_device "$1")"); do
        [ -e "/sys/class/block/$below/dm/uuid" ] || continue
        read -r uuid <"/sys/class/block/$below/dm/uuid"
        case $uuid in
            CRYPT-LUKS?-*)
                uuid=${uuid#CRYPT-LUKS?-}
                tr -d - <"$BOEL_STATE/cryptroot" | grep -qi "${uuid%%-*}" ||
                    unresolved "${2#"$1"} does not know the container $(cat "/sys/class/block/$below/dm/name")"
                ;;
        esac
    done
}

# check_loader DEST: what the firmware starts.
check_loader() {
    if [ -d /sys/firmware/efi ]; then check_esp "$1"; else check_boot_sectors "$1"; fi
}

# check_boot_sectors DEST: GRUB is in the boot sector of a disk that holds /boot, and where /boot is
# mirrored, of each, for any of them may be the one that is left.
check_boot_sectors() {
    boot_device=$(mounted_device "$(mount_point_of "$1" /boot)")
    with='' without=''
    for disk in $(disks_of "$boot_device"); do
        disk=/dev/$(printf %s "$disk" | tr '!' /)
        if head -c 440 "$disk" | grep -q GRUB; then with="$with $disk"; else without="$without $disk"; fi
    done
    if [ -z "$with" ]; then
        unresolved "no boot sector of a disk that holds /boot has GRUB"
    elif [ -n "$without" ] && is_mirrored "$boot_device"; then
        unresolved "/boot is mirrored, but the boot sector of these disks has no GRUB:$without"
    fi
}

# is_mirrored NAME: whether an array of mirrors is among what it stands on.
is_mirrored() {
    for below in $(devices_below "$1"); do
        [ -e "/sys/class/block/$below/md/level" ] || continue
        read -r level <"/sys/class/block/$below/md/level"
        case $level in
            raid1 | raid10) return 0 ;;
        esac
    done
    return 1
}

# mount_point_of DEST PATH: where the file system with this path is mounted.
mount_point_of() {
    if [ -n "$(mounted_type "$1$2")" ]; then printf '%s\n' "$1$2"; else printf '%s\n' "$1"; fi
}

# check_esp DEST: every EFI system partition that is mounted has what firmware starts by default,
# and the file that each of its boot entries names; what GRUB there searches is the file system
# with its configuration.
check_esp() {
    list_esps "$1" >"$BOEL_STATE/esps"
    while read -r source point; do
        is_program "$point/EFI/BOOT/BOOTX64.EFI" ||
            unresolved "$source has no EFI/BOOT/BOOTX64.EFI, which firmware starts without an entry"
        check_entries_of "$point" "$source"
        for file in "$point"/EFI/*/grubx64.efi "$point"/EFI/*/grub.cfg "$point"/EFI/BOOT/BOOTX64.EFI; do
            [ ! -f "$file" ] || check_grub_search "$file" "${file#"$point"}"
        done
    done <"$BOEL_STATE/esps"
    [ -s "$BOEL_STATE/esps" ] || unresolved "no EFI system partition with a folder EFI is mounted"
}

# list_esps DEST: a line "DEVICE POINT" for each that is mounted below it.
list_esps() {
    while read -r source point type _; do
        case $type,$point in
            vfat,"$1"/*) [ ! -d "$point/EFI" ] || printf '%s %s\n' "$source" "$point" ;;
        esac
    done </proc/mounts
}

is_program() {
    [ -f "$1" ] && [ "$(head -c 2 "$1")" = MZ ]
}

# check_entries_of POINT DEVICE: boot entries of the firmware that lead to this partition.
check_entries_of() {
    part=$(blkid -p -s PART_ENTRY_UUID -o value "$2") || return 0
    efibootmgr -v >"$BOEL_STATE/efi" 2>/dev/null || return 0
    grep -i "$part" "$BOEL_STATE/efi" | sed -n 's/.*\/\(File(\)\{0,1\}\(\\[^)]*\).*/\2/p' | tr '\134' / |
        while IFS= read -r path; do
            is_program "$1$path" || unresolved "a boot entry of the firmware names $path, which is not on $2"
        done
}

# check_grub_search FILE NAME: GRUB's first stage holds, in plain text, what it searches.
check_grub_search() {
    strings "$1" | sed -n 's/^search\.fs_uuid \([0-9A-Fa-f-]*\) .*/\1/p' | sort -u | while read -r uuid; do
        resolve "UUID=$uuid" || unresolved "$2: no device is UUID=$uuid, which it searches"
    done
}
