"""Which services are told of after an update: those that run what it replaced."""

from __future__ import annotations

from pathlib import Path

from si.client.itemize import Item
from si.client.services import Services, find_services


def process(proc: Path, number: int, cgroup: str, *mapped: str) -> None:
    folder = proc / str(number)
    folder.mkdir()
    (folder / "cgroup").write_text(f"0::{cgroup}\n")
    lines = [
        f"7f0000000000-7f0000001000 r-xp 00000000 fe:00 {number}   {path}\n" for path in mapped
    ]
    (folder / "maps").write_text(
        "7f0000002000-7f0000003000 rw-p 00000000 00:00 0\n" + "".join(lines)
    )


def items(*paths: str) -> list[Item]:
    return [Item(path.encode(), "change") for path in paths]


def test_a_service_that_has_mapped_what_was_replaced(tmp_path: Path) -> None:
    lib = "/usr/lib/x86_64-linux-gnu/libssl.so.3"
    process(tmp_path, 1, "/init.scope", f"{lib} (deleted)")
    process(tmp_path, 7, "/system.slice/ssh.service", "/usr/sbin/sshd", f"{lib} (deleted)")
    process(tmp_path, 8, "/system.slice/system-getty.slice/getty@tty1.service", f"{lib} (deleted)")
    process(tmp_path, 9, "/system.slice/cron.service", lib)
    process(tmp_path, 10, "/user.slice/user-0.slice/session-1.scope", f"{lib} (deleted)")
    process(tmp_path, 11, "/system.slice/dbus.service", f"{lib} (deleted)")
    process(tmp_path, 12, "/system.slice/other.service", "/usr/sbin/odd name (deleted)")
    (tmp_path / "self").mkdir()
    assert find_services(tmp_path, items(lib[1:])) == Services(
        ("getty@tty1.service", "ssh.service"), ("dbus.service",)
    )
    assert find_services(tmp_path, items("usr/sbin/odd name")).stale == ("other.service",)
    assert find_services(tmp_path, items("etc/motd")) == Services()


def test_a_service_whose_unit_has_changed(tmp_path: Path) -> None:
    process(tmp_path, 7, "/system.slice/ssh.service/sub", "/usr/sbin/sshd")
    for path in ("usr/lib/systemd/system/ssh.service", "etc/systemd/system/ssh.service.d/a.conf"):
        assert find_services(tmp_path, items(path)) == Services(("ssh.service",), (), True)
    assert find_services(tmp_path, items("etc/systemd/system/away.service")).stale == ()
