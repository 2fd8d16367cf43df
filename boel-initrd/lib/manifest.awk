# Reads paths to pass over, a line each, then a manifest, see si-version(5); writes into the folder `out`:
#   sums     a line for sha256sum -c for each file
#   paths    each path, ended by a NUL
#   links    each symbolic link, ended by a NUL; targets: where they lead, likewise
#   records  a line for each path: KIND MODE UID GID SIZE CONTENT PATH, as they stand in the manifest
# A path begins with a dot, for the tree that is looked at is the present directory.

function hex(pair) {
    return 16 * (index("0123456789ABCDEF", substr(pair, 1, 1)) - 1) + \
        index("0123456789ABCDEF", substr(pair, 2, 1)) - 1
}

# plain(WORD): the bytes that it stands for.
function plain(word,   text, at) {
    text = ""
    while ((at = index(word, "%")) > 0) {
        text = text substr(word, 1, at - 1) sprintf("%c", hex(substr(word, at + 1, 2)))
        word = substr(word, at + 3)
    }
    return text word
}

# swap(TEXT, OLD, NEW): with NEW for each OLD; neither is a pattern.
function swap(text, old, new,   done, at) {
    done = ""
    while ((at = index(text, old)) > 0) {
        done = done substr(text, 1, at - 1) new
        text = substr(text, at + length(old))
    }
    return done text
}

# sum_line(HASH, WORD): as sha256sum writes it, which marks a line whose name has a backslash or a line's end.
function sum_line(hash, word) {
    if (!index(word, "\\") && !index(word, "%0A") && !index(word, "%0D"))
        return hash "  " plain(word)
    word = swap(swap(swap(word, "\\", "\\\\"), "%0A", "\\n"), "%0D", "\\r")
    return "\\" hash "  " plain(word)
}

NR == FNR { own[$0]; next }
$0 == "paths" { listed = 1; next }
$0 == "end" { listed = 0 }
listed {
    word = $10 == "/" ? "." : "." $10
    if (word in own)
        next
    if ($1 == "f")
        print sum_line($7, word) >(out "/sums")
    if ($1 == "l") {
        printf "%s%c", plain(word), 0 >(out "/links")
        printf "%s%c", plain($7), 0 >(out "/targets")
    }
    printf "%s%c", plain(word), 0 >(out "/paths")
    print $1, $2, $3, $4, $6, ($1 == "h" ? "." $7 : $7), word >(out "/records")
}
