"""si-mkclientnetboot: who is armed with what, and who is not."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from si.boot.arming import load_arming
from si.config import Settings
from si.monitor.events import append_event, client_state, read_events
from si.monitor.state import Event, Phase, State
from tests.integration.server_kit import make_store, run_si


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_store(tmp_path)


ARM = ("mkclientnetboot", "--netboot", "--image", "web", "--flavor", "virtio", "--arch", "x86_64")


def test_arming_writes_what_the_client_gets(settings: Settings) -> None:
    done = run_si(settings, *ARM, "--clients", "web1,web2", "--append", " a  b ", "--yes")
    assert done.returncode == 0, done.stderr
    assert "wipes /dev/vda" in done.stderr
    assert done.stdout.splitlines() == [
        "web1: armed with image web", "web2: armed with image web",
    ]  # fmt: skip
    file = settings.clients / "web1/arming.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    one, two = (load_arming(settings, name) for name in ("web1", "web2"))
    assert one is not None
    assert two is not None
    assert (one.mac, one.ip, one.append) == ("52:54:00:00:00:01", "127.0.0.1", "a b")
    assert two.ip == "127.0.0.9", "out of the hosts file, as DNS does not answer"
    assert one.token != two.token
    assert len(one.token) >= 32
    assert client_state(settings, "web1").may_install


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--clients", "web1,web9"), 20, "web9"),
        (("--clients", "web1,nomac"), 20, "nomac"),
        (("--clients", "web1", "--image", "gone"), 12, "gone"),
        (("--clients", "web1", "--image", "../web"), 14, "'../web'"),
        (("--clients", "web1", "--flavor", "gone"), 29, "si-mkbootpackage --flavor gone"),
        (("--clients", "web1", "--flavor", ".."), 14, "'..'"),
        (("--clients", "web1", "--arch", "mips"), 29, "mips"),
        (("--clients", "web1", "--append", "a\nb"), 44, "handed to a kernel"),
        (("--clients", "web1", "--append", "si.token=x"), 44, "server itself"),
        (("--clients", "web1", "--transport", "torrent"), 2, "torrent"),
        (("--clients", "@none"), 21, "none"),
        (("--clients", "web1", "--localboot"), 2, "one of"),
    ],
)
def test_what_cannot_be_armed_leaves_everyone_alone(
    settings: Settings, words: tuple[str, ...], code: int, said: str
) -> None:
    done = run_si(settings, *ARM, *words, "--yes")
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr
    assert not settings.clients.exists()


def test_missing_parts_are_named_with_the_command_that_makes_them(settings: Settings) -> None:
    (settings.scripts / "web.master").unlink()
    done = run_si(settings, *ARM, "--clients", "web1", "--yes")
    assert (done.returncode, "si-mkautoinstallscript" in done.stderr) == (38, True)
    (settings.scripts / "web.master").write_text("#!/bin/sh\n")
    (settings.layouts / "web.xml").unlink()
    assert run_si(settings, *ARM, "--clients", "web1", "--yes").returncode == 17
    assert not settings.clients.exists()


def test_a_name_that_nobody_knows_says_who_was_asked(settings: Settings) -> None:
    (settings.root / "hosts").write_text("")
    done = run_si(settings, *ARM, "--clients", "web1,web2", "--yes")
    assert done.returncode == 23
    assert "127.0.0.1" in done.stderr
    assert f"{settings.root}/hosts" in done.stderr
    assert not settings.clients.exists()


def test_nothing_happens_without_a_yes(settings: Settings) -> None:
    done = run_si(settings, *ARM, "--clients", "web1")
    assert done.returncode == 36
    assert "wipes /dev/vda" in done.stderr
    assert not settings.clients.exists()


def test_a_client_that_is_installing_is_said_to_be(settings: Settings) -> None:
    assert run_si(settings, *ARM, "--clients", "web1", "--yes").returncode == 0
    arming = load_arming(settings, "web1")
    now = read_events(settings, "web1")[-1].time
    append_event(settings, "web1", Event(now, Phase.STARTED, 5.0))
    done = run_si(settings, *ARM, "--clients", "web1")
    assert done.returncode == 36
    assert "under way" in done.stderr
    assert load_arming(settings, "web1") == arming


def test_disarming(settings: Settings) -> None:
    local = ("mkclientnetboot", "--localboot", "--clients", "web1,web2")
    run_si(settings, *ARM, "--clients", "web1", "--yes")
    done = run_si(settings, *local)
    assert done.stdout.splitlines() == ["web1: disarmed", "web2: was not armed"]
    assert client_state(settings, "web1").state is State.IDLE
    assert not client_state(settings, "web1").may_install
    assert run_si(settings, *local).stdout.splitlines()[0] == "web1: was not armed"
    done = run_si(settings, "mkclientnetboot", "--localboot", "--clients", "web9")
    assert done.returncode == 20


def test_an_image_that_a_client_is_armed_with_stays(settings: Settings) -> None:
    run_si(settings, *ARM, "--clients", "web2", "--yes")
    for words in (("rmimage", "web", "--yes"), ("mvimage", "web", "db")):
        done = run_si(settings, *words)
        assert (done.returncode, "armed with image web: web2\n" in done.stderr) == (15, True)
    assert (settings.images / "web/etc/shadow").exists()
    run_si(settings, "mkclientnetboot", "--localboot", "--clients", "web2")
    done = run_si(settings, "mvimage", "web", "db")
    assert done.returncode == 0, done.stderr
    assert "cluster.xml still gives it to web1, web2, nomac\n" in done.stderr


def test_the_image_of_cluster_xml_is_the_default(settings: Settings) -> None:
    done = run_si(settings, "mkclientnetboot", "--netboot", "--clients", "@farm,web1", "--flavor",
                  "virtio", "--arch", "x86_64", "--yes")  # fmt: skip
    assert done.returncode == 20, "nomac is of that group"
    done = run_si(settings, "mkclientnetboot", "--netboot", "--clients", "web1-web2", "--flavor",
                  "virtio", "--arch", "x86_64", "--yes")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads((settings.clients / "web2/arming.json").read_text())["image"] == "web"


def test_a_spoiled_arming_counts_as_none(settings: Settings) -> None:
    run_si(settings, *ARM, "--clients", "web1", "--yes")
    file = settings.clients / "web1/arming.json"
    for text in ("", "{", "[]", '{"client":"web1"}', file.read_text().replace("rsync", "magic")):
        file.write_text(text)
        assert load_arming(settings, "web1") is None


def test_a_script_of_another_layout_says_itself_what_it_wipes(settings: Settings) -> None:
    script = settings.scripts / "web.master"
    script.write_text("#!/bin/sh\ncheck_disk /dev/nvme0n1 9\nget_passphrase root office\n")
    done = run_si(settings, *ARM, "--clients", "web1", "--yes")
    assert (done.returncode, f"{settings.keys}/office" in done.stderr) == (52, True), done.stderr
    settings.keys.mkdir()
    (settings.keys / "office").write_text("secret\n")
    assert "wipes /dev/nvme0n1" in run_si(settings, *ARM, "--clients", "web1").stderr
