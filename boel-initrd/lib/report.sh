# shellcheck shell=sh
# Telling people and the server what happens: console lines, events, the log.

# say TEXT...: a line with the seconds since the kernel started.
say() {
    read -r uptime _ </proc/uptime
    printf 'boel: [%s] %s\n' "$uptime" "$*"
}

# fail TEXT...: says why and ends the install; init reports it and leaves a shell.
fail() {
    say "error: $*" >&2
    exit 1
}

# post ADDRESS FILE: POST a file below this install's address. 0: taken. 2: the server refuses
# this machine (403). 1: anything else. Why is in $post_error. wget ends a body at the first NUL,
# so a FILE must have none.
post() {
    post_error=$(timeout 20 busybox wget -q -O /dev/null --header 'Content-Type: application/octet-stream' \
        --post-file "$2" "$SI_HTTP/install/$SI_CLIENT/$SI_TOKEN/$1" 2>&1) && return 0
    ! server_said 403 || return 2
    return 1
}

# server_said STATUS: whether $post_error is busybox wget's word for this HTTP status.
server_said() {
    case $post_error in
        *"server returned error: HTTP/"*" $1 "*) return 0 ;;
    esac
    return 1
}

# event PHASE [FILE]: tell the server once; FILE holds the details. As post.
event() {
    read -r uptime _ </proc/uptime
    post "events?phase=$1&uptime=$uptime" "${2:-/dev/null}"
}

# try_event PHASE [FILE]: tell the server, trying for some seconds. As post.
try_event() {
    for pause in 1 2 4 0; do
        event_code=0
        event "$@" || event_code=$?
        case $event_code in
            0 | 2) return "$event_code" ;;
        esac
        sleep "$pause"
    done
    return 1
}

# phase NAME: a new part of the install begins. A server that is away for a moment does not stop
# it; one that refuses this machine does, for it was disarmed. "written" must be acknowledged.
phase() {
    echo "$1" >"$BOEL_STATE/phase"
    say "phase $1"
    if [ "$1" = written ]; then
        report_written
        return
    fi
    phase_code=0
    try_event "$1" || phase_code=$?
    case $phase_code in
        1) say "the server did not take the event $1: $post_error" ;;
        2) refused ;;
    esac
}

# refused: the server does not want this machine to be installed (any more).
refused() {
    : >"$BOEL_STATE/refused"
    say "This machine is not armed: the server refuses it ($post_error)." >&2
    fail "arm it on the server: si-mkclientnetboot --netboot --clients $SI_CLIENT"
}

# report_written: the server turns the netboot entry to the local disk when it hears this. Until
# it has, a reboot would install again; so this waits ten minutes for it and then fails.
report_written() {
    read -r start _ </proc/uptime
    while :; do
        event_code=0
        event written || event_code=$?
        case $event_code in
            0)
                : >"$BOEL_STATE/written"
                return 0
                ;;
            2) refused ;;
        esac
        read -r now _ </proc/uptime
        [ $((${now%.*} - ${start%.*})) -lt 600 ] || break
        say "the disk is written, but the server does not know: $post_error; trying again"
        sleep 5
    done
    fail "the disk is written, but the server never heard of it and would install it again"
}

# upload_log NAME: send what the log has and the server has not; once more from its beginning when the
# server has less than we thought (it skips what it has). NAME: a file for the piece under way.
upload_log() {
    sent=0 again=yes piece=$BOEL_STATE/$1
    [ -s "$BOEL_STATE/log.sent" ] && read -r sent <"$BOEL_STATE/log.sent"
    while size=$(stat -c %s "$BOEL_STATE/console.log") && [ "$size" -gt "$sent" ]; do
        tail -c "+$((sent + 1))" "$BOEL_STATE/console.log" | head -c 262144 |
            tr '\000' ' ' >"$piece"
        if post "log?offset=$sent" "$piece"; then
            sent=$((sent + $(stat -c %s "$piece")))
        elif [ "$again" ] && server_said 409; then
            sent=0 again=
        else
            return 1
        fi
        echo "$sent" >"$BOEL_STATE/log.sent"
    done
}

# start_uploads, stop_uploads: keep the server's copy of the log at most two seconds behind.
start_uploads() {
    while :; do
        upload_log log.piece
        sleep 2
    done </dev/null >/dev/null 2>&1 &
    echo "$!" >"$BOEL_STATE/uploads.pid"
}

stop_uploads() {
    [ -s "$BOEL_STATE/uploads.pid" ] || return 0
    read -r uploads <"$BOEL_STATE/uploads.pid"
    kill "$uploads" 2>/dev/null
    rm -f "$BOEL_STATE/uploads.pid"
}

# flush_log: the rest of the log, trying for some seconds. What stop_uploads interrupted may still
# write its own piece.
flush_log() {
    for pause in 1 2 0; do
        upload_log log.last && return 0
        sleep "$pause"
    done
    return 1
}
