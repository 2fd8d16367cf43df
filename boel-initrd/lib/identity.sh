# shellcheck shell=sh
# What makes a copy a machine of its own: name and network from the server, its own machine id
# and ssh host keys.

# configure_client DEST: directories keep the times, modes and owners that the image gave them.
configure_client() {
    mount_for_chroot "$1"
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

# start_host_keys: finding the primes of an RSA key takes seconds, so it is done while the image
# comes.
start_host_keys() {
    mkdir -p "$BOEL_STATE/keys/etc/ssh"
    ssh-keygen -A -f "$BOEL_STATE/keys" </dev/null >"$BOEL_STATE/keys.log" 2>&1 &
    host_keys_id=$!
}

# new_host_keys DEST: the installed OpenSSH adds the kinds that only it makes.
new_host_keys() {
    [ -x "$1/usr/sbin/sshd" ] || return 0
    rm -f "$1"/etc/ssh/ssh_host_*_key "$1"/etc/ssh/ssh_host_*_key.pub
    if [ -n "${host_keys_id:-}" ]; then
        wait "$host_keys_id" || fail "no ssh host keys: $(cat "$BOEL_STATE/keys.log")"
        cp -p "$BOEL_STATE"/keys/etc/ssh/* "$1/etc/ssh/"
        rm -rf "$BOEL_STATE/keys"
    fi
    in_chroot "$1" ssh-keygen -A
}
