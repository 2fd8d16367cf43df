"""si-mkclientnetboot: who is armed with what, and who is not."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from si.boot.arming import load_arming
from si.boot.chosen import choose_script
from si.cluster import Client
from si.config import Settings
from si.image.lock import lock_image
from si.monitor.events import append_event, client_state, read_events
from si.monitor.state import Event, Phase, State
from si.names_check import VersionName
from si.version.publish import publish_version
from si.version.store import list_numbers, load_version
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
        "web1: armed with image web as it stands", "web2: armed with image web as it stands",
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
        (("--clients", "web1", "--transport", "pigeon"), 2, "pigeon"),
        (("--clients", "web1", "--transport", "http"), 60, "si-publish web"),
        (("--clients", "web1", "--image", "web@1"), 60, "si-publish web"),
        (("--clients", "web1", "--image", "web@0"), 14, "'web@0'"),
        (("--clients", "web1", "--image", "web@1", "--live"), 2, "as it stands"),
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


def publish(settings: Settings) -> None:
    with lock_image(settings, "web") as held:
        publish_version(settings, held)


@pytest.fixture
def published(settings: Settings) -> Settings:
    """web@1, and web@2, which differs in its script."""
    publish(settings)
    script = settings.scripts / "web.master"
    script.write_text(script.read_text() + "echo two\n")
    publish(settings)
    return settings


def test_a_version_is_armed(published: Settings) -> None:
    done = run_si(published, *ARM, "--clients", "web1", "--yes")
    assert done.stdout == "web1: armed with image web@2\n", done.stderr
    assert "image web@2 by rsync" in done.stderr
    words = ("--image", "web@1", "--transport", "http")
    assert run_si(published, *ARM, "--clients", "web1", *words, "--yes").returncode == 0
    arming = load_arming(published, "web1")
    assert arming is not None
    assert (arming.image, arming.version, arming.transport) == ("web", 1, "http")
    assert client_state(published, "web1").version == 1
    assert "web@1" in run_si(published, "monitor").stdout
    assert run_si(published, *ARM, "--clients", "web1", "--live", "--yes").returncode == 0
    assert client_state(published, "web1").version is None
    done = run_si(published, *ARM, "--clients", "web1", "--live", "--transport", "http")
    assert (done.returncode, "as it stands" in done.stderr) == (60, True)


def test_a_version_that_a_client_waits_for_is_not_removed(published: Settings) -> None:
    run_si(published, *ARM, "--clients", "web1", "--image", "web@1", "--yes")
    done = run_si(published, "rmimage", "web@1", "--yes")
    assert "armed with image web@1: web1" in done.stderr
    assert (published.versions / "web/1").is_dir()
    run_si(published, "mkclientnetboot", "--localboot", "--clients", "web1")
    assert run_si(published, "rmimage", "web@1", "--yes").returncode == 0


def test_a_version_that_a_client_waits_for_outlives_those_that_are_kept(
    published: Settings,
) -> None:
    with (published.etc / "si.toml").open("a") as file:
        file.write("[publish]\nkeep = 1\n")
    run_si(published, *ARM, "--clients", "web1", "--image", "web@1", "--yes")
    script = published.scripts / "web.master"
    for number in (3, 4):
        script.write_text(script.read_text() + f"echo {number}\n")
        assert run_si(published, "publish", "web").returncode == 0
    assert list_numbers(published, "web") == (1, 4)
    run_si(published, "mkclientnetboot", "--localboot", "--clients", "web1")
    script.write_text(script.read_text() + "echo 5\n")
    assert "removed   web@1" in run_si(published, "publish", "web").stdout


@pytest.mark.parametrize("name", ["script", "manifest", "manifest.sig"])
@pytest.mark.parametrize("place", [0, 0.5, -1])
def test_a_flipped_bit_is_refused_by_name(published: Settings, name: str, place: float) -> None:
    file = published.versions / "web/1" / name
    data = bytearray(file.read_bytes())
    data[-1 if place == -1 else int(place * len(data))] ^= 1
    file.write_bytes(data)
    done = run_si(published, *ARM, "--clients", "web1", "--image", "web@1", "--yes")
    assert done.returncode in (61, 63), done.stderr
    assert str(published.versions / "web/1/manifest").removesuffix("manifest") in done.stderr
    assert not published.clients.exists()


def test_an_older_version_brings_its_own_script(published: Settings) -> None:
    client, (one, two) = Client("web1"), (
        load_version(published, VersionName("web", number)) for number in (1, 2)
    )  # fmt: skip
    now = published.scripts / "web.master"
    assert choose_script(published, client, "web", two) == now, "it may have been mended"
    assert choose_script(published, client, "web", None) == now
    assert choose_script(published, client, "web", one).read_text() + "echo two\n" == (
        now.read_text()
    )
    other = published.scripts / "other.master"
    assert choose_script(published, Client("web1", layout="other"), "web", one) == other


def test_a_disk_by_rule_is_told_by_its_rule(settings: Settings) -> None:
    """Which disk that is, only the machine itself can find out."""
    script = settings.scripts / "web.master"
    script.write_text(
        "choose_disk /dev/si/data largest min_bytes=9 except=/dev/vda\n"
        "check_disk /dev/vda 9\ncheck_disk /dev/si/data 9\n"
    )
    done = run_si(settings, *ARM, "--clients", "web1")
    assert "wipes /dev/vda, disk by rule: largest, min_bytes=9" in done.stderr
    script.write_text("#!/bin/sh\n")
    example = Path(__file__).parents[2] / "schemas/examples/by-rule.xml"
    (settings.layouts / "web.xml").write_bytes(example.read_bytes())
    done = run_si(settings, *ARM, "--clients", "web1")
    assert "disk by rule: smallest, rotational=no, min_bytes=2147483648" in done.stderr
