# shellcheck shell=sh
# The end of an install.

# unmount_all DEST: everything on it and below, the deepest first; swap off; arrays, containers and
# volumes closed; all of it on disk.
unmount_all() {
    stop_sharing "$1"
    swapoff -a
    points=
    while read -r _ point _; do
        case $point in
            "$1" | "$1"/*) points="$point $points" ;;
        esac
    done </proc/mounts
    for point in $points; do
        # /proc/mounts has a space as \040.
        point=$(printf %b "$point")
        umount "$point" 2>/dev/null || unmount_busy "$1" "$point"
    done
    stop_layers
    sync
}

# unmount_busy DEST POINT: a daemon that a post-install script started may still run in DEST.
unmount_busy() {
    for process in /proc/[0-9]*; do
        [ "$(readlink "$process/root")" = "$1" ] || continue
        say "ending a program left in $1: $(tr '\000' ' ' <"$process/cmdline")"
        kill -9 "${process#/proc/}"
    done
    usleep 300000
    umount "$2" || fail "cannot unmount $2"
}

# finish reboot|poweroff|shell: the last line of a master script; init does it, once the log has
# been sent. Never before the server has acknowledged "written".
finish() {
    case $1 in
        reboot | poweroff | shell) ;;
        *) fail "finish what? \"$1\"" ;;
    esac
    [ -e "$BOEL_STATE/written" ] || phase written
    echo "$1" >"$BOEL_STATE/finish"
    say "done: $1"
    exit 0
}
