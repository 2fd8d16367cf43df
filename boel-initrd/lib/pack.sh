# shellcheck shell=sh
# A version's pack, from whatever brings it, onto the new file systems.

# unpack_pack DEST: the pack on stdin, by the command line of si-version(5). Tells how far it is; fails with
# tar's first complaints told and kept, for fail_unpacking.
unpack_pack() {
    rm -f "$BOEL_STATE/tar.code"
    {
        tar --zstd --xattrs --xattrs-include='*' --acls --numeric-owner -xpf - --directory="$1" \
            --warning=no-timestamp --checkpoint=1000 --checkpoint-action=echo='record %u' &&
            echo 0 >"$BOEL_STATE/tar.code"
    } 2>&1 | show_unpacking
    [ -s "$BOEL_STATE/tar.code" ]
}

# show_unpacking: tar's messages on stdin. A line every five seconds says how much of the tree has come. After ten
# complaints it ends, and tar with it: a full disk would give one for each file that is left.
show_unpacking() {
    : >"$BOEL_STATE/tar.error"
    tree_bytes=$(manifest_word tree 3)
    read -r uptime _ </proc/uptime
    began=${uptime%.*} next=$((${uptime%.*} + 5)) bytes=0 complaints=0
    while IFS= read -r line; do
        case $line in
            'tar: record '*)
                bytes=$((${line##* } * 10240))
                read -r uptime _ </proc/uptime
                [ "${uptime%.*}" -ge "$next" ] || continue
                say "$bytes bytes, $(percent), $(speed)"
                next=$((${uptime%.*} + 5))
                ;;
            *)
                printf '%s\n' "$line" | tee -a "$BOEL_STATE/tar.error"
                complaints=$((complaints + 1))
                [ "$complaints" -lt 10 ] || return 0
                ;;
        esac
    done
    [ "$complaints" = 0 ] || return 0
    bytes=$tree_bytes
    say "$bytes bytes of files unpacked, $(speed)"
}

# percent, speed: for show_unpacking. tar counts its headers too.
percent() {
    percent=$((100 * bytes / (tree_bytes + 1)))
    [ "$percent" -lt 100 ] || percent=99
    echo "$percent%"
}

speed() {
    read -r uptime _ </proc/uptime
    echo "$((bytes / (${uptime%.*} - began + 1) / 1024))kB/s"
}

# fail_unpacking: by the name of what is wrong.
fail_unpacking() {
    if grep -q 'No space left on device' "$BOEL_STATE/tar.error"; then
        fail "a disk is full: the layout has less room than $SI_IMAGE@$SI_VERSION takes"
    fi
    fail "the pack of $SI_IMAGE@$SI_VERSION cannot be unpacked: $(head -n 1 "$BOEL_STATE/tar.error")"
}
