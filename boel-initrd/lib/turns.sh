# shellcheck shell=sh
# A server sends its image to a few clients at a time; the others wait for their turn.

# ask_turn wait|fetch|leave: the server's answer in $turn. As post.
ask_turn() {
    turn=
    post_error=$(timeout 20 busybox wget -q -O "$BOEL_STATE/turn" --post-file /dev/null \
        "$SI_HTTP/install/$SI_CLIENT/$SI_TOKEN/turn?doing=$1" 2>&1) || {
        ! server_said 403 || return 2
        return 1
    }
    read -r turn <"$BOEL_STATE/turn" || :
}

# wait_turn: until the server has room for this machine; says, and reports, in which place of how many
# it stands. A server that is away for a moment does not end the wait.
wait_turn() {
    told='' silent=0
    while :; do
        turn_code=0
        ask_turn wait || turn_code=$?
        case $turn_code:$turn in
            0:go) break ;;
            0:*) silent=0 ;;
            2:*) refused ;;
            *)
                silent=$((silent + 1))
                [ "$silent" -lt 100 ] || fail "the server gives nobody a turn: $post_error"
                ;;
        esac
        tell_place
        sleep 3
    done
    [ ! "$told" ] || report_place "its turn has come"
    hold_turn &
    echo "$!" >"$BOEL_STATE/turn.pid"
}

# tell_place: when it has changed since it was told.
tell_place() {
    # shellcheck disable=SC2086  # "wait PLACE WAITING SECONDS"
    set -- $turn
    [ "${1:-}" = wait ] && [ "$2 $3" != "$told" ] || return 0
    told="$2 $3"
    report_place "queued: place $2 of $3, waiting since $4 s"
}

# report_place TEXT...: to the console, and to the server as a word about the present phase.
report_place() {
    say "$*"
    printf %s "$*" >"$BOEL_STATE/place"
    event image "$BOEL_STATE/place" || :
}

# hold_turn: for as long as the install runs; a machine that says nothing loses its turn.
hold_turn() {
    while kill -0 "$$" 2>/dev/null; do
        ask_turn fetch || :
        sleep 10
    done </dev/null >/dev/null 2>&1
}

# end_turn: the image has come.
end_turn() {
    [ -s "$BOEL_STATE/turn.pid" ] || return 0
    read -r holder <"$BOEL_STATE/turn.pid"
    kill "$holder" 2>/dev/null || :
    rm -f "$BOEL_STATE/turn.pid"
    ask_turn leave || :
}
