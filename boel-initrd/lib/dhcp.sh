#!/bin/sh
# udhcpc runs this with what the DHCP server said in variables.
set -eu

# Variables of udhcpc; a server need not send them.
: "${interface:?}" "${ip:=}" "${mask:=24}" "${router:=}" "${dns:=}" "${domain:=}" "${broadcast:=+}"

case ${1:-} in
    deconfig)
        ip -4 addr flush dev "$interface"
        ip link set "$interface" up
        ;;
    bound | renew)
        if ! ip -4 addr show dev "$interface" | grep -q " $ip/$mask "; then
            ip -4 addr flush dev "$interface"
            ip addr add "$ip/$mask" broadcast "$broadcast" dev "$interface"
            for gateway in $router; do
                ip route add default via "$gateway" dev "$interface" || echo "no route via $gateway"
                break
            done
            echo "boel: $interface has the address $ip/$mask"
        fi
        {
            [ -z "$domain" ] || echo "search $domain"
            for server in $dns; do
                echo "nameserver $server"
            done
        } >/etc/resolv.conf
        ;;
esac
