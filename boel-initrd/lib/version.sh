# shellcheck shell=sh
# A published version is believed only after its signature, and a tree only after it was compared.

# check_signature FILE NAMESPACE WHAT: FILE.sig is the signature of FILE by the site whose key this
# flavor was built with, written exactly as ssh-keygen writes it: ssh-keygen itself forgives other
# line ends, and a flipped bit could hide there.
check_signature() {
    {
        echo '-----BEGIN SSH SIGNATURE-----'
        sed '1d;$d' "$1.sig" | base64 -d 2>/dev/null | base64 -w 70
        echo '-----END SSH SIGNATURE-----'
    } | cmp -s - "$1.sig" || fail "the signature of $3 is spoiled"
    ssh-keygen -q -Y verify -n "$2" -I si -f "$BOEL_LIB/signers" -s "$1.sig" <"$1" >/dev/null 2>&1 ||
        fail "$3 is not what the site signed whose key this flavor was built with"
}

# fetch_manifest: of the version that this client is armed with, before anything is written.
fetch_manifest() {
    [ "$SI_VERSION" ] || return 0
    manifest=$BOEL_STATE/manifest
    for file in manifest manifest.sig; do
        http_get "versions/$SI_IMAGE/$SI_VERSION/$file" >"$BOEL_STATE/$file" ||
            fail "no $file of $SI_IMAGE@$SI_VERSION: $(http_fault)"
    done
    check_signature "$manifest" si-version "the manifest of $SI_IMAGE@$SI_VERSION"
    head -n 3 "$manifest" >"$BOEL_STATE/manifest.head"
    printf 'si-manifest 1\nimage %s\nversion %s\n' "$SI_IMAGE" "$SI_VERSION" |
        cmp -s - "$BOEL_STATE/manifest.head" ||
        fail "the manifest is not one of $SI_IMAGE@$SI_VERSION that this flavor can read"
}

# manifest_word KEY NUMBER: a word of the manifest's head.
manifest_word() {
    sed -n "/^$1 /{p;q}" "$BOEL_STATE/manifest" | cut -d ' ' -f "$2"
}

# check_tree DEST: whether each path of the manifest is there with its type, mode, owner, size, target
# and content, and nothing else is. Fails with the names of what differs.
check_tree() {
    say "checking $(manifest_word tree 2) paths against the manifest of $SI_IMAGE@$SI_VERSION"
    lists=$BOEL_STATE/lists
    rm -rf "$lists"
    mkdir "$lists"
    for list in own points sums paths links targets records; do
        : >"$lists/$list"
    done
    list_own "$1"
    awk -v out="$lists" -f "$BOEL_LIB/manifest.awk" "$lists/own" "$BOEL_STATE/manifest"
    # Names may be anything; cat -v keeps them from driving the console.
    (cd "$1" && tell_differences) 2>&1 | head -n 40 | cat -v >"$lists/differences"
    if [ -s "$lists/differences" ]; then
        cat "$lists/differences"
        fail "what was installed is not $SI_IMAGE@$SI_VERSION: $(head -n 1 "$lists/differences")"
    fi
    rm -rf "$lists"
}

# list_own DEST: what new file systems have of their own, and what is staged on them (own), the folders
# that they are mounted on (points), and which of them know no modes and owners ($fat, as compare.awk wants it).
list_own() {
    fat=
    echo ./lost+found >"$lists/own"
    [ ! -e "$BOEL_STATE/staged" ] || cat "$BOEL_STATE/staged" >>"$lists/own"
    echo . >"$lists/points"
    while read -r _ point kind _; do
        point=$(printf %b "$point") # /proc/mounts has a space as \040
        case $point in
            "$1"/*) path=.${point#"$1"} ;;
            *) continue ;;
        esac
        echo "$path/lost+found" >>"$lists/own"
        [ "$kind" != vfat ] || fat="$fat $path/"
        while [ "$path" != . ]; do
            echo "$path"
            path=${path%/*}
        done >>"$lists/points"
    done </proc/mounts
}

# tell_differences: of the present directory and $lists, a line each. What is missing or too much is
# told first, for the rest relies on every path being there.
tell_differences() {
    find . -print0 | as_lines >"$lists/seen"
    as_lines <"$lists/paths" >"$lists/wanted"
    awk -f "$BOEL_LIB/missing.awk" "$lists/own" "$lists/points" "$lists/wanted" "$lists/seen" >"$lists/strays"
    if [ -s "$lists/strays" ]; then
        cat "$lists/strays"
        return
    fi
    # Paths, for busybox's xargs takes an applet into its own process, which then reads the list twice.
    xargs -0 "$(command -v stat)" -c '%f %u %g %s %t:%T %d:%i' <"$lists/paths" >"$lists/seen"
    awk -v fat="$fat" -f "$BOEL_LIB/compare.awk" "$lists/seen" "$lists/records"
    xargs -0 -r "$(command -v readlink)" -z <"$lists/links" >"$lists/seen"
    if ! cmp -s "$lists/seen" "$lists/targets"; then
        for list in seen targets links; do
            as_lines <"$lists/$list" >"$lists/$list.lines"
        done
        awk 'FNR == 1 { file++ } { line[file, FNR] = $0 }
            file == 3 && line[1, FNR] != line[2, FNR] { print $0 ": leads to " line[1, FNR] }' \
            "$lists/seen.lines" "$lists/targets.lines" "$lists/links.lines"
    fi
    sha256sum --check --quiet "$lists/sums" || :
}

# as_lines: names that end in a NUL as lines.
as_lines() {
    tr '\n\000' '\001\n'
}
