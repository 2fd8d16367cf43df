# shellcheck shell=sh
# The image and its overrides, from the server onto the new file systems.

# fetch_image DEST: the way SI_TRANSPORT says; fetch-TRANSPORT.sh defines fetch_tree DEST. Whatever
# brought it, a version is then checked against its manifest.
fetch_image() {
    case $SI_TRANSPORT in
        *[!a-z]* | '') fail "the transport \"$SI_TRANSPORT\" has no fit name" ;;
    esac
    [ -r "$BOEL_LIB/fetch-$SI_TRANSPORT.sh" ] || fail "BOEL has no transport $SI_TRANSPORT"
    # shellcheck source=../fetchers/rsync.sh
    . "$BOEL_LIB/fetch-$SI_TRANSPORT.sh"
    if [ "$SI_VERSION" ]; then
        say "image $SI_IMAGE@$SI_VERSION by $SI_TRANSPORT"
    else
        say "image $SI_IMAGE (captured $SI_CAPTURED) by $SI_TRANSPORT"
    fi
    start_host_keys
    [ "$SI_TRANSPORT" = torrent ] || wait_turn
    fetch_tree "$1"
    end_turn
    [ -z "$SI_VERSION" ] || check_tree "$1"
    [ -d "$1/etc" ] || fail "the image $SI_IMAGE has no /etc: it is empty, or no system"
}

# fetch_overrides DEST: the least important first. An override says nothing about / itself.
fetch_overrides() {
    for override in $SI_OVERRIDES; do
        say "override $override"
        owner=$(stat -c %u:%g "$1")
        mode=$(stat -c %a "$1")
        remember_times "$1"
        rsync_tree "override-$override" "$1"
        chown "$owner" "$1"
        chmod "$mode" "$1"
        restore_times
    done
}

# rsync_tree MODULE DEST [OPTION...]: copy a module of the server with everything that a file can
# have (times to the nanosecond); a connection that breaks is taken up again where it broke.
rsync_tree() {
    module=$1 destination=$2
    shift 2
    for pause in 1 2 4 8 0; do
        rm -f "$BOEL_STATE/rsync.code"
        {
            rsync -aHAXS --numeric-ids --modify-window=-1 --timeout=180 --contimeout=20 \
                --info=progress2 --outbuf=L "$@" "$SI_RSYNC/$module/" "$destination/" || echo "$?" >"$BOEL_STATE/rsync.code"
        } | show_progress
        [ -s "$BOEL_STATE/rsync.code" ] || return 0
        read -r rsync_code <"$BOEL_STATE/rsync.code"
        case $rsync_code in
            5 | 10 | 12 | 24 | 30 | 35) ;; # the network or the server was away, or files vanished
            *) break ;;
        esac
        [ "$pause" = 0 ] || say "rsync ended with exit code $rsync_code; again in $pause s"
        sleep "$pause"
    done
    fail "rsync of $SI_RSYNC/$module ended with exit code $rsync_code"
}

# show_progress: rsync's progress on stdin, a line every five seconds and a last one.
show_progress() {
    read -r uptime _ </proc/uptime
    next=$((${uptime%.*} + 5)) bytes=0 percent='' speed='none sent'
    tr '\r' '\n' | {
        while read -r word1 word2 word3 _; do
            case $word2 in
                [0-9]*%) bytes=$word1 percent=$word2 speed=$word3 ;;
                *) continue ;;
            esac
            read -r uptime _ </proc/uptime
            [ "${uptime%.*}" -ge "$next" ] || continue
            next=$((${uptime%.*} + 5))
            say "$bytes bytes, $percent, $speed"
        done
        say "$bytes bytes copied, $speed"
    }
}
