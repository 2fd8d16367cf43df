# shellcheck shell=sh
# The transport http: the version's pack as one stream, nothing of it is kept.

# fetch_tree DEST
fetch_tree() {
    rm -f "$BOEL_STATE/http.code"
    unpacked=yes
    {
        http_get "versions/$SI_IMAGE/$SI_VERSION/image.tar.zst" || echo "$?" >"$BOEL_STATE/http.code"
    } | unpack_pack "$1" || unpacked=
    # 3: it could not write, as nobody unpacks any more.
    http_code=3
    [ -s "$BOEL_STATE/http.code" ] && read -r http_code <"$BOEL_STATE/http.code"
    [ "$http_code" = 3 ] || fail "the pack does not come: $(http_fault)"
    [ "$unpacked" ] || fail_unpacking
}
