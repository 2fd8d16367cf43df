# Which paths are missing or too much. Files: `own` and `points` of version.sh, which are no difference, the
# paths that are wanted, and those that were seen; each a path a line.

FNR == 1 { file++ }
file < 3 { ours[$0]; next }
file == 3 { wanted[$0]; next }
$0 in wanted { delete wanted[$0]; next }
!($0 in ours) { print $0 ": is not of the version" }

END {
    for (path in wanted)
        print path ": is missing"
}
