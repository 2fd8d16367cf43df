"""The site of the story: one server's settings, overrides, scripts and clients, and its commands.

The server is the real one: every command is started as an administrator starts it, in the lab's
network, with `--root` (here $SI_ROOT) below the work folder.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from scripts.lab.errors import LabError, LabTimeout
from scripts.lab.network import ADDRESS, BRIDGE, NETWORK, Network, stop_process
from scripts.lab.ssh import Login
from si.system.run import STDOUT, Completed

HTTP_PORT = 8080
HTTP = f"http://{ADDRESS}:{HTTP_PORT}"
IMAGE = "web"
DNS_ONLY_CLIENT = "web2"
ADDRESSES = {"web1": "10.77.0.21", "web2": "10.77.0.22"}
MACS = {"web1": "52:54:00:77:00:21", "web2": "52:54:00:77:00:22"}
TRANSPORTS = {"web1": "http", "web2": "rsync"}
LOADERS = {"web1": "ipxe", "web2": "pxelinux"}
ORDER_FILE = "root/si-order"
HOOKS = ("30web1.client", "20web.image", "50all.last", "40farm.group", "10all.first", "60db1.other")
"""Scripts of both stages, in no order."""
HOOK_ORDER = {
    "web1": ("10all.first", "50all.last", "20web.image", "40farm.group", "30web1.client"),
    "web2": ("10all.first", "50all.last", "20web.image", "40farm.group"),
}
"""By class: all, image, name without digits, groups, client; in a class by number."""

SETTINGS = f"""\
[server]
address = "{ADDRESS}"
listen = "{ADDRESS}"
http_port = {HTTP_PORT}
networks = ["{NETWORK}"]

[dns]
servers = ["{ADDRESS}"]
hosts_file = "/dev/null"
"""

CLUSTER = """\
<?xml version="1.0" encoding="UTF-8"?>
<cluster>
  <!-- most important first; a client's own override wins over its group's, and that over these -->
  <override>everyone</override>
  <group name="farm" image="web">
    <override>farm</override>
  </group>
</cluster>
"""
PLAIN_CLUSTER = """\
<?xml version="1.0" encoding="UTF-8"?>
<cluster>
  <group name="farm" image="web"/>
</cluster>
"""


class Site:
    """A server below `folder`, its commands in `network`."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network = network
        self.folder = folder
        self.root = folder / "server"
        self.var = self.root / "var/lib/systemimager"
        self.image = self.var / "images" / IMAGE
        self.log = folder / "commands.log"
        self._server: subprocess.Popen[bytes] | None = None

    def make(self, *, plain: bool = False) -> None:
        """An empty server with this site's settings, overrides and scripts; none if `plain`."""
        shutil.rmtree(self.root, ignore_errors=True)
        etc = self.root / "etc/systemimager"
        etc.mkdir(parents=True)
        (etc / "si.toml").write_text(SETTINGS)
        (etc / "cluster.xml").write_text(PLAIN_CLUSTER if plain else CLUSTER)
        self.log.write_text("")
        if not plain:
            self._write_overrides()
            self._write_scripts()

    def run(self, *words: str | Path, stdin: bytes | None = None, ok: tuple[int, ...] = (0,),
            timeout_s: float = 600) -> Completed:  # fmt: skip
        """One command of the product, e.g. `run("getimage", "--image", "web")`.

        Its output is kept in `log`. Raises LabError with its own message for another exit code.
        """
        argv = [Path(sys.executable).with_name(f"si-{words[0]}"), *words[1:]]
        done = self.network.run(
            argv, env={"SI_ROOT": str(self.root)}, stdin=stdin, check=False, timeout_s=timeout_s
        )
        with self.log.open("ab") as log:
            log.write(b"\n# si-" + b" ".join(str(word).encode() for word in words) + b"\n")
            log.write(done.stdout + done.stderr)
        if done.exit_code not in ok:
            text = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
            raise LabError(f"si-{words[0]} ended with {done.exit_code}: {text}")
        return done

    def start_server(self) -> None:
        """Start si-server and wait until it answers."""
        log = self.folder / "server.log"
        argv = [Path(sys.executable).with_name("si-server")]
        self._server = self.network.start(
            argv, env={"SI_ROOT": str(self.root)}, stdout=log.open("wb"), stderr=STDOUT
        )
        deadline = time.monotonic() + 30
        while self.run("server", "--status", ok=(0, 41)).exit_code != 0:
            if self._server.poll() is not None:
                raise LabError(f"si-server ended: {log.read_text(errors='replace')[-2000:]}")
            if time.monotonic() > deadline:
                raise LabTimeout("si-server did not answer in 30 s")
            time.sleep(0.1)

    def stop_server(self) -> None:
        """End si-server."""
        if self._server is not None:
            stop_process(self._server)
            self._server = None

    def kill_server(self) -> int:
        """Take si-server away with SIGKILL, as a crash would; its process number."""
        if self._server is None:
            raise LabError("si-server was not started")
        server, self._server = self._server, None
        server.kill()
        server.wait()
        return server.pid

    def start_dhcp(self) -> None:
        """Have si-mkdhcpserver write a configuration, and run dnsmasq with it."""
        conf = self.root / "dnsmasq.conf"
        self.run("mkdhcpserver", "--software", "dnsmasq", "--interface", BRIDGE,
                 "--subnet", NETWORK, "--range", "10.77.0.100-10.77.0.199",
                 "--output", conf, "--yes")  # fmt: skip
        self.network.start_dnsmasq(conf, self.folder / "dhcp.log")

    def prepare(self, login: Login, log: Path) -> None:
        """si-prepareclient on a golden client, which gets it from the server."""
        fetch = f"import urllib.request as u; u.urlretrieve('{HTTP}/client/si-client.pyz', 'c')"
        login.run(["python3", "-c", fetch])
        done = login.run(
            f"python3 c prepareclient --server {ADDRESS} --yes </dev/null", timeout_s=120
        )
        log.write_bytes(done.stdout + done.stderr)

    def states(self) -> dict[str, dict[str, Any]]:
        """What si-monitor knows, by client."""
        shown = json.loads(self.run("monitor", "--json").stdout)
        return {client["client"]: client for client in shown["clients"]}

    def unknown_macs(self) -> list[dict[str, Any]]:
        """Machines that asked to boot and stand in no cluster.xml."""
        unknown: list[dict[str, Any]] = json.loads(self.run("monitor", "--json").stdout)["unknown"]
        return unknown

    def boot_entry(self, mac: str) -> str:
        """What the server tells a machine that boots through iPXE."""
        return self.network.run(["curl", "--silent", "--fail", f"{HTTP}/boot/ipxe/{mac}"]).text

    def wait_state(self, client: str, state: str, timeout_s: float) -> dict[str, Any]:
        """Poll si-monitor until `client` stands at `state`. Raises LabTimeout."""
        deadline = time.monotonic() + timeout_s
        while True:
            now = self.states().get(client, {"state": "not listed"})
            if now["state"] == state:
                return now
            if time.monotonic() > deadline:
                raise LabTimeout(
                    f"{client} is {now['state']}, not {state}, after {timeout_s:g} s",
                    hint=f"its install log: si-monitor --log {client}",
                )
            time.sleep(1)

    def _write_overrides(self) -> None:
        """Each override has one file of its own, and /etc/motd, in which the client's must win."""
        for name in ("everyone", "farm", "web1"):
            tree = self.var / "overrides" / name / "etc"
            tree.mkdir(parents=True)
            (tree / "motd").write_text(f"This file is from the override {name}.\n")
            (tree / f"from-{name}").write_text(f"{name}\n")
            (tree / f"from-{name}").chmod(0o640)

    def _write_scripts(self) -> None:
        """Scripts that say the order in which they run; only post-install ones have a disk."""
        for stage in ("pre", "post"):
            place = self.var / "scripts" / f"{stage}-install"
            place.mkdir(parents=True)
            note = f" | tee -a /{ORDER_FILE}" if stage == "post" else ""
            for name in HOOKS:
                script = place / name
                script.write_text(f"#!/bin/sh\nset -eu\necho 'si-order {stage} {name}'{note}\n")
                script.chmod(0o755)
