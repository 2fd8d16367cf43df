"""The whole script: order, checksum, what it says of itself; and the file it is written to."""

from __future__ import annotations

import dataclasses
import errno
import os
import re
from pathlib import Path

import pytest

from si.config import default_settings
from si.errors import DocumentInvalid, ImageNotFound, LayoutNotFound, NameInvalid, ScriptEdited
from si.image.content import measure_content
from si.layout.document import load_layout
from si.layout.model import Layout
from si.script.master import is_hand_edited, make_master
from si.script.plan import identifiers, least_disk_bytes, plan
from si.script.steps import Call, Phase, PhaseName, PostInstall, Require
from si.script.store import install_script, make_script, write_script

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "schemas/examples/virtio-boot.xml"
KEEP = ROOT / "schemas/examples/keep.xml"
MACHINE = ROOT / "tests/machines/debian-virtio-bios.json"
MIB = 1024 * 1024


@pytest.fixture
def layout() -> Layout:
    return load_layout(EXAMPLE.read_bytes(), "virtio-boot.xml")


def master(layout: Layout) -> str:
    return make_master(layout, image="web", layout_name="web.xml")


def test_phases_come_in_their_order(layout: Layout) -> None:
    phases = [step.name for step in plan(layout) if isinstance(step, Phase)]
    assert phases == list(PhaseName)


def test_all_that_can_refuse_comes_before_the_first_write(layout: Layout) -> None:
    steps = plan(layout)
    assert isinstance(steps[0], Require)
    assert set(steps[0].names) == {identifier.variable for identifier in identifiers(layout)}
    calls = [step.function for step in steps if isinstance(step, Call)]
    assert calls[:4] == ["check_firmware", "check_disk", "check_layers", "run_scripts"]
    writing = steps.index(Phase(PhaseName.PARTITION))
    assert all(isinstance(step, Require | Phase | Call) for step in steps[:writing])


def test_every_variable_it_reads_is_required_or_set(layout: Layout) -> None:
    text = master(layout)
    read = set(re.findall(r"\$\{?([A-Za-z_]\w*)", text))
    given = set(re.findall(r'^: "\$\{(\w+):\?\}"$', text, re.MULTILINE))
    given |= set(re.findall(r"^(\w+)=", text, re.MULTILINE))
    assert read <= given


def test_post_install_actions(layout: Layout) -> None:
    for action in PostInstall:
        text = make_master(layout, image="web", layout_name="x", post_install=action)
        assert text.endswith(f"\nphase written\nfinish {action}\n")
        assert f"# When all is written: {action}.\n" in text


def test_the_same_input_gives_the_same_bytes(layout: Layout) -> None:
    assert master(layout) == master(load_layout(EXAMPLE.read_bytes(), "elsewhere"))


def test_a_changed_script_is_known(layout: Layout) -> None:
    text = master(layout)
    assert not is_hand_edited(text)
    assert is_hand_edited(text.replace("mkfs.ext4", "mkfs.ext3"))
    assert is_hand_edited(text + "\n")
    assert is_hand_edited(text.replace("# si-checksum: ", "# no-checksum: "))
    assert is_hand_edited("")
    assert is_hand_edited("#!/bin/sh\nreboot\n")
    # What is above the checksum is only told to the reader.
    assert not is_hand_edited(text.replace("of image web", "of image WEB"))


def test_a_name_cannot_leave_its_line(layout: Layout) -> None:
    text = make_master(layout, image="web", layout_name="x\nreboot\n#")
    assert "\nreboot" not in text
    with pytest.raises(NameInvalid, match=r"\bimage\b"):
        make_master(layout, image="../web", layout_name="x")


def test_uefi_gets_its_own_boot_loader_and_is_told_from_bios(layout: Layout) -> None:
    assert "\ncheck_firmware bios\n" in master(layout)
    text = EXAMPLE.read_text().replace('install_type="legacy"', 'install_type="efi"')
    text = text.replace('flags="boot"', 'flags="esp"').replace(
        'mp="/boot" fs="ext4"', 'mp="/boot/efi" fs="vfat"'
    )
    efi = master(load_layout(text, "f"))
    assert "\ncheck_firmware uefi\n" in efi
    assert "\ninstall_grub_uefi /a /boot/efi\n" in efi
    assert "install_grub_bios" not in efi
    # Owners and modes, which FAT cannot keep, are no errors while the image comes.
    assert re.search(r"\nmount -t vfat -o (\S+,)?quiet /dev/vda1 /a/boot/efi\n", efi)


def test_a_disk_must_hold_the_table(layout: Layout) -> None:
    (disk,) = layout.disks
    # 1 + 256 + 2385 MiB (2.5 GB) and the least swap, and the last MiB.
    assert least_disk_bytes(disk, layout) == (1 + 256 + 2385 + 16 + 1) * MIB
    # Nothing but swap can grow here, so a larger image changes nothing.
    assert least_disk_bytes(disk, layout, content={"/": 2**40}) == least_disk_bytes(disk, layout)


def test_a_disk_must_hold_the_image() -> None:
    layout = load_layout((ROOT / "schemas/examples/plain.xml").read_bytes(), "plain")
    (disk,) = layout.disks
    assert least_disk_bytes(disk, layout) == (1 + 16 + 512 + 1) * MIB
    # A tenth more, and 64 MiB: what a file system takes for itself.
    for content, least in ((700 * MIB, 834), (700 * MIB + 1, 835), (0, 64)):
        measured = {"/": content, "/elsewhere": 2**50}
        needed = least_disk_bytes(disk, layout, content=measured)
        assert needed == (1 + least + 512 + 1) * MIB
        text = make_master(layout, image="web", layout_name="x", content=measured)
        assert f", which must have {needed // MIB} MiB at least;" in text
        assert f"\ncheck_disk /dev/sda {needed}\n" in text


def test_what_stands_on_a_kept_disk_must_hold_its_part_of_the_image() -> None:
    text = KEEP.read_text().replace('num="2" size="1500"', 'num="2" size="*"')
    text = text.replace('num="4" size="*" keep', 'num="4" size="500" keep')
    steps = plan(load_layout(text, "f"), content={"/": 1000 * MIB})
    assert Call("check_kept_disk", ("/dev/vda", "gpt", "1=1", "2=1164-", "3=200", "4=500")) in steps


def test_what_is_lost_and_what_is_kept_is_told_first() -> None:
    text = KEEP.read_text().replace('"MiB" keep="yes"', '"MiB"')
    told = master(load_layout(text.replace('mp="/home"', 'mp="/home" format="no"'), "f"))
    lost, _keeps, kept = told.partition("# KEEPS\n")
    assert "#   /dev/vda2  ext4 /, of a disk whose table is kept\n" in lost
    assert "#   /dev/vdb, which must have " in lost
    assert '#     /dev/vdb5  ext4 /srv/old (format="no" keeps nothing: it is wiped)\n' in lost
    assert kept.startswith("#   /dev/vda: the gpt table\n#     /dev/vda4  ext4 /home\n")


def test_a_partition_must_hold_its_part_of_the_image(layout: Layout) -> None:
    fits = {"/": 2_500_000_000, "/boot": 256 * MIB}
    make_master(layout, image="web", layout_name="web.xml", content=fits)
    with pytest.raises(DocumentInvalid) as caught:
        content = {"/": 2_500_000_001, "/boot": 256 * MIB + 1, "swap": 2**50, "/tmp": 2**50}
        make_master(layout, image="web", layout_name="web.xml", content=content)
    assert [str(problem) for problem in caught.value.problems] == [
        "web.xml:5: /dev/vda2 has 2500MB, but what comes into / takes 2385 MiB: make it larger",
        "web.xml:4: /dev/vda1 has 256MiB, but what comes into /boot takes 257 MiB: make it larger",
    ]
    with pytest.raises(DocumentInvalid) as caught:
        plan(layout, content=content)
    assert {problem.file for problem in caught.value.problems} == {"layout"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            {"/": 61440 * MIB},
            "web.xml:7: /dev/sda6 has 60GiB at most, but what the image holds there takes "
            "67648 MiB: make max larger",
        ),
        (
            {"/": 5000 * MIB, "/var": 4000 * MIB},
            "web.xml:3: what the image holds has no room on /dev/sda, however large the disk is: "
            "make its partitions larger",
        ),
    ],
)
def test_bounds_must_let_the_image_in(content: dict[str, int], says: str) -> None:
    text = (ROOT / "schemas/examples/bounds.xml").read_text()
    bounds = load_layout(text.replace('"*" p_type="ext', '"11GiB" p_type="ext'), "web.xml")
    make_master(bounds, image="web", layout_name="web.xml", content={"/": 2000 * MIB})
    with pytest.raises(DocumentInvalid) as caught:
        make_master(bounds, image="web", layout_name="web.xml", content=content)
    assert [str(problem) for problem in caught.value.problems] == [says]


def test_a_script_is_written_and_written_again(tmp_path: Path, layout: Layout) -> None:
    settings = default_settings(tmp_path)
    path = install_script(settings, "web", master(layout), force=False)
    assert path == tmp_path / "var/lib/systemimager/scripts/web.master"
    assert path.read_text() == master(layout)
    assert path.stat().st_mode & 0o777 == 0o644
    other = make_master(layout, image="web", layout_name="new.xml")
    install_script(settings, "web", other, force=False)
    assert path.read_text() == other
    assert [entry.name for entry in path.parent.iterdir()] == ["web.master"]


def test_a_persons_work_is_not_lost(tmp_path: Path, layout: Layout) -> None:
    settings = default_settings(tmp_path)
    path = install_script(settings, "web", master(layout), force=False)
    edited = path.read_text().replace("finish reboot", "finish shell")
    path.write_text(edited)
    with pytest.raises(ScriptEdited, match="changed by hand") as caught:
        install_script(settings, "web", master(layout), force=False)
    assert caught.value.hint is not None
    assert path.read_text() == edited
    install_script(settings, "web", master(layout), force=True)
    assert path.read_text() == master(layout)


def test_bytes_that_are_no_text_count_as_a_persons_work(tmp_path: Path) -> None:
    path = tmp_path / "x.master"
    path.write_bytes(b"#!/bin/sh\n# \xff\n")
    with pytest.raises(ScriptEdited):
        write_script(path, "", force=False)


def test_a_script_is_made_of_what_lies_on_the_server(tmp_path: Path, layout: Layout) -> None:
    settings = default_settings(tmp_path)
    with pytest.raises(ImageNotFound):
        make_script(settings, "web")
    tree = settings.images / "web"
    tree.mkdir(parents=True)
    with pytest.raises(LayoutNotFound, match=r"layouts/web\.xml") as caught:
        make_script(settings, "web")
    assert caught.value.hint is not None
    settings.layouts.mkdir()
    (settings.layouts / "web.xml").write_bytes(EXAMPLE.read_bytes())
    plain = make_script(settings, "web")
    assert plain.text == master(layout)
    assert plain.warnings == ()
    (tree / "etc/systemimager").mkdir(parents=True)
    (tree / "etc/systemimager/facts.json").write_bytes(MACHINE.read_bytes())
    with_facts = make_script(settings, "web", post_install=PostInstall.SHELL).text
    assert '"console=tty0 console=ttyS0,115200 quiet resume=UUID=$UUID_swap_vda3"' in with_facts
    assert with_facts.endswith("finish shell\n")


def test_what_the_image_holds_is_measured(tmp_path: Path) -> None:
    settings = default_settings(tmp_path)
    tree = settings.images / "web"
    tree.mkdir(parents=True)
    (tree / "file").write_bytes(b"x" * MIB)
    plain = ROOT / "schemas/examples/plain.xml"
    text = make_script(settings, "web", layout_file=plain, command="si-getimage").text
    content = measure_content(tree, ["/"])
    assert text == make_master(
        load_layout(plain.read_bytes(), "plain.xml"),
        image="web",
        layout_name="plain.xml",
        content=content,
        command="si-getimage",
    )
    assert "made by si-getimage of plain.xml" in text
    assert f" {1 + 66 + 512 + 1} MiB at least" in text


def test_systemd_boot_has_room_for_the_kernels(tmp_path: Path) -> None:
    settings = default_settings(tmp_path)
    boot = settings.images / "web/boot"
    (boot / "efi/debian").mkdir(parents=True)
    (boot / "vmlinuz-6.1").write_bytes(b"k" * 4 * MIB)
    (boot / "initrd.img-6.1").write_bytes(b"i" * 4 * MIB)
    # That of the golden client, which the new one replaces.
    (boot / "efi/debian/linux").write_bytes(b"k" * 4 * MIB)
    text = (ROOT / "schemas/examples/systemd-boot.xml").read_text()
    assert text.count('num="1" size="512"') == 1
    for size, loader, fits in (
        ("8MiB", "systemd", True),
        ("7MiB", "systemd", False),
        ("7MiB", "grub2", True),
    ):
        document = tmp_path / "web.xml"
        changed = text.replace('num="1" size="512"', f'num="1" size="{size}"')
        document.write_text(changed.replace('flavor="systemd"', f'flavor="{loader}"'))
        if fits:
            make_script(settings, "web", layout_file=document)
            continue
        with pytest.raises(DocumentInvalid) as caught:
            make_script(settings, "web", layout_file=document)
        (problem,) = caught.value.problems
        assert problem.message == (
            "/dev/vda1 has 7MiB, but what comes into /boot/efi takes 8 MiB: make it larger"
        )


def test_a_disk_that_fails_leaves_the_script_that_stood(
    tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "web.master"
    write_script(path, master(layout), force=False)
    other = make_master(layout, image="web", layout_name="new.xml")

    def fail(descriptor: int) -> None:
        assert os.fstat(descriptor).st_size == len(other.encode())
        (hidden,) = set(tmp_path.iterdir()) - {path}
        assert hidden.name.startswith(".web.master.")
        raise OSError(errno.EIO, "the disk fails")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="the disk fails"):
        write_script(path, other, force=False)
    assert path.read_text() == master(layout)
    assert list(tmp_path.iterdir()) == [path]


def test_no_name_leads_out_of_the_scripts(tmp_path: Path) -> None:
    with pytest.raises(NameInvalid, match=r"\bimage\b"):
        install_script(default_settings(tmp_path), "../web", "", force=True)


def test_another_layout_can_be_named(tmp_path: Path) -> None:
    settings = default_settings(tmp_path)
    (settings.images / "web").mkdir(parents=True)
    document = tmp_path / "other.xml"
    document.write_text(EXAMPLE.read_text().replace("/dev/vda", "/dev/sdz"))
    made = make_script(settings, "web", layout_file=document)
    assert "parted --script --align optimal /dev/sdz" in made.text
    document.write_text("<config/>")
    with pytest.raises(DocumentInvalid):
        make_script(settings, "web", layout_file=document)
    document.write_bytes(EXAMPLE.read_bytes().ljust(4 * MIB))
    assert make_script(settings, "web", layout_file=document).text
    document.write_bytes(EXAMPLE.read_bytes().ljust(4 * MIB + 1))
    with pytest.raises(DocumentInvalid) as caught:
        make_script(settings, "web", layout_file=document)
    assert str(caught.value.problems[0]) == f"{document}:1: larger than 4 MiB"


def test_layouts_are_not_changed_by_planning(layout: Layout) -> None:
    before = dataclasses.replace(layout)
    plan(layout)
    assert layout == before
