# shellcheck shell=sh
# The transport rsync: straight from the image's directory on the server.

# fetch_tree DEST: mkfs made lost+found itself.
fetch_tree() {
    rsync_tree "$SI_IMAGE" "$1" --no-inc-recursive --exclude=/lost+found
}
