# shellcheck shell=sh
# Parts of this flavor that only some installs need. They are not in the initrd, but their hashes are.

# add_part NAME: fetch it and lay it over the running BOEL.
add_part() {
    part=$BOEL_STATE/$1.img
    http_get "flavors/$SI_ARCH/$SI_FLAVOR/$1.img" >"$part" ||
        fail "no $1.img of the flavor $SI_FLAVOR: $(http_fault)"
    read -r sum <"$BOEL_LIB/$1.sha256"
    echo "$sum  $part" | sha256sum -c >/dev/null 2>&1 ||
        fail "$1.img is of another build of the flavor $SI_FLAVOR than what this machine booted: boot it again"
    zstd -dc "$part" | (cd "${BOEL_ROOT:-/}" && cpio -idu) || fail "$1.img cannot be unpacked"
    rm -f "$part"
}
