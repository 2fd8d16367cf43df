# shellcheck shell=sh
# An installed directory has the time that it has in the image, though BOEL puts files into it.

# remember_times DIRECTORY...: note their times (to the nanosecond); those that are not there are
# left out. restore_times puts them back.
remember_times() {
    mkdir -p "$BOEL_STATE/times"
    for directory in "$@"; do
        [ -d "$directory" ] || continue
        times_count=$((${times_count:-0} + 1))
        touch -r "$directory" "$BOEL_STATE/times/$times_count"
        printf '%s\n' "$directory" >"$BOEL_STATE/times/$times_count.path"
    done
}

restore_times() {
    while [ "${times_count:-0}" -gt 0 ]; do
        IFS= read -r directory <"$BOEL_STATE/times/$times_count.path"
        touch -c -r "$BOEL_STATE/times/$times_count" "$directory"
        times_count=$((times_count - 1))
    done
    rm -rf "$BOEL_STATE/times"
}
