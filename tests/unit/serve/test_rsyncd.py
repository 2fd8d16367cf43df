"""The text of rsyncd.conf, and who holds a port."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

from si.config import default_settings
from si.serve.ports import parse_holders
from si.serve.rsyncd import list_modules, render_rsyncd_conf


def test_modules_are_read_only_and_for_the_networks_alone() -> None:
    text = render_rsyncd_conf(
        modules=[("web", Path("/var/images/web"))],
        networks=[IPv4Network("10.77.0.0/24"), IPv4Network("127.0.0.0/8")],
        log_file=Path("/run/log"),
        lock_file=Path("/run/lock"),
    )
    general, module = text.split("\n\n")
    for line in ("read only = yes", "list = no", "use chroot = yes", "numeric ids = yes",
                 "uid = 0", "gid = 0", "hosts allow = 10.77.0.0/24 127.0.0.0/8",
                 "hosts deny = *"):  # fmt: skip
        assert line in general.splitlines()
    assert module == "[web]\npath = /var/images/web\n"


def test_no_network_means_nobody() -> None:
    text = render_rsyncd_conf(modules=[], networks=[], log_file=Path("l"), lock_file=Path("k"))
    assert "hosts allow =\n" in text
    assert "hosts deny = *" in text


def test_images_and_overrides_become_modules_but_nothing_else_does(tmp_path: Path) -> None:
    settings = default_settings(tmp_path)
    for name in ("web", ".web.old-1", "bad name", "override-x"):
        (settings.images / name).mkdir(parents=True)
    for name in ("all", "x"):
        (settings.overrides / name).mkdir(parents=True)
    (settings.images / "link").symlink_to("/")
    (settings.images / "file").write_text("")
    assert list_modules(settings) == (
        ("override-x", settings.images / "override-x"),
        ("web", settings.images / "web"),
        ("override-all", settings.overrides / "all"),
    )


def test_holders_in_the_words_of_ss() -> None:
    line = 'LISTEN 0 511 *:80 *:* users:(("nginx",pid=12,fd=6),("nginx",pid=12,fd=7),("x",pid=3,f'
    assert parse_holders(line) == (("nginx", 12), ("x", 3))
    assert parse_holders("LISTEN 0 5 *:80 *:*") == ()
