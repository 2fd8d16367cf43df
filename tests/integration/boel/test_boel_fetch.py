"""Image and overrides from a real rsync daemon, also from one that is away."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.boel.files import Run, age, attributes, put
from tests.integration.boel.library import lay_out_library

AT_ONCE = "wait_turn() { :; }\n"
"""There is no si-server here that would give turns."""


class RsyncDaemon:
    """A daemon with the image `web` and the overrides `all` and `web1`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        modules = {"web": "image", "override-all": "all", "override-web1": "web1"}
        self.configuration = folder / "rsyncd.conf"
        self.configuration.write_text(
            f"address = 127.0.0.1\nport = {self.port}\nuse chroot = yes\nuid = 0\ngid = 0\n"
            "numeric ids = yes\nread only = yes\nlist = no\n"
            + "".join(f"[{name}]\npath = {folder / path}\n" for name, path in modules.items())
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            ["rsync", "--daemon", "--no-detach", f"--config={self.configuration}"]
        )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError("rsync --daemon does not listen")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RsyncDaemon]:
    for name in ("image/etc", "all", "web1"):
        (tmp_path / name).mkdir(parents=True)
    running = RsyncDaemon(tmp_path)
    yield running
    running.stop()


def header(daemon: RsyncDaemon, **more: str) -> dict[str, str]:
    return {
        "SI_RSYNC": f"rsync://127.0.0.1:{daemon.port}",
        "SI_IMAGE": "web",
        "SI_VERSION": "",
        "SI_CAPTURED": "",
        "SI_TRANSPORT": "rsync",
        "SI_OVERRIDES": "all web1",
        "BOEL_LIB": str(daemon.folder / "lib"),
        **more,
    }


@pytest.fixture
def installed(daemon: RsyncDaemon) -> Path:
    """/lib/boel as the initrd has it."""
    library = daemon.folder / "lib"
    lay_out_library(library)
    return library


def test_image_and_overrides(boel: Run, daemon: RsyncDaemon, installed: Path) -> None:
    image, new = daemon.folder / "image", daemon.folder / "a"
    put(image / "etc/motd", "image\n")
    put(image / "etc/keep", "image\n")
    put(image / "srv/deep/file", "x" * 100_000)
    os.setxattr(image / "etc/keep", "user.note", b"kept")
    (image / "lost+found").mkdir()
    (image / "srv/lost+found").mkdir()
    put(daemon.folder / "all/etc/motd", "all\n")
    put(daemon.folder / "all/etc/issue", "all\n")
    put(daemon.folder / "web1/etc/motd", "web1\n")
    (daemon.folder / "web1").chmod(0o700)
    (daemon.folder / "all/etc").chmod(0o750)
    age(image / "etc/motd", image / "srv/deep", image / "srv", image)
    new.mkdir()
    daemon.start()
    done = boel(f'{AT_ONCE}fetch_image "{new}"\nfetch_overrides "{new}"\n', **header(daemon))
    assert done.returncode == 0, done.stderr
    assert (new / "etc/motd").read_text() == "web1\n"
    assert (new / "etc/issue").read_text() == "all\n"
    assert os.getxattr(new / "etc/keep", "user.note") == b"kept"
    assert not (new / "lost+found").exists()
    assert (new / "srv/lost+found").is_dir()
    kept = [Path(), Path("srv"), Path("srv/deep"), Path("srv/deep/file")]
    assert attributes(*(new / path for path in kept)) == attributes(
        *(image / path for path in kept)
    ), "an override has nothing to say about what it does not hold, nor about /"
    assert attributes(new / "etc") == attributes(daemon.folder / "web1/etc")
    assert "bytes copied" in done.stdout


def test_an_image_that_is_not_there_ends_the_install(
    boel: Run, daemon: RsyncDaemon, installed: Path
) -> None:
    (daemon.folder / "a").mkdir()
    fetch = f'{AT_ONCE}sleep() {{ echo "pause $1"; }}\nfetch_image "{daemon.folder}/a"\n'
    daemon.start()
    gone = boel(fetch, **header(daemon, SI_IMAGE="gone"))
    assert gone.returncode == 1
    assert gone.stdout.count("pause") == 5
    assert "Unknown module 'gone'" in gone.stderr
    assert f"rsync of rsync://127.0.0.1:{daemon.port}/gone ended with exit code 5" in gone.stderr
    shutil.rmtree(daemon.folder / "image/etc")
    empty = boel(fetch, **header(daemon))
    assert empty.returncode == 1
    assert "has no /etc" in empty.stderr
    odd = boel(fetch, **header(daemon, SI_TRANSPORT="../x"))
    assert "no fit name" in odd.stderr


def test_a_server_that_was_away_is_waited_for(
    boel: Run, daemon: RsyncDaemon, installed: Path, tmp_path: Path
) -> None:
    put(daemon.folder / "image/etc/motd", "image\n")
    new = daemon.folder / "a"
    new.mkdir()
    wait = f"""{AT_ONCE}
sleep() {{ touch "{tmp_path}/paused"; while [ ! -e "{tmp_path}/up" ]; do usleep 20000; done; }}
fetch_image "{new}"
"""
    variables = header(daemon)
    results: list[subprocess.CompletedProcess[str]] = []
    thread = threading.Thread(target=lambda: results.append(boel(wait, **variables)))
    thread.start()
    deadline = time.monotonic() + 20
    while not (tmp_path / "paused").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    daemon.start()
    (tmp_path / "up").touch()
    thread.join(30)
    assert results[0].returncode == 0, results[0].stderr
    assert "ended with exit code 10; again in 1 s" in results[0].stdout
    assert (new / "etc/motd").read_text() == "image\n"
