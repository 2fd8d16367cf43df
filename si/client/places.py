"""Every path that the client commands know, below `--root`.

Stage: none. Pure; runs on clients (Python 3.9). What `si.config.Settings` is to the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LAYOUT_DOCUMENTS = ("layout.xml", "disks-layout.xml", "autoinstallscript.conf")
"""A layout that the administrator left in etc/systemimager; the first one found counts."""


@dataclass(frozen=True)
class Places:
    """The paths of one client's file tree."""

    root: Path

    @property
    def etc(self) -> Path:
        """What the product keeps on a client."""
        return self.root / "etc/systemimager"

    @property
    def facts(self) -> Path:
        """Facts of the golden client, as si-prepareclient recorded them."""
        return self.etc / "facts.json"

    @property
    def identity(self) -> Path:
        """Which client this is, of which server: written by the install."""
        return self.etc / "client.json"

    @property
    def site_key(self) -> Path:
        """The public key that versions are signed with: written by the install."""
        return self.etc / "site-key.pub"

    @property
    def local_excludes(self) -> Path:
        """The administrator's list of what updates leave alone."""
        return self.etc / "updateclient.local.exclude"

    @property
    def image_excludes(self) -> Path:
        """The image's list of what updates leave alone: a file of the image like any other."""
        return self.etc / "updateclient.exclude"

    @property
    def last_update(self) -> Path:
        """What the last update moved and how long that took, for estimates."""
        return self.etc / "last-update.json"

    @property
    def cache(self) -> Path:
        """What may be removed at any time, and saves a transfer while it is there."""
        return self.root / "var/cache/systemimager"

    @property
    def menu_pending(self) -> Path:
        """Stands while the boot menu does not yet fit what /boot holds."""
        return self.etc / "bootmenu.pending"

    @property
    def program(self) -> Path:
        """The client commands as one file."""
        return self.root / "usr/lib/systemimager/si-client.pyz"

    @property
    def sbin(self) -> Path:
        """Where the commands are called from."""
        return self.root / "usr/sbin"

    @property
    def units(self) -> Path:
        """systemd units of this machine."""
        return self.root / "etc/systemd/system"

    @property
    def run(self) -> Path:
        """Runtime files; gone after a reboot."""
        return self.root / "run"

    @property
    def update_lock(self) -> Path:
        """Held by the si-updateclient that is at work."""
        return self.run / "si-updateclient.lock"

    @property
    def offer_lock(self) -> Path:
        """Held by the si-prepareclient that is offering; its text says until when."""
        return self.run / "si-prepareclient.lock"

    @property
    def reported(self) -> Path:
        """Left by a report that the server took, for people who look."""
        return self.run / "systemimager-reported"

    @property
    def offer_log(self) -> Path:
        """What the background part of si-prepareclient did."""
        return self.root / "var/log/systemimager-prepareclient.log"
