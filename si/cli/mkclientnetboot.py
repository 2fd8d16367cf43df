"""si-mkclientnetboot: arm clients for an install, or let them boot their own disk."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import get_args

import click

from si.boot.arming import (
    Arming,
    ArmingPlan,
    Transport,
    Wish,
    arm_clients,
    disarm_clients,
    plan_arming,
)
from si.cli.command import confirm, si_command
from si.cluster import load_cluster
from si.config import Settings
from si.serve.rsyncd import write_rsyncd_conf
from si.version.store import load_version
from si.version.tree import ensure_tree

log = logging.getLogger(__name__)


@si_command("si-mkclientnetboot")
@click.option("--netboot", is_flag=True, help="Install the clients when they boot next.")
@click.option("--localboot", is_flag=True, help="Let the clients boot their own disk.")
@click.option("--clients", "range_text", metavar="RANGE", required=True, help="Which clients.")
@click.option("--image", metavar="NAME", help="Image, or NAME@N, to install [that of cluster.xml].")
@click.option("--live", is_flag=True, help="Not its version, but the image as it stands.")
@click.option("--flavor", metavar="NAME", help="Flavor to boot [cluster.xml, else standard].")
@click.option("--arch", metavar="ARCH", help="Architecture of the flavor [that of the image].")
@click.option(
    "--transport",
    type=click.Choice([*get_args(Transport), "auto"]),
    default="rsync",
    show_default=True,
    help="How the image travels.",
)
@click.option("--append", metavar="TEXT", default="", help="More kernel arguments.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(
    settings: Settings,
    *,
    netboot: bool,
    localboot: bool,
    range_text: str,
    image: str | None,
    live: bool,
    flavor: str | None,
    arch: str | None,
    transport: Wish,
    append: str,
    yes: bool,
) -> None:
    """Arm clients (--netboot) or disarm them (--localboot).

    An armed client is wiped and installed when it boots from the network; every other machine
    boots its own disk. If anything is wrong with one client of the range, none is armed.
    """
    if netboot == localboot:
        raise click.UsageError("give one of --netboot and --localboot")
    names = load_cluster(settings).expand(range_text)
    if localboot:
        if image or live or flavor or arch or append:
            raise click.UsageError(
                "--image, --live, --flavor, --arch and --append go with --netboot"
            )
        _disarm(settings, names)
        return
    if live and image and "@" in image:
        raise click.UsageError("--live is the image as it stands, and NAME@N a version")
    plans = plan_arming(settings, names, image=image, flavor=flavor, arch=arch,
                        transport=transport, live=live, append=append)  # fmt: skip
    _ask(plans, yes=yes)
    _unpack(settings, plans)
    arm_clients(settings, plans)
    for plan in plans:
        click.echo(f"{plan.arming.client}: armed with image {_what(plan.arming)}")


def _ask(plans: Sequence[ArmingPlan], *, yes: bool) -> None:
    for plan in plans:
        arming = plan.arming
        note = ", an install is under way now" if plan.is_busy else ""
        click.echo(
            f"{arming.client} ({arming.mac}, {arming.ip}): image {_what(arming)} "
            f"by {arming.transport}, flavor {arming.flavor}, wipes {', '.join(plan.wipes)}{note}",
            err=True,
        )
    busy = [plan.arming.client for plan in plans if plan.is_busy]
    if busy:
        confirm(f"{', '.join(busy)} would be cut off and begin anew. Go on?", yes=yes)
    noun = "this client" if len(plans) == 1 else f"these {len(plans)} clients"
    confirm(f"Wipe and install {noun} at the next boot?", yes=yes)


def _unpack(settings: Settings, plans: Sequence[ArmingPlan]) -> None:
    """Make the trees that the rsync daemon will hand out."""
    wanted = {plan.arming.what for plan in plans if plan.arming.transport == "rsync"}
    for name in sorted(name for name in wanted if name.number is not None):
        log.info("unpacking %s for rsync, unless that was done before", name)
        ensure_tree(settings, load_version(settings, name))
    write_rsyncd_conf(settings)


def _what(arming: Arming) -> str:
    return f"{arming.what}" if arming.version else f"{arming.image} as it stands"


def _disarm(settings: Settings, names: Sequence[str]) -> None:
    disarmed = disarm_clients(settings, names)
    for name in names:
        click.echo(f"{name}: {'disarmed' if name in disarmed else 'was not armed'}")


main = command.run
