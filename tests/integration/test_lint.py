"""si-lint and si-mkautoinstallscript as commands: output, exit codes, nothing changed on faults."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
EXAMPLES = sorted((ROOT / "schemas/examples").glob("*.xml"))

# Each line with a number in a comment has one fault of that number.
TEN_FAULTS = """<config format="1">
  <disk dev="/dev/vda" label_type="msdos" unit_of_measurement="MiB" capacity="4GiB">
    <part num="1" size="256" p_type="primary" flags="bot"/>              <!-- 1 unknown flag -->
    <part num="2" size="large" p_type="primary"/>                        <!-- 2 no size -->
    <part num="2" size="300" p_type="primary"/>                          <!-- 3 number twice -->
    <part num="4" size="*" p_type="extended"/>
    <part num="5" size="512" p_type="logical"/>
    <part num="7" size="*" p_type="logical"/>                            <!-- 4 gap -->
  </disk>
  <raid><raid_disk name="/dev/md0"/></raid>                              <!-- 5 later -->
  <fsinfo line="10" real_dev="/dev/vda2" mp="/" fs="ext4"/>
  <fsinfo line="20" real_dev="/dev/vda1" mp="/" fs="ext4"/>              <!-- 6 second root -->
  <fsinfo line="30" real_dev="/dev/vda4" mp="/srv" fs="xfs"/>            <!-- 7 on extended -->
  <fsinfo line="40" real_dev="/dev/vda9" mp="/opt" fs="xfs"/>            <!-- 8 no partition -->
  <fsinfo line="50" real_dev="/dev/vda5" mp="swap" fs="swap" pass="x"/>  <!-- 9 no number -->
  <fsinfo line="60" real_dev="tmpfs" mp="tmp" fs="tmpfs"/>               <!-- 10 relative -->
</config>
"""


def si(*words: str | Path) -> subprocess.CompletedProcess[str]:
    argv = [str(BIN / str(words[0])), *map(str, words[1:])]
    return subprocess.run(argv, capture_output=True, text=True)


def test_ten_faults_are_ten_lines(tmp_path: Path) -> None:
    document = tmp_path / "ten.xml"
    document.write_text(TEN_FAULTS)
    done = si("si-lint", document)
    lines = done.stdout.splitlines()
    wanted = [3, 4, 5, 8, 10, 12, 13, 14, 15, 16]
    assert [int(line.removeprefix(f"{document}:").split(":")[0]) for line in lines] == wanted
    for line, words in zip(
        lines,
        [
            'unknown flag "bot"',
            "'large' is no size",
            "partition 2 stands on line 4 already",
            "without gaps, not 7",
            "<raid> (software RAID) is not supported yet",
            "a second root: the other one is on line 11",
            "/dev/vda4 is the extended partition",
            "/dev/vda9 is no partition of this layout",
            'pass="x" is no whole number',
            'mp="tmp" is no mount point: write an absolute path',
        ],
        strict=True,
    ):
        assert words in line
    assert done.returncode == 16
    assert done.stderr == f"si-lint: error: 10 problems in {document}\n"


def test_sound_documents_of_every_kind(tmp_path: Path) -> None:
    cluster = tmp_path / "cluster.xml"
    cluster.write_text(
        '<cluster name="all"><client name="web1" mac="52:54:00:00:00:01"/></cluster>'
    )
    done = si("si-lint", *EXAMPLES, cluster)
    assert done.returncode == 0, done.stdout
    wanted = [f"{path}: layout, no problems" for path in EXAMPLES]
    assert done.stdout.splitlines() == [*wanted, f"{cluster}: cluster, no problems"]
    assert done.stderr == ""


def test_warnings_are_told_and_do_no_harm(tmp_path: Path) -> None:
    document = tmp_path / "efi.xml"
    document.write_text(
        '<config><disk dev="/dev/vda" label_type="gpt" unit_of_measurement="MiB">'
        '<part num="1" size="512" flags="esp"/><part num="2" size="*"/></disk>\n'
        '<bootloader flavor="grub2" install_type="efi"/>'
        '<fsinfo line="1" real_dev="/dev/vda2" mp="/" fs="xfs"/>'
        '<fsinfo line="2" real_dev="/dev/vda1" mp="/boot/efi" fs="vfat"/></config>'
    )
    done = si("si-lint", document)
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].startswith(f"{document}:2: warning: UEFI is not supported")
    assert done.stdout.splitlines()[1] == f"{document}: layout, no problems"


def test_one_bad_document_among_good_ones(tmp_path: Path) -> None:
    bad = tmp_path / "bad.xml"
    bad.write_text("<config>\n<disk></config>")
    done = si("si-lint", EXAMPLES[0], bad, tmp_path / "missing.xml", EXAMPLES[1])
    assert done.returncode == 16
    lines = done.stdout.splitlines()
    assert lines[0] == f"{EXAMPLES[0]}: layout, no problems"
    assert lines[1].startswith(f"{bad}:2: not well-formed XML")
    assert lines[2].startswith(f"{tmp_path / 'missing.xml'}:0: cannot read")
    assert lines[3] == f"{EXAMPLES[1]}: layout, no problems"
    assert "2 problems in" in done.stderr


def test_a_cluster_file_with_problems(tmp_path: Path) -> None:
    document = tmp_path / "cluster.xml"
    document.write_text('<cluster name="all">\n<client name="../x"/>\n<wish/></cluster>')
    done = si("si-lint", document)
    assert done.returncode == 16
    assert all(line.startswith(f"{document}:") for line in done.stdout.splitlines())
    assert len(done.stdout.splitlines()) >= 2


def test_hostile_documents(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.xml"
    inner = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    bomb.write_text(f'<!DOCTYPE c [<!ENTITY e0 "x">{inner}]><config><disk dev="&e9;"/></config>')
    huge = tmp_path / "huge.xml"
    with huge.open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    done = si("si-lint", bomb, huge)
    assert done.returncode == 16
    first, second = done.stdout.splitlines()
    assert "entity declarations are refused" in first
    assert "larger than 4 MiB" in second


def store(root: Path) -> Path:
    var = root / "var/lib/systemimager"
    (var / "images/web").mkdir(parents=True)
    (var / "layouts").mkdir()
    text = (ROOT / "schemas/examples/virtio-boot.xml").read_text()
    (var / "layouts/web.xml").write_text(text)
    return var


def test_a_script_is_made(tmp_path: Path) -> None:
    var = store(tmp_path)
    done = si("si-mkautoinstallscript", "--root", tmp_path, "--image", "web")
    assert done.returncode == 0, done.stderr
    script = var / "scripts/web.master"
    assert done.stdout == f"{script}: master script of image web\n"
    expected = (ROOT / "tests/golden/example-virtio-boot/expected.master").read_text()
    body = expected.split("# si-checksum: ")[1]
    assert script.read_text().split("# si-checksum: ")[1] == body
    shown = si("si-mkautoinstallscript", "--root", tmp_path, "--image", "web", "--output", "-")
    assert shown.stdout == script.read_text()


def test_a_persons_script_needs_force(tmp_path: Path) -> None:
    script = store(tmp_path) / "scripts/web.master"
    command = ("si-mkautoinstallscript", "--root", tmp_path, "--image", "web")
    assert si(*command).returncode == 0
    edited = script.read_text() + "# mine\n"
    script.write_text(edited)
    refused = si(*command)
    assert refused.returncode == 30
    assert f"{script} was changed by hand" in refused.stderr
    assert "hint: " in refused.stderr
    assert script.read_text() == edited
    assert si(*command, "--force", "--post-install", "poweroff").returncode == 0
    assert script.read_text().endswith("finish poweroff\n")


def test_bad_input_changes_nothing(tmp_path: Path) -> None:
    var = store(tmp_path)
    bad = tmp_path / "ten.xml"
    bad.write_text(TEN_FAULTS)
    command = ("si-mkautoinstallscript", "--root", tmp_path)
    for words, code in (
        (("--image", "web", "--layout", bad), 16),
        (("--image", "web", "--layout", tmp_path / "none.xml"), 17),
        (("--image", "../web"), 14),
        (("--image", "other"), 12),
        (("--image", "web", "--post-install", "dance"), 2),
        ((), 2),
    ):
        done = si(*command, *words)
        assert done.returncode == code, done.stderr
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
    assert not (var / "scripts").exists()
    assert si(*command, "--image", "web", "--layout", bad).stderr.count(f"{bad}:") == 10
