# Compares what `stat -c '%f %u %g %s %t:%T %d:%i'` said of each path (first file) with the records of
# manifest.awk (second file), line by line; tells what differs. fat: roots of file systems without owners and
# modes, each followed by a slash, separated by spaces.

BEGIN {
    split("f 8 d 4 l a c 2 b 6 p 1", pairs, " ")
    for (number = 1; number < 12; number += 2)
        types[pairs[number]] = pairs[number + 1]
    roots = split(fat, root, " ")
}

function tell(what) {
    print $7 ": " what
    told++
}

# mode(STAT): the last four octal digits of the mode that stat wrote in hexadecimal.
function mode(stat,   value, at) {
    value = 0
    for (at = 1; at <= length(stat); at++)
        value = 16 * value + index("0123456789abcdef", substr(stat, at, 1)) - 1
    return sprintf("%04o", value % 4096)
}

function device(pair,   at) {
    at = index(pair, ":")
    return sprintf("%x:%x", substr(pair, 1, at - 1), substr(pair, at + 1))
}

function is_on_fat(path,   number) {
    for (number = 1; number <= roots; number++)
        if (index(path "/", root[number]) == 1)
            return 1
    return 0
}

NR == FNR { seen[NR] = $0; next }
told < 20 {
    split(seen[FNR], found, " ")
    inode[$7] = found[6]
    if ($1 == "h") {
        if (found[6] != inode[$6])
            tell("no further name of " $6)
        next
    }
    if (substr(found[1], 1, length(found[1]) - 3) != types[$1])
        tell("of another type")
    else if (!is_on_fat($7) && $1 != "l" && mode(found[1]) != $2)
        tell("mode " mode(found[1]) ", not " $2)
    if (!is_on_fat($7) && found[2] ":" found[3] != $3 ":" $4)
        tell("owner " found[2] ":" found[3] ", not " $3 ":" $4)
    if ($1 == "f" && found[4] != $5 "")
        tell(found[4] " bytes, not " $5)
    if (($1 == "c" || $1 == "b") && found[5] != device($6))
        tell("another device")
}
