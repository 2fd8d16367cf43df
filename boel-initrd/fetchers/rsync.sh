# shellcheck shell=sh
# The transport rsync: from the version's tree on the server, or straight from the image's.

# fetch_tree DEST: mkfs made lost+found itself.
fetch_tree() {
    rsync_tree "$SI_IMAGE${SI_VERSION:+@$SI_VERSION}" "$1" --no-inc-recursive --exclude=/lost+found
}
