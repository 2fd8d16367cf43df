"""`si-getimage`: a golden client becomes an image with its layout and master script.

What can be refused is refused before the tree travels: names, a layout that contradicts the
facts, a store that cannot keep attributes. The golden client is told to end its offer only when
everything stands.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from si.cli.command import si_command
from si.cli.lsimage import format_size
from si.config import Settings
from si.errors import ConfigInvalid
from si.image.capture import CaptureReport, capture_image, compare_early, signal_complete
from si.image.excludes import check_path, parse_own
from si.image.lock import lock_image
from si.image.offer import Offer, open_offer
from si.image.source import (
    DEFAULT_PORT,
    CaptureTransport,
    Directory,
    GoldenClient,
    Source,
    check_address,
)
from si.image.store import layout_path, script_path, write_layout
from si.image.swap import sweep_old_trees
from si.names_check import check_name
from si.script.steps import PostInstall
from si.system.rsync import Progress

if TYPE_CHECKING:
    from si.layout.choose import ChosenLayout

# What a capture may not need is imported where it is used, and for a first capture in a thread
# while the golden client is being asked.
_LATER = ("si.layout.choose", "si.script.store", "si.serve.rsyncd", "si.cli.publish")

log = logging.getLogger(__name__)

_MOST_NAMES = 12


@dataclass(frozen=True, slots=True)
class _Options:
    """What the command line says of layout, script and version."""

    post_install: PostInstall
    yes: bool
    force: bool
    publish: bool


@si_command("si-getimage")
@click.option("--golden-client", metavar="HOST", help="Take the tree of this prepared machine.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path),
    help="Take the tree in this directory of this machine instead.",
)
@click.option("--image", required=True, metavar="NAME", help="The image to make or update.")
@click.option(
    "--transport",
    type=click.Choice([transport.value for transport in CaptureTransport]),
    default=CaptureTransport.RSYNC.value,
    show_default=True,
    help="How the tree travels; ssh logs in as root.",
)
@click.option("--port", default=DEFAULT_PORT, show_default=True, type=click.IntRange(1, 65535),
              help="Port of the golden client's rsync daemon.")  # fmt: skip
@click.option("--exclude", "excludes", multiple=True, metavar="PATH",
              help="Leave out this file, /directory/ or /contents/*; repeatable.")  # fmt: skip
@click.option(
    "--exclude-file",
    type=click.Path(path_type=Path),
    help="Leave out what these rsync patterns say.",
)
@click.option(
    "--post-install",
    type=click.Choice([action.value for action in PostInstall]),
    default=PostInstall.REBOOT.value,
    show_default=True,
    help="What a client does when its disk is written.",
)
@click.option("--yes", is_flag=True, help="Take a layout document that contradicts the facts.")
@click.option("--force", is_flag=True, help="Make layout and script anew, even over hand edits.")
@click.option("--no-publish", is_flag=True, help="Make no version: clients get the one before.")
def command(
    settings: Settings,
    *,
    golden_client: str | None,
    directory: Path | None,
    image: str,
    transport: str,
    port: int,
    excludes: tuple[str, ...],
    exclude_file: Path | None,
    post_install: str,
    yes: bool,
    force: bool,
    no_publish: bool,
) -> None:
    """Take the tree of a golden client into image NAME, and publish it as its next version.

    Run si-prepareclient on the golden client first. The present image stands, and clients can
    install it, until the new tree is complete; a capture that was cut short is resumed by the
    next one. getimage.exclude in the configuration directory is always applied.
    """
    check_name("image", image)
    source = _source(golden_client, directory, CaptureTransport(transport), port)
    own_rules = _own_rules(settings, excludes, exclude_file)
    options = _Options(PostInstall(post_install), yes, force, not no_publish)
    if not (settings.images / image).exists():
        threading.Thread(target=_import_later, daemon=True).start()
    sweep_old_trees(settings)
    _make_image(settings, image, source, own_rules, options)
    signal_complete(source)


def _make_image(
    settings: Settings, image: str, source: Source, own_rules: tuple[str, ...], options: _Options
) -> None:
    with (
        lock_image(settings, image) as held,
        compare_early(settings, held, source, own_rules=own_rules) as early,
    ):
        offer = open_offer(source)
        chosen = _settle_layout(settings, image, offer, options)
        log.info("capturing image %s from %s", image, source.name)
        report = capture_image(
            settings, held, offer, own_rules=own_rules, early=early, on_progress=_progress()
        )
        _tell_tree(report)
        if report.changed or chosen is not None or not script_path(settings, image).exists():
            from si.serve.rsyncd import write_rsyncd_conf

            _put_layout(settings, image, offer, chosen)
            _make_script(settings, image, options)
            write_rsyncd_conf(settings)
        else:
            click.echo(f"  layout    {layout_path(settings, image)}")
            click.echo(f"  script    {script_path(settings, image)}")
        if options.publish:
            from si.cli.publish import publish

            publish(settings, held)
    if script_path(settings, image).exists():
        click.echo(f"next: si-mkclientnetboot --netboot --clients RANGE --image {image}")


def _import_later() -> None:
    for name in _LATER:
        import_module(name)


def _source(
    golden_client: str | None, directory: Path | None, transport: CaptureTransport, port: int
) -> Source:
    if (golden_client is None) == (directory is None):
        raise click.UsageError("give either --golden-client or --directory")
    if golden_client is not None:
        return GoldenClient(check_address(golden_client), transport, port)
    assert directory is not None
    return Directory(directory.absolute())


def _own_rules(
    settings: Settings, excludes: tuple[str, ...], exclude_file: Path | None
) -> tuple[str, ...]:
    rules = [check_path(path) for path in excludes]
    if exclude_file is not None:
        rules += parse_own(_read(exclude_file), str(exclude_file))
    if settings.getimage_exclude.exists():
        rules += parse_own(_read(settings.getimage_exclude), str(settings.getimage_exclude))
    return tuple(rules)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise ConfigInvalid(f"cannot read {path}: {error.strerror}") from error


def _settle_layout(
    settings: Settings, image: str, offer: Offer, options: _Options
) -> ChosenLayout | None:
    """The layout to write, settled before anything is copied. None when none is to be written:
    the server's own document, which a person may have edited, stands, or there is nothing to go
    by."""
    if layout_path(settings, image).exists() and not options.force:
        return None
    if offer.facts is None and offer.document is None:
        return None
    from si.layout.choose import choose_layout

    return choose_layout(offer.facts, offer.document, accept_contradictions=options.yes)


def _put_layout(settings: Settings, image: str, offer: Offer, chosen: ChosenLayout | None) -> None:
    from si.layout.contradict import contradictions
    from si.layout.document import load_layout
    from si.script.store import read_document

    path = layout_path(settings, image)
    if chosen is not None:
        write_layout(settings, image, chosen.text)
        click.echo(f"  layout    {path}, from {chosen.source}")
        denied = chosen.contradicts
    elif path.exists():
        click.echo(f"  layout    {path} was there and stays; --force makes it anew")
        layout = load_layout(read_document(path), str(path))
        denied = () if offer.facts is None else contradictions(layout, offer.facts)
    else:
        _warn("no layout and no master script: the directory has no facts of a golden client")
        return
    for text in denied:
        _warn(f"the layout contradicts the facts: {text}")


def _progress() -> Callable[[Progress], None] | None:
    """What shows progress: a line of a terminal that is written over."""
    if not sys.stderr.isatty() or not log.isEnabledFor(logging.INFO):
        return None

    def show(progress: Progress) -> None:
        done = format_size(progress.done_bytes)
        click.echo(f"\r{done}, {progress.percent}%, {progress.speed}\x1b[K", err=True, nl=False)

    return show


def _make_script(settings: Settings, image: str, options: _Options) -> None:
    """The master script anew; one that a person changed stays, and that is said."""
    from si.script.master import is_hand_edited
    from si.script.store import install_script, make_script

    path = script_path(settings, image)
    if not layout_path(settings, image).exists():
        return
    if path.exists() and not options.force and is_hand_edited(path.read_text(errors="replace")):
        _warn(f"{path} was changed by hand and stays; --force makes it anew")
        return
    made = make_script(settings, image, post_install=options.post_install, command="si-getimage")
    for problem in made.warnings:
        _warn(str(problem))
    install_script(settings, image, made.text, force=options.force)
    click.echo(f"  script    {path}")


def _tell_tree(report: CaptureReport) -> None:
    image, changes = report.image, report.changes
    if not report.changed:
        click.echo(f"image {image.name}: nothing changed since {image.captured}")
    else:
        size, travelled = format_size(report.total_bytes), format_size(report.transferred_bytes)
        click.echo(
            f"image {image.name}: {report.paths} paths, {size}, of which {travelled} travelled, "
            f"in {report.seconds:.1f} s"
        )
    click.echo(f"  tree      {image.path}")
    if changes is not None and report.changed:
        click.echo(f"  changed   {changes.changed} paths, {changes.new} new, {changes.gone} gone")
    click.echo(f"  left out  identity: {_names(report.left_out) or 'none found'}")
    if mounts := tuple(f"{point} ({kind})" for point, kind in report.mounts):
        click.echo(f"            contents of mounts: {_names(mounts)}")
    if report.own_rules:
        click.echo(f"            your excludes: {_names(report.own_rules)}")
    for warning in report.warnings:
        _warn(warning)


def _names(names: tuple[str, ...]) -> str:
    more = len(names) - _MOST_NAMES
    shown = ", ".join(_printable(name) for name in names[:_MOST_NAMES])
    return shown + (f" and {more} more" if more > 0 else "")


def _printable(text: str) -> str:
    """Names come from another machine and must not steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _warn(text: str) -> None:
    click.echo(f"si-getimage: warning: {_printable(text)}", err=True)


main = command.run
