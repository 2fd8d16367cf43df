# shellcheck shell=sh
# The transport torrent: the version's pack from the server and from all who install or have installed
# it. It is staged on the disk, for a swarm is fast when its peers fetch in no order; unpacking begins
# at once, with what comes in order. This machine then shares the pack until its disks are unmounted.

# fetch_tree DEST
fetch_tree() {
    [ -r "$BOEL_LIB/torrent.py" ] || add_part torrent
    staging=$1/.boel
    rm -rf "$staging"
    mkdir -m 700 "$staging"
    # check_tree is not to take what is staged for a part of the version.
    for path in . /pid /sent /image.tar.zst; do
        echo "./.boel${path#.}"
    done >"$BOEL_STATE/staged"
    fetch_torrent
    say "staging $(manifest_word pack 2) bytes of the pack on the disk; this machine shares them until it reboots"
    rm -f "$BOEL_STATE/torrent.code" "$BOEL_STATE/torrent.pipe"
    mkfifo "$BOEL_STATE/torrent.pipe"
    show_swarm <"$BOEL_STATE/torrent.pipe" &
    unpacked=yes
    {
        python3 -I -S "$BOEL_LIB/torrent.py" "$BOEL_STATE/image.torrent" "$staging" \
            "$SI_HTTP/announce" 6881 "${TORRENT_PATIENCE_S:-300}" 2>"$BOEL_STATE/torrent.pipe" ||
            echo "$?" >"$BOEL_STATE/torrent.code"
    } | unpack_pack "$1" || unpacked=
    wait "$!"
    if grep -q 'No space left on device' "$BOEL_STATE/torrent.error"; then
        fail "a disk is full: No space left on device for the pack of $SI_IMAGE@$SI_VERSION beside its tree"
    fi
    if [ -s "$BOEL_STATE/torrent.code" ] && ! grep -q 'Broken pipe' "$BOEL_STATE/torrent.error"; then
        fail "the pack of $SI_IMAGE@$SI_VERSION does not come: $(tail -n 1 "$BOEL_STATE/torrent.error")"
    fi
    [ "$unpacked" ] || fail_unpacking
}

# show_swarm: what the client program says on stdin, told and kept.
show_swarm() {
    : >"$BOEL_STATE/torrent.error"
    while IFS= read -r line; do
        case $line in
            'Could not find platform dependent libraries'*) continue ;; # it needs none
        esac
        say "$line"
        printf '%s\n' "$line" >>"$BOEL_STATE/torrent.error"
    done
}

# fetch_torrent: the torrent that the signed manifest names.
fetch_torrent() {
    http_get "versions/$SI_IMAGE/$SI_VERSION/image.torrent" >"$BOEL_STATE/image.torrent" ||
        fail "no torrent of $SI_IMAGE@$SI_VERSION: $(http_fault)"
    echo "$(manifest_word torrent 3)  $BOEL_STATE/image.torrent" | sha256sum -c >/dev/null 2>&1 ||
        fail "the torrent of $SI_IMAGE@$SI_VERSION is not the one that its manifest names"
}
