"""si-client on a real file, alone and many at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SI_CLIENT = (sys.executable, "-c", "from si.cli.client import main; main()")
MAC = "52:54:00:77:00:01"


def si_client(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SI_CLIENT, "--root", str(root), *words], capture_output=True, text=True, timeout=60
    )


def cluster_xml(root: Path) -> Path:
    return root / "etc/systemimager/cluster.xml"


def test_add_list_remove(tmp_path: Path) -> None:
    assert si_client(tmp_path, "list").stdout == ""
    added = si_client(tmp_path, "add", "web1", "--mac", "52-54-00-77-00-01", "--ip", "10.77.0.9")
    assert (added.returncode, added.stderr) == (0, "")
    assert f'<client name="web1" mac="{MAC}" ip="10.77.0.9"/>' in cluster_xml(tmp_path).read_text()
    more = ("--image", "web", "--layout", "l", "--flavor", "virtio", "--loader", "pxelinux")
    assert si_client(tmp_path, "add", "web2", "--mac", "52:54:00:77:00:02", *more).returncode == 0
    listed = si_client(tmp_path, "list")
    assert [line.split() for line in listed.stdout.splitlines()] == [
        ["NAME", "MAC", "IP", "GROUPS", "IMAGE", "LAYOUT", "FLAVOR", "LOADER"],
        f"web1 {MAC} 10.77.0.9 - - - standard ipxe".split(),
        ["web2", "52:54:00:77:00:02", "-", "-", "web", "l", "virtio", "pxelinux"],
    ]
    rows = json.loads(si_client(tmp_path, "list", "web[2-2]", "--json").stdout)
    assert [row["overrides"] for row in rows] == [["web", "web2"]]
    refused = si_client(tmp_path, "remove", "web1")
    assert refused.returncode == 36
    assert "--yes" in refused.stderr
    assert si_client(tmp_path, "remove", "web1", "--yes").returncode == 0
    assert "web1" not in cluster_xml(tmp_path).read_text()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("add", "web1", "--mac", "52:54:00:77:00:09"), 50, "stands already in"),
        (("add", "x", "--mac", MAC), 50, "is that of 'web1' in"),
        (("add", "x", "--mac", "nonsense"), 2, "no MAC address"),
        (("add", "x", "--mac", "01:00:5e:00:00:01"), 16, "multicast"),
        (("add", "x"), 2, "needs --mac"),
        (("add", "../x", "--mac", MAC), 14, "cannot be the name of a client"),
        (("add", "x", "--mac", "52:54:00:77:00:09", "--ip", "10.0.0"), 2, "no IPv4 address"),
        (("add", "x", "--mac", "52:54:00:77:00:09", "--group", "g"), 2, "no group 'g'"),
        (("add", "x", "--mac", "52:54:00:77:00:09", "--image", "a/b"), 14, "name of an image"),
        (("remove", "nobody", "--yes"), 20, "no client 'nobody'"),
        (("remove", "web1", "--mac", MAC), 2, "remove takes no --mac"),
        (("list", "web[1-"), 21, "cannot read the range"),
        (("list", "nobody"), 20, "no client 'nobody'"),
    ],
)
def test_bad_input_changes_nothing(
    tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    si_client(tmp_path, "add", "web1", "--mac", MAC)
    before = cluster_xml(tmp_path).read_bytes()
    done = si_client(tmp_path, *words)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert cluster_xml(tmp_path).read_bytes() == before
    assert [path.name for path in cluster_xml(tmp_path).parent.iterdir()] == ["cluster.xml"]


def test_a_broken_file_is_left_alone(tmp_path: Path) -> None:
    cluster_xml(tmp_path).parent.mkdir(parents=True)
    cluster_xml(tmp_path).write_text("<cluster>\n<client name='a/b'/>\n")
    done = si_client(tmp_path, "add", "web1", "--mac", MAC)
    assert done.returncode == 16
    assert f"{cluster_xml(tmp_path)}:3: not well-formed" in done.stderr


def test_mode_and_link_of_the_file_stay(tmp_path: Path) -> None:
    real = tmp_path / "kept/cluster.xml"
    real.parent.mkdir()
    real.write_text("<cluster/>")
    real.chmod(0o640)
    cluster_xml(tmp_path).parent.mkdir(parents=True)
    cluster_xml(tmp_path).symlink_to(real)
    assert si_client(tmp_path, "add", "web1", "--mac", MAC).returncode == 0
    assert cluster_xml(tmp_path).is_symlink()
    assert real.stat().st_mode & 0o7777 == 0o640
    assert "web1" in real.read_text()


def test_many_at_once_all_arrive(tmp_path: Path) -> None:
    words = [("add", f"n{n}", "--mac", f"52:54:00:00:01:{n:02x}") for n in range(8)]
    running = [
        subprocess.Popen([*SI_CLIENT, "--root", str(tmp_path), *one], stdout=subprocess.DEVNULL)
        for one in words
    ]
    assert [process.wait(60) for process in running] == [0] * 8
    rows = json.loads(si_client(tmp_path, "list", "--json").stdout)
    assert sorted(row["name"] for row in rows) == [f"n{n}" for n in range(8)]
