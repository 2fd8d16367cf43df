"""si-audit --clients: real audits of trees, behind real sshds, against a real si-server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from si.image.metadata import Record, write_record
from si.version.signature import public_key_path
from si.version.store import PACK
from tests.integration import version_kit
from tests.integration.client_kit import build_program
from tests.integration.server_kit import running_server
from tests.integration.ssh_kit import Farm, farm

UNPACK = ("tar", "--zstd", "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner", "-xpf")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """web1 and web2 are clean, web3 differs in two paths, web4 is off, web5 has no commands of
    ours, web6 takes itself for web1, web7 answers rubbish."""
    root = tmp_path_factory.mktemp("site")
    settings = version_kit.make_site(root)
    record = Record("web", "2026-11-21T12:00:00Z", "golden", os.uname().machine, 1, 1)
    write_record(version_kit.tree_of(settings), record)
    for override in settings.overrides.iterdir():
        shutil.rmtree(override)
    version_kit.publish(settings)
    program = build_program(tmp_path_factory.mktemp("program")).file
    with farm(root, 7) as made, running_server(settings, "--only", "http,rsync"):
        for name in ("web1", "web2", "web3", "web6"):
            tree = made[name].folder / "tree"
            install(made, tree, "web1" if name == "web6" else name)
            for command in ("audit", "updateclient"):
                text = f'exec {sys.executable} -IB {program} {command} --root {tree} "$@"'
                made[name].program(f"si-{command}", text)
        (made["web3"].folder / "tree/etc/passwd").chmod(0o600)
        (made["web3"].folder / "tree/usr/d1/f001").write_bytes(b"drift")
        made.switch_off("web4")
        made["web7"].program("si-audit", r"printf '\033[2J{\n'")
        yield made


def install(site: Farm, tree: Path, client: str) -> None:
    """A tree as an install leaves it."""
    settings = site.settings
    tree.mkdir()
    pack = version_kit.version(settings).path / PACK
    subprocess.run([*UNPACK, pack, "-C", tree], check=True)
    etc = tree / "etc/systemimager"
    etc.mkdir(parents=True, exist_ok=True)
    (tree / "etc/hostname").write_text(f"{client}\n")
    (etc / "site-key.pub").write_text(public_key_path(settings).read_text())
    identity = {
        "format": 1,
        "server": f"http://127.0.0.1:{settings.server.http_port}",
        "client": client,
        "token": "t0ken",
        "image": "web",
        "arch": os.uname().machine,
        "captured": "2026-01-01T00:00:00Z",
    }
    (etc / "client.json").write_text(json.dumps(identity))


def rows(site: Farm, *words: str) -> dict[str, dict[str, Any]]:
    done = site.si("audit", "--json", *words)
    return {row["client"]: row for row in json.loads(done.stdout)["clients"]}


def test_the_table_says_where_each_client_stands(site: Farm) -> None:
    done = site.si("audit", "--clients", "web[1-8]")
    assert done.returncode == 3
    lines = [line.split("  ") for line in done.stdout.splitlines()]
    told = {cells[0].strip(): [cell.strip() for cell in cells[1:] if cell] for cells in lines}
    assert told == {
        "client": ["version", "drift", "state", "detail"],
        "web1": ["web@1", "0", "clean"],
        "web2": ["web@1", "0", "clean"],
        "web3": ["web@1", "2", "drift", "1 mode, 1 changed"],
        "web4": ["-", "-", "unreachable", "it refuses connections"],
        "web5": ["-", "-", "not a client of ours", told["web5"][3]],
        "web6": ["-", "-", "not a client of ours", "it calls itself web1"],
        "web7": ["-", "-", "failed", told["web7"][3]],
        "web8": ["-", "-", "not a client of ours", "not in cluster.xml"],
    }
    assert "exit code 127" in told["web5"][3]
    assert "\x1b" not in done.stdout + done.stderr
    assert "2 clean, 1 drift, 1 unreachable, 1 failed, 3 not a client of ours" in done.stderr
    assert "5 of 8 clients not audited: web[4-8]" in done.stderr


def test_exit_codes_and_json(site: Farm) -> None:
    clean = site.si("audit", "--clients", "web1-web2", "--full", "--image", "web@1")
    assert (clean.returncode, "2 clean" in clean.stderr) == (0, True), clean.stderr
    assert site.si("audit", "--clients=web1-web3").returncode == 4
    found = rows(site, "--clients", "web1-web4")
    assert found["web3"] == {
        "client": "web3",
        "state": "drift",
        "version": "web@1",
        "drift": 2,
        "protected": found["web3"]["protected"],
        "classes": {"mode": 1, "changed": 1},
        "detail": "1 mode, 1 changed",
    }
    assert found["web4"]["state"] == "unreachable"


def test_what_is_excluded_is_no_drift(site: Farm) -> None:
    words = ("--clients", "web3", "--exclude", "/etc/passwd", "--exclude", "/usr/d1/f001")
    assert rows(site, *words)["web3"]["state"] == "clean"


def test_a_version_that_is_not_there(site: Farm) -> None:
    done = site.si("audit", "--clients", "web1", "--image", "web@9")
    assert done.returncode == 3
    assert "exit code 60: si-audit: error: " in done.stdout


def test_a_client_still_audits_itself(site: Farm) -> None:
    tree = site["web1"].folder / "tree"
    done = site.si("audit", "--root", str(tree), "--json", "--summary")
    told = json.loads(done.stdout)
    assert (done.returncode, told["client"], told["version"]) == (0, "web1", 1)
    assert told["summary"]["differ"] == 0
    assert "differences" not in told


def test_a_push_makes_it_clean_again(site: Farm) -> None:
    tree = site["web2"].folder / "tree"
    (tree / "etc/passwd").write_text("gone astray\n")
    (tree / "usr/extra").mkdir()
    assert rows(site, "--clients", "web2")["web2"]["state"] == "drift"
    would = site.si("pushupdate", "--clients", "web2", "--dry-run")
    assert (would.returncode, "web2: would change: " in would.stdout) == (4, True), would.stderr
    done = site.si(
        "pushupdate", "--clients", "web2", "--yes", "--check", "si-audit", "--no-bootloader"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("web2: done: ")
    assert rows(site, "--clients", "web2")["web2"]["state"] == "clean"
