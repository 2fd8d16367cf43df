# shellcheck shell=sh
# An address by DHCP.

# list_interfaces: network cards, or the one that si.interface names by its name or its MAC.
list_interfaces() {
    for folder in /sys/class/net/*; do
        [ -e "$folder/device" ] || continue
        read -r mac <"$folder/address"
        case $SI_INTERFACE in
            '' | "${folder##*/}" | "$mac") printf '%s\n' "${folder##*/}" ;;
        esac
    done
}

# has_link INTERFACE: whether a cable with something at its other end is plugged in.
has_link() {
    carrier=0
    { read -r carrier <"/sys/class/net/$1/carrier"; } 2>/dev/null
    [ "$carrier" = 1 ]
}

# bring_up_network: the first card with a link that gets an address within 60 seconds.
bring_up_network() {
    ip link set lo up
    read -r start _ </proc/uptime
    told=
    while read -r now _ </proc/uptime && [ $((${now%.*} - ${start%.*})) -lt 60 ]; do
        interfaces=$(list_interfaces)
        for interface in $interfaces; do
            ip link set "$interface" up
        done
        for interface in $interfaces; do
            has_link "$interface" || continue
            # It stays in the background and renews the lease of a long install.
            if udhcpc -i "$interface" -n -t 4 -T 2 -A 1 -s "$BOEL_LIB/dhcp.sh" \
                -p "$BOEL_STATE/udhcpc.pid" 2>&1; then
                return 0
            fi
            say "no DHCP server answers on $interface, trying again"
        done
        state="${interfaces:-no network card}: no link yet"
        [ "$state" = "$told" ] || say "$state"
        told=$state
        load_modules
        usleep 200000
    done
    fail "no address by DHCP within 60 s; network cards: ${interfaces:-none that this flavor has a driver for}"
}
