"""The rsync daemon that si-server keeps, asked with the stock rsync."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from si.serve.rsyncd import write_rsyncd_conf
from tests.integration.server_kit import Server, make_store, running_server, wait_until
from tests.integration.test_server import daemons


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running_server(make_store(tmp_path), "--only", "rsync") as running:
        yield running


def rsync(server: Server, path: str, *words: str, source: str = "127.0.0.1",
          ) -> subprocess.CompletedProcess[bytes]:  # fmt: skip
    address = f"rsync://127.0.0.1:{server.settings.server.rsync_port}/{path}"
    argv = ["rsync", "--timeout=10", f"--address={source}", *words[:-1], address, *words[-1:]]
    return subprocess.run(argv, capture_output=True, timeout=30)


def test_a_tree_arrives_with_everything(server: Server, tmp_path: Path) -> None:
    tree = server.settings.images / "web"
    (tree / "bin").mkdir()
    (tree / "bin/ping").write_bytes(b"\x7fELF")
    os.chown(tree / "bin/ping", 12345, 54321)
    subprocess.run(["setcap", "cap_net_raw+ep", tree / "bin/ping"], check=True)
    (tree / "away").symlink_to("/etc/shadow")
    os.link(tree / "bin/ping", tree / "bin/ping6")
    done = rsync(server, "web/", "-aHAXS", "--numeric-ids", f"{tmp_path}/copy/")
    assert done.returncode == 0, done.stderr
    copy = tmp_path / "copy"
    assert (copy / "bin/ping").stat().st_uid == 12345
    assert (copy / "bin/ping").stat().st_ino == (copy / "bin/ping6").stat().st_ino
    assert os.getxattr(copy / "bin/ping", "security.capability")
    assert (copy / "away").readlink() == Path("/etc/shadow"), "links are not rewritten"


def test_modules_are_not_listed(server: Server) -> None:
    done = rsync(server, "")
    assert done.stdout == b""


def test_nothing_can_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "evil").write_text("evil")
    address = f"rsync://127.0.0.1:{server.settings.server.rsync_port}/web/"
    done = subprocess.run(["rsync", tmp_path / "evil", address], capture_output=True, timeout=30)
    assert done.returncode != 0
    assert b"read only" in done.stderr
    assert not (server.settings.images / "web/evil").exists()


@pytest.mark.parametrize(
    "path", ["web/../../scripts/", "web/away/", "scripts/", "../web/", ".web/"]
)
def test_no_path_leads_out(server: Server, path: str) -> None:
    (server.settings.images / "web/away").symlink_to("../../../../../etc")
    done = rsync(server, path)
    assert b"master" not in done.stdout
    assert b"passwd" not in done.stdout


def test_overrides_are_modules(server: Server) -> None:
    assert rsync(server, "override-everyone/").returncode == 0


def test_a_new_image_is_served_as_soon_as_the_file_says_so(server: Server) -> None:
    assert rsync(server, "new/").returncode != 0
    (server.settings.images / "new").mkdir()
    write_rsyncd_conf(server.settings)
    assert rsync(server, "new/").returncode == 0


def test_an_address_outside_the_networks_gets_nothing(tmp_path: Path) -> None:
    settings = make_store(tmp_path, networks=("127.0.0.1/32",))
    with running_server(settings, "--only", "rsync") as server:
        assert b"hosts" in rsync(server, "web/etc/").stdout
        done = rsync(server, "web/etc/", source="127.0.0.2")
        assert done.returncode != 0
        assert done.stdout == b""


def test_it_is_started_again_when_it_dies(server: Server) -> None:
    (first,) = daemons(server.settings)
    os.kill(first, signal.SIGKILL)
    wait_until(
        lambda: daemons(server.settings) not in ([], [first]), "another rsync daemon was started"
    )
    wait_until(lambda: rsync(server, "web/").returncode == 0, "it answers")
    assert "starting it again" in server.words()


def test_a_transfer_keeps_the_tree_that_it_began_with(server: Server, tmp_path: Path) -> None:
    images = server.settings.images
    (images / "web/big").write_bytes(os.urandom(1024) * 30_000)
    (images / "next").mkdir()
    address = f"rsync://127.0.0.1:{server.settings.server.rsync_port}/web/"
    argv = ["rsync", "-a", "--bwlimit=20M", address, f"{tmp_path}/copy/"]
    transfer = subprocess.Popen(argv)
    wait_until(lambda: bool(list(tmp_path.glob("copy/.big*"))), "the large file is on its way")
    (images / "web").rename(images / ".web.old")
    (images / "next").rename(images / "web")
    assert transfer.wait(60) == 0
    assert (tmp_path / "copy/etc/hosts").is_file()
    assert (tmp_path / "copy/big").stat().st_size == 1024 * 30_000


def test_ports_are_free_after_its_end(tmp_path: Path) -> None:
    settings = make_store(tmp_path)
    with running_server(settings):
        pass
    for port, kind in (
        (settings.server.http_port, socket.SOCK_STREAM),
        (settings.server.tftp_port, socket.SOCK_DGRAM),
        (settings.server.rsync_port, socket.SOCK_STREAM),
    ):
        with socket.socket(socket.AF_INET, kind) as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("127.0.0.1", port))
