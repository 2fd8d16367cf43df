# shellcheck shell=sh
# Running the installed system's own programs, and the administrator's scripts.

# mount_for_chroot DEST: /dev, /proc, /sys and /run for programs in it; unmount_all ends them. Hooks
# of kernels and initramfs look for devices by the names that udev makes.
mount_for_chroot() {
    grep -q " $1/dev " /proc/mounts || link_devices
    for point in dev proc sys run; do
        if [ ! -d "$1/$point" ]; then
            remember_times "$1"
            mkdir "$1/$point"
            restore_times
        fi
        grep -q " $1/$point " /proc/mounts || mount -o rbind "/$point" "$1/$point"
    done
}

# in_chroot DEST COMMAND...: with a PATH that suits the installed system.
in_chroot() {
    chroot=$(command -v chroot)
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$chroot" "$@"
}

# run_scripts pre-install, run_scripts post-install DEST: the administrator's scripts, in the
# order the server chose; the first that fails ends the install. They see the variables of
# header.sh, HOSTNAME and IMAGENAME. A pre-install script may leave variables for the master script
# in /tmp/pre-install_variables.txt. Post-install scripts run inside DEST, where /run is BOEL's:
# they are started from there, and nothing of them stays on the disk.
run_scripts() {
    [ -s "$BOEL_STATE/bundle/$1.order" ] || return 0
    [ "$1" != post-install ] || mount_for_chroot "$2"
    while read -r script <&4; do
        case $script in
            *[!A-Za-z0-9._+-]* | .* | '') fail "a $1 script has no fit name: $script" ;;
        esac
        say "$1 script $script"
        chmod 0755 "$BOEL_STATE/bundle/$1/$script"
        (run_script "$@") 4<&- || fail "$1 script $script ended with exit code $?"
    done 4<"$BOEL_STATE/bundle/$1.order"
    if [ "$1" = pre-install ] && [ -s /tmp/pre-install_variables.txt ]; then
        # shellcheck disable=SC1091  # made by the administrator's scripts
        . /tmp/pre-install_variables.txt
    fi
}

run_script() {
    set -a
    # shellcheck disable=SC1091  # made by the server
    . "$BOEL_STATE/header.sh"
    set +a
    export HOSTNAME="$SI_CLIENT" IMAGENAME="$SI_IMAGE"
    program=$BOEL_STATE/bundle/$1/$script
    if [ "$1" = post-install ]; then
        in_chroot "$2" "$program"
    else
        "$program"
    fi
}
