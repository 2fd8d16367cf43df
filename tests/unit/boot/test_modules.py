"""Which modules a list comes to, which kernel is the newest, which one a file holds."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from si.boot.modules import (
    Closure,
    KernelInvalid,
    close_modules,
    kernel_release,
    module_name,
    parse_index,
    parse_names,
    release_key,
)

INDEX = parse_index(
    dep="""\
kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko kernel/fs/mbcache.ko
kernel/fs/jbd2/jbd2.ko:
kernel/fs/mbcache.ko:
kernel/crypto/crc32c_generic.ko.xz:
kernel/arch/x86/crypto/crc32c-intel.ko.zst:
kernel/drivers/net/virtio_net.ko: kernel/net/failover.ko
kernel/net/failover.ko:
kernel/a.ko: kernel/b.ko
kernel/b.ko:
updates/dkms/extra.ko:
""",
    softdep="""\
# Soft dependencies extracted from modules themselves.
softdep ext4 pre: crypto-crc32c
softdep a pre: not-there b post: virtio-net
softdep b pre: a
""",
    alias="""\
# Aliases extracted from modules themselves.
alias crypto-crc32c crc32c_intel
alias crypto-crc32c crc32c_generic
alias pci:v00001AF4d*sv*sd*bc*sc*i* virtio_net
""",
    builtin="kernel/drivers/nvme/host/nvme-core.ko\nkernel/fs/ramfs/ramfs.ko\n",
)


def test_soft_dependencies_are_followed_through_aliases() -> None:
    assert close_modules(INDEX, ["ext4"]) == Closure(
        paths=(
            "kernel/arch/x86/crypto/crc32c-intel.ko.zst",
            "kernel/crypto/crc32c_generic.ko.xz",
            "kernel/fs/ext4/ext4.ko",
            "kernel/fs/jbd2/jbd2.ko",
            "kernel/fs/mbcache.ko",
        ),
        missing=(),
    )


def test_circles_and_absent_soft_dependencies_do_no_harm() -> None:
    closure = close_modules(INDEX, ["a"])
    assert closure.paths == (
        "kernel/a.ko",
        "kernel/b.ko",
        "kernel/drivers/net/virtio_net.ko",
        "kernel/net/failover.ko",
    )
    assert closure.missing == ()


def test_everything_missing_is_told_and_built_in_is_not_missing() -> None:
    closure = close_modules(INDEX, ["ahci", "nvme_core", "nvme-core", "virtio-net", "mpt3sas"])
    assert closure.missing == ("ahci", "mpt3sas")
    assert "kernel/drivers/net/virtio_net.ko" in closure.paths


@given(st.lists(st.sampled_from(sorted(INDEX.paths)), min_size=1))
def test_closure_is_closed_and_knows_no_order(names: list[str]) -> None:
    closure = close_modules(INDEX, names)
    again = close_modules(INDEX, [module_name(path) for path in reversed(closure.paths)])
    assert again == closure
    assert close_modules(INDEX, list(reversed(names))) == closure


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("kernel/x/nls_iso8859-1.ko", "nls_iso8859_1"),
        ("kernel/x/a-b.ko.xz", "a_b"),
        ("kernel/x/a.ko.zst", "a"),
        ("a.ko.gz", "a"),
    ],
)
def test_module_names(path: str, name: str) -> None:
    assert module_name(path) == name


def test_lists_have_comments() -> None:
    assert parse_names("# head\nvirtio_blk virtio_net # both\n\n  ext4\n") == (
        "virtio_blk",
        "virtio_net",
        "ext4",
    )


def test_newest_release() -> None:
    releases = ["6.1.0-9-amd64", "6.1.0-56-amd64", "5.10.0-30-amd64", "6.10.2", "6.10~rc1", "6.10"]
    assert sorted(releases, key=release_key) == [
        *("5.10.0-30-amd64", "6.1.0-9-amd64", "6.1.0-56-amd64", "6.10~rc1", "6.10", "6.10.2")
    ]


@given(st.lists(st.text("0123456789abc.-~+", min_size=1, max_size=12)))
def test_any_releases_can_be_sorted(releases: list[str]) -> None:
    ordered = sorted(releases, key=release_key)
    keys = [release_key(release) for release in ordered]
    assert all(one <= other for one, other in pairwise(keys))


def make_kernel(version: bytes) -> bytes:
    image = bytearray(0x400)
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", image, 0x20E, 0x100)
    image[0x300 : 0x300 + len(version)] = version
    return bytes(image)


def test_release_of_a_kernel_file() -> None:
    image = make_kernel(b"6.1.0-56-amd64 (debian-kernel@lists.debian.org) #1 SMP\0")
    assert kernel_release(image) == "6.1.0-56-amd64"


@pytest.mark.parametrize(
    "image", [b"", b"\x7fELF" * 400, make_kernel(b"\0"), make_kernel(b"../../etc x\0")]
)
def test_other_files_are_no_kernel(image: bytes) -> None:
    with pytest.raises(KernelInvalid):
        kernel_release(image)
