# shellcheck shell=sh
# What the transport torrent leaves behind on the new file systems.

# stop_sharing DEST: end the program that shares the pack, and remove the pack; DEST keeps its time.
stop_sharing() {
    [ -d "$1/.boel" ] || return 0
    if [ -s "$1/.boel/pid" ]; then
        read -r sharing <"$1/.boel/pid"
        kill "$sharing" 2>/dev/null || :
        while [ -e "/proc/$sharing/exe" ]; do
            usleep 100000
        done
    fi
    remember_times "$1"
    rm -rf "$1/.boel"
    restore_times
}
