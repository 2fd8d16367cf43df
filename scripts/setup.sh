#!/bin/sh
# Installs what building, testing and showing si needs: Debian packages (as root, or through sudo)
# and Python packages in .venv. Says first what it will do; doing it twice is harmless.
set -eu
cd "$(dirname "$0")/.."

die() {
    printf 'setup: error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

missing_packages() {
    sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e '/^$/d' scripts/packages.txt | while read -r package; do
        case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
            *' installed') ;;
            *) printf '%s ' "$package" ;;
        esac
    done
}

find_python() {
    for python in python3.11 python3 python3.12 python3.13; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$python"
            return
        fi
    done
    return 1
}

mkdir -p build
command -v dpkg-query >/dev/null || die "this is no Debian machine" \
    "run it on Debian 12, or install the packages of scripts/packages.txt by your own means"

packages=$(missing_packages)
if [ -n "$packages" ]; then
    printf 'setup: these Debian packages will be installed by apt-get:\n'
    printf '%s\n' "$packages" | fold -s -w 92 | sed 's/^/  /'
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif command -v sudo >/dev/null; then
        as_root=sudo
        printf 'setup: sudo may ask for your password\n'
    else
        die "installing packages needs root" "run this as root, or install sudo"
    fi
    $as_root apt-get update -qq || die "apt-get update failed" "its message is above; is the network up?"
    # shellcheck disable=SC2086  # both are lists of words
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o Dpkg::Use-Pty=0 $packages >build/apt.log 2>&1 ||
        { tail -n 20 build/apt.log >&2; die "apt-get install failed" "the whole log is in build/apt.log"; }
else
    printf 'setup: all Debian packages of scripts/packages.txt are installed\n'
fi

python=$(find_python) || die "there is no Python 3.11 or later" "apt-get install python3 python3-venv"
if [ ! -x .venv/bin/python ]; then
    printf 'setup: making .venv with %s\n' "$python"
    "$python" -m venv .venv || die "cannot make .venv" "apt-get install python3-venv"
fi
printf 'setup: installing the Python packages of setup.cfg into .venv\n'
install_python() {
    .venv/bin/python -m pip install "$@" >>build/pip.log 2>&1 ||
        { tail -n 20 build/pip.log >&2; die "pip install failed" "the whole log is in build/pip.log"; }
}
: >build/pip.log
install_python --upgrade pip
# pyrsync2 builds only with an old setuptools; the constraint must not reach our own build.
install_python --build-constraint scripts/build-constraints.txt pyrsync2
install_python --editable '.[dev]'
: >build/.setup
printf 'setup: done\n'
