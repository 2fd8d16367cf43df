"""si-mkbootpackage: build a flavor, the kernel and BOEL initrd that clients boot to install."""

from __future__ import annotations

import json

import click

from si.boot.flavor import ARCHITECTURES, build_flavor
from si.cli.command import si_command
from si.config import Settings


@si_command("si-mkbootpackage")
@click.option("--flavor", required=True, help="Its name; standard and virtio are predefined.")
@click.option("--kernel", help="Release or path of the kernel [the newest that has modules].")
@click.option(
    "--arch",
    type=click.Choice(ARCHITECTURES),
    default="x86_64",
    show_default=True,
    help="For what.",
)
@click.option(
    "--modules", default="", help="More kernel modules, separated by commas, besides the list's."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    settings: Settings, *, flavor: str, kernel: str | None, arch: str, modules: str, as_json: bool
) -> None:
    """Build a flavor: a kernel and the BOEL initrd for it.

    Programs and modules are taken from this machine's Debian packages. The flavor `virtio` is for
    virtual machines under KVM, `standard` for anything; another name starts from the modules of
    `standard`.
    """
    names = [name.strip() for name in modules.split(",") if name.strip()]
    built = build_flavor(settings, flavor=flavor, kernel=kernel, arch=arch, modules=names)
    if as_json:
        result = {
            "flavor": built.name,
            "arch": built.arch,
            "kernel": str(built.kernel),
            "initrd": str(built.initrd),
            "release": built.release,
            "modules": built.modules,
            "initrd_bytes": built.initrd_bytes,
        }
        click.echo(json.dumps(result))
        return
    click.echo(
        f"flavor {built.name} for {built.arch}: Linux {built.release}, {built.modules} modules, "
        f"initrd {built.initrd_bytes / 1e6:.1f} MB, in {built.kernel.parent}"
    )


main = command.run
