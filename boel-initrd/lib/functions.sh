# shellcheck shell=sh
# What master scripts and BOEL itself call. Each file defines functions and does nothing else.
# The two folders can be moved so that the functions can be tried outside of BOEL.
BOEL_LIB=${BOEL_LIB:-/lib/boel}
BOEL_STATE=${BOEL_STATE:-/run/boel}

# shellcheck source=report.sh
. "$BOEL_LIB/report.sh"
# shellcheck source=devices.sh
. "$BOEL_LIB/devices.sh"
# shellcheck source=choose.sh
. "$BOEL_LIB/choose.sh"
# shellcheck source=keep.sh
. "$BOEL_LIB/keep.sh"
# shellcheck source=times.sh
. "$BOEL_LIB/times.sh"
# shellcheck source=http.sh
. "$BOEL_LIB/http.sh"
# shellcheck source=version.sh
. "$BOEL_LIB/version.sh"
# shellcheck source=parts.sh
. "$BOEL_LIB/parts.sh"
# shellcheck source=pack.sh
. "$BOEL_LIB/pack.sh"
# shellcheck source=turns.sh
. "$BOEL_LIB/turns.sh"
# shellcheck source=image.sh
. "$BOEL_LIB/image.sh"
# shellcheck source=chroot.sh
. "$BOEL_LIB/chroot.sh"
# shellcheck source=identity.sh
. "$BOEL_LIB/identity.sh"
# shellcheck source=grub.sh
. "$BOEL_LIB/grub.sh"
# shellcheck source=efi.sh
. "$BOEL_LIB/efi.sh"
# shellcheck source=systemdboot.sh
. "$BOEL_LIB/systemdboot.sh"
# shellcheck source=layers.sh
. "$BOEL_LIB/layers.sh"
# shellcheck source=initramfs.sh
. "$BOEL_LIB/initramfs.sh"
# shellcheck source=bootcheck.sh
. "$BOEL_LIB/bootcheck.sh"
# shellcheck source=bootmenu.sh
. "$BOEL_LIB/bootmenu.sh"
# shellcheck source=sharing.sh
. "$BOEL_LIB/sharing.sh"
# shellcheck source=finish.sh
. "$BOEL_LIB/finish.sh"
