# shellcheck shell=sh
# What an install keeps: whether it is what the layout says, before anything is written beside it.

# check_kept_disk DEVICE dos|gpt NUMBER=MIB...: whether the disk has this table, with these partitions
# in this order, of so many MiB: "512", or "16-60000" or "16-" where that is not the same on every
# disk. Says all that differs. What the layout does not name is left alone. Writes nothing.
check_kept_disk() {
    kept=$1 label=$2
    check_disk "$kept" 1
    shift 2
    sfdisk --dump "$kept" >"$BOEL_STATE/table" 2>/dev/null ||
        fail "the layout keeps what is on $kept, but that has no partition table"
    awk -v label="$label" -v wanted="$*" '
        function value(name) {
            match($0, name "= *[0-9]+")
            text = substr($0, RSTART, RLENGTH)
            sub(/.*[= ]/, "", text)
            return text + 0
        }
        /^label:/ { found = $2 }
        /^sector-size:/ { unit = $2 }
        /^\/dev\// {
            number = $1
            sub(/.*[^0-9]/, "", number)
            start[number] = value("start")
            mib[number] = int((value("size") * (unit ? unit : 512) + 1048575) / 1048576)
        }
        END {
            if (found != label) print "its table is " found ", not " label
            count = split(wanted, words, " ")
            for (i = 1; i <= count; i++) {
                split(words[i], pair, "=")
                number = pair[1]
                least = most = pair[2]
                if (split(pair[2], bounds, "-") == 2) {
                    least = bounds[1]
                    most = bounds[2] == "" ? mib[number] : bounds[2]
                }
                if (!(number in start)) {
                    print "there is no partition " number
                    continue
                }
                if (mib[number] < least + 0 || mib[number] > most + 0)
                    print "partition " number " has " mib[number] " MiB, not " pair[2]
                row = label == "dos" && number > 4
                if (start[number] < begun[row]) print "partition " number " lies before " last[row]
                begun[row] = start[number]
                last[row] = number
            }
        }' "$BOEL_STATE/table" >"$BOEL_STATE/differs"
    [ ! -s "$BOEL_STATE/differs" ] ||
        fail "the layout keeps what is on $kept, which is not as it says: $(paste -sd ';' "$BOEL_STATE/differs" | sed 's/;/; /g')"
    say "the partition table of $kept is as the layout says, and is kept"
}

# check_kept DEVICE TYPE [LABEL=...|UUID=...]: whether a partition that is kept holds the file system
# that the layout says. Writes nothing.
check_kept() {
    wait_for "$1"
    type=$(blkid -p -s TYPE -o value "$1") || :
    [ "$type" = "$2" ] || fail "the layout keeps $2 on $1, but that holds ${type:-nothing that is known}"
    if [ $# -gt 2 ]; then
        tag=$(blkid -p -s "${3%%=*}" -o value "$1") || :
        case $3 in
            UUID=*) same=$(printf '%s\n' "$tag" "${3#*=}" | tr '[:upper:]' '[:lower:]' | uniq | wc -l) ;;
            *) same=$(printf '%s\n' "$tag" "${3#*=}" | uniq | wc -l) ;;
        esac
        [ "$same" = 1 ] || fail "the layout keeps $3 on $1, but that is ${3%%=*}=${tag:-nothing}"
    fi
    say "$1 is kept"
}
