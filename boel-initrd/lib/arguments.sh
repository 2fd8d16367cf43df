# shellcheck shell=sh
# The kernel's command line. Only si.* and BOOTIF are read, each is checked, none is run.

# read_arguments <FILE: sets SI_HTTP, SI_CLIENT, SI_TOKEN and SI_INTERFACE, empty when not given.
read_arguments() {
    SI_HTTP='' SI_CLIENT='' SI_TOKEN='' SI_INTERFACE=''
    read -r arguments || :
    set -f
    for argument in $arguments; do
        value=${argument#*=}
        case $argument in
            si.server=http://*[!A-Za-z0-9.:/_-]*) say "ignored: $argument is no address" ;;
            si.server=http://*) SI_HTTP=${value%/} ;;
            si.*=*[!A-Za-z0-9.:_-]* | si.*=) say "ignored: $argument has characters it cannot have" ;;
            si.client=*) SI_CLIENT=$value ;;
            si.token=*) SI_TOKEN=$value ;;
            BOOTIF=01-*[!0-9A-Fa-f-]*) say "ignored: $argument is no network card" ;;
            BOOTIF=01-*) # what PXELINUX calls the card that the machine booted from
                SI_INTERFACE=$(printf %s "${value#01-}" | tr A-F- a-f:)
                ;;
            si.interface=*:*) SI_INTERFACE=$(printf %s "$value" | tr A-F a-f) ;;
            si.interface=*) SI_INTERFACE=$value ;;
        esac
    done
    set +f
    export SI_HTTP SI_CLIENT SI_TOKEN SI_INTERFACE
}
