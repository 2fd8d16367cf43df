# shellcheck shell=sh
# What makes a copy a machine of its own: name and network from the server, its own machine id
# and ssh host keys.

# configure_client DEST: directories keep the times, modes and owners that the image gave them.
configure_client() {
    remember_times "$1/etc" "$1/etc/ssh" "$1/var/lib/dbus"
    copy_identity "$1"
    new_machine_id "$1"
    new_host_keys "$1"
    restore_times
}

# copy_identity DEST: the bundle's identity/, files only: existing directories stay as they are.
copy_identity() {
    identity=$BOEL_STATE/bundle/identity
    [ -d "$identity" ] || return 0
    find "$identity" -mindepth 1 -type d >"$BOEL_STATE/identity.folders"
    while IFS= read -r folder; do
        remember_times "$1${folder#"$identity"}"
    done <"$BOEL_STATE/identity.folders"
    (cd "$identity" && find . ! -type d -print0) |
        rsync -aHAX --numeric-ids --no-implied-dirs --from0 --files-from=- "$identity/" "$1/"
}

# new_machine_id DEST: random, as systemd-machine-id-setup would make it.
new_machine_id() {
    read -r uuid </proc/sys/kernel/random/uuid
    id=$(printf %s "$uuid" | tr -d -)
    write_machine_id "$1/etc/machine-id"
    if [ -f "$1/var/lib/dbus/machine-id" ] && [ ! -L "$1/var/lib/dbus/machine-id" ]; then
        write_machine_id "$1/var/lib/dbus/machine-id"
    fi
}

write_machine_id() {
    rm -f "$1"
    printf '%s\n' "$id" >"$1"
    chmod 0444 "$1"
}

# new_host_keys DEST: of the kinds that the installed OpenSSH makes by itself.
new_host_keys() {
    [ -x "$1/usr/sbin/sshd" ] || return 0
    rm -f "$1"/etc/ssh/ssh_host_*_key "$1"/etc/ssh/ssh_host_*_key.pub
    mount_for_chroot "$1"
    in_chroot "$1" ssh-keygen -A
}
