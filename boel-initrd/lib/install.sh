#!/bin/sh
# The install, run by init: drivers, network, the server's bundle, and the master script in it.
set -eu

# shellcheck source=functions.sh
. /lib/boel/functions.sh
# shellcheck source=network.sh
. /lib/boel/network.sh

# report_started: the server answers 403 to a machine that is not armed: nothing is done to it.
report_started() {
    read -r start _ </proc/uptime
    while :; do
        code=0
        try_event started || code=$?
        case $code in
            0) return 0 ;;
            2) refused ;;
        esac
        read -r now _ </proc/uptime
        [ $((${now%.*} - ${start%.*})) -lt 60 ] || fail "$SI_HTTP does not answer: $post_error"
        say "$SI_HTTP does not answer yet: $post_error"
    done
}

# fetch_bundle: master script, its header, the administrator's scripts, the client's identity: a tar
# and the site's signature of it, in a tar.
fetch_bundle() {
    address=$SI_HTTP/install/$SI_CLIENT/$SI_TOKEN/bundle.tar
    for pause in 1 2 4 8 15 30 0; do
        post_error=$(timeout 60 busybox wget -q -O "$BOEL_STATE/bundle.tar" "$address" 2>&1) && break
        ! server_said 403 || refused
        ! server_said 404 || fail "the server cannot make this client's bundle; its log says why"
        [ "$pause" != 0 ] || fail "the bundle does not come from $SI_HTTP: $post_error"
        say "the bundle does not come yet: $post_error; again in $pause s"
        sleep "$pause"
    done
    mkdir -p "$BOEL_STATE/bundle" "$BOEL_STATE/signed"
    tar -x -f "$BOEL_STATE/bundle.tar" -C "$BOEL_STATE/signed" install.tar install.tar.sig ||
        fail "the server's bundle is not signed"
    check_signature "$BOEL_STATE/signed/install.tar" si-install "the bundle with the master script"
    tar -x --numeric-owner -f "$BOEL_STATE/signed/install.tar" -C "$BOEL_STATE/bundle"
    for file in header.sh master.sh; do
        [ -s "$BOEL_STATE/bundle/$file" ] || fail "the server's bundle has no $file"
    done
    cp "$BOEL_STATE/bundle/header.sh" "$BOEL_STATE/header.sh"
}

# read_header: the server's values from here on. What it signed for another client, or for an earlier
# arming of this one, is refused: each arming has a token of its own.
read_header() {
    armed=$SI_CLIENT/$SI_TOKEN SI_IMAGE='' SI_VERSION=''
    # shellcheck source=/dev/null  # made by the server
    . "$BOEL_STATE/header.sh"
    [ "$SI_CLIENT/$SI_TOKEN" = "$armed" ] || fail "the bundle is not for this arming of this client"
}

echo started >"$BOEL_STATE/phase"
say "BOEL on Linux $(uname -r)"
if [ -z "$SI_HTTP" ] || [ -z "$SI_CLIENT" ] || [ -z "$SI_TOKEN" ]; then
    fail "the kernel command line lacks si.server, si.client or si.token: nothing to install"
fi
hostname "$SI_CLIENT"
load_modules
bring_up_network
report_started
start_uploads
fetch_bundle
read_header
fetch_manifest
say "the master script begins"
sh "$BOEL_STATE/bundle/master.sh"
