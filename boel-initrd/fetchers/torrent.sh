# shellcheck shell=sh
# The transport torrent: the version's pack from the server and from all who install or have installed
# it. It is staged on the disk, for a swarm is fast when its peers fetch in no order; unpacking begins
# at once, with what comes in order. This machine then shares the pack until its disks are unmounted.
# With SI_FALLBACK, whatever the swarm does not give comes by http.

# fetch_tree DEST
fetch_tree() {
    staging=$1/.boel
    rm -rf "$staging"
    mkdir -m 700 "$staging"
    # check_tree is not to take what is staged for a part of the version.
    for path in . /pid /sent /image.tar.zst; do
        echo "./.boel${path#.}"
    done >"$BOEL_STATE/staged"
    rm -f "$BOEL_STATE/torrent.code" "$BOEL_STATE/http.code"
    : >"$BOEL_STATE/torrent.error"
    swarm=yes
    (prepare_swarm) || swarm=
    [ "$swarm" ] || [ "${SI_FALLBACK:-}" = http ] || exit 1
    unpacked=yes
    # Stdout is the pack here, so people are spoken to on stderr.
    {
        if [ ! "$swarm" ]; then
            fall_back 0 >&2 && fetch_rest 0
        elif ! join_swarm && deserted; then
            read -r sent <"$staging/sent"
            fall_back "$sent" >&2 && fetch_rest "$sent"
        fi
    } | unpack_pack "$1" || unpacked=
    refuse_faults
    [ "$unpacked" ] || fail_unpacking
}

# prepare_swarm: the client program, and the torrent that the signed manifest names.
prepare_swarm() {
    [ -r "$BOEL_LIB/torrent.py" ] || add_part torrent
    http_get "versions/$SI_IMAGE/$SI_VERSION/image.torrent" >"$BOEL_STATE/image.torrent" ||
        fail "no torrent of $SI_IMAGE@$SI_VERSION: $(http_fault)"
    echo "$(manifest_word torrent 3)  $BOEL_STATE/image.torrent" | sha256sum -c >/dev/null 2>&1 ||
        fail "the torrent of $SI_IMAGE@$SI_VERSION is not the one that its manifest names"
}

# join_swarm: the pack on stdout; the client program's exit code, kept in torrent.code.
join_swarm() {
    say "staging $(manifest_word pack 2) bytes of the pack on the disk; this machine shares them until it reboots" >&2
    rm -f "$BOEL_STATE/torrent.pipe"
    mkfifo "$BOEL_STATE/torrent.pipe"
    show_swarm <"$BOEL_STATE/torrent.pipe" >&2 &
    patience=300
    [ "${SI_FALLBACK:-}" != http ] || patience=60
    code=0
    python3 -I -S "$BOEL_LIB/torrent.py" "$BOEL_STATE/image.torrent" "$staging" \
        "$SI_HTTP/announce" 6881 "${TORRENT_PATIENCE_S:-$patience}" 2>"$BOEL_STATE/torrent.pipe" || code=$?
    wait "$!"
    [ "$code" = 0 ] || echo "$code" >"$BOEL_STATE/torrent.code"
    return "$code"
}

# show_swarm: what the client program says on stdin, told and kept.
show_swarm() {
    while IFS= read -r line; do
        case $line in
            'Could not find platform dependent libraries'*) continue ;; # it needs none
        esac
        say "$line"
        printf '%s\n' "$line" >>"$BOEL_STATE/torrent.error"
    done
}

# deserted: whether nobody sent anything any more, and something else may.
deserted() {
    [ "$code" = 3 ] && [ "${SI_FALLBACK:-}" = http ] && rm -f "$BOEL_STATE/torrent.code"
}

# fall_back OFFSET: wait until the server has room for this machine.
fall_back() {
    say "the swarm gives nothing; what follows byte $1 of the pack comes by http"
    wait_turn
}

# fetch_rest OFFSET: the pack from there on, on stdout. All of it is fetched, for wget that is given where
# to start goes back there whenever a connection breaks.
fetch_rest() {
    {
        http_get "versions/$SI_IMAGE/$SI_VERSION/image.tar.zst" || echo "$?" >"$BOEL_STATE/http.code"
    } | tail -c "+$(($1 + 1))"
}

# refuse_faults: whatever kept the pack from coming is told by its name. Who cannot write any more has
# lost its reader, who says why.
refuse_faults() {
    if grep -q 'No space left on device' "$BOEL_STATE/torrent.error"; then
        fail "a disk is full: No space left on device for the pack of $SI_IMAGE@$SI_VERSION beside its tree"
    fi
    if [ -s "$BOEL_STATE/torrent.code" ] && ! grep -q 'Broken pipe' "$BOEL_STATE/torrent.error"; then
        fail "the pack of $SI_IMAGE@$SI_VERSION does not come: $(tail -n 1 "$BOEL_STATE/torrent.error")"
    fi
    http_code=3
    [ ! -s "$BOEL_STATE/http.code" ] || read -r http_code <"$BOEL_STATE/http.code"
    [ "$http_code" = 3 ] || fail "the pack does not come: $(http_fault)"
}
