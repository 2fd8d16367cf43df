"""si-prepareclient: make a running machine ready to be captured, and offer its tree.

Stage 1, effects; runs on clients (Python 3.9). Checks, says what cannot be kept, records the facts,
puts the client commands and the report unit in, and offers the tree to one server until the capture
is complete. With the ssh transport nothing is offered: the server comes in by ssh.
"""

from __future__ import annotations

import datetime
import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from si.client.ask import confirm
from si.client.background import detach
from si.client.doubts import find_doubts
from si.client.excludes import literal, parse_excludes
from si.client.facts import gather_facts
from si.client.files import note_holder, take_lock, write_atomically
from si.client.install import find_program, make_change, planned_changes
from si.client.offer import (
    DEFAULT_PORT,
    DEFAULT_TIMEOUT_S,
    Offer,
    Stopped,
    await_end,
    check_port,
    serving,
    signals_raise,
)
from si.client.places import LAYOUT_DOCUMENTS, Places
from si.client.record import Facts, dump_facts
from si.client.surroundings import running_databases
from si.errors import ConfigInvalid, NameNotResolved, PrivilegeMissing, ToolMissing
from si.system.run import find_tool

_NEEDED_BY_UPDATES = {"zstd": "zstd", "ssh-keygen": "openssh-client"}
"""Programs, and the packages that have them."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PrepareOptions:
    """What was asked for."""

    server: str
    transport: str = "rsync"
    exclude_file: Path | None = None
    port: int = DEFAULT_PORT
    timeout_s: float = DEFAULT_TIMEOUT_S
    is_dry_run: bool = False
    yes: bool = False
    stays_in_foreground: bool = False


def prepare_client(places: Places, options: PrepareOptions) -> int:
    """Prepare this machine, and offer it.

    Raises PrivilegeMissing, ToolMissing, NameNotResolved, ConfigInvalid, PortTaken, ClientBusy,
    NotConfirmed, CommandFailed.
    """
    if os.geteuid() != 0:
        raise PrivilegeMissing(
            "preparing a golden client needs root", hint="run it as root, or with sudo"
        )
    addresses = resolve_server(options.server)
    hidden = _hidden_rules(places, options.exclude_file)
    program = find_program()
    facts = gather_facts()
    doubts = find_doubts(facts, running_databases(Path("/proc")))
    for doubt in doubts:
        _log.warning("warning: %s", doubt)
    _mention_layout(places)
    _mention_tools()
    if options.is_dry_run:
        return _show(places, facts, program, options, addresses)
    with take_lock(places.offer_lock, what="si-prepareclient") as lock:
        if options.transport == "rsync":
            check_port(options.port)
        confirm("Copies will not have what is said above. Go on?", yes=options.yes or not doubts)
        _write(places, facts, program)
        if options.transport == "ssh":
            print("prepared; nothing is offered here, the server comes in by ssh. Next, on it:")
            print(f"  {_next_command(addresses, options)}")
            return 0
        offer = Offer(places.root, places.run, addresses, options.port, options.timeout_s, hidden)
        return _offer(places, offer, options, lock)


def _mention_tools() -> None:
    """Say what copies of this machine will lack for their updates."""
    for name, package in _NEEDED_BY_UPDATES.items():
        try:
            find_tool(name, package=package)
        except ToolMissing as error:
            _log.warning(
                "warning: %s: copies cannot be updated to a version without it (%s)",
                error.message,
                error.hint,
            )


def resolve_server(name: str) -> tuple[str, ...]:
    """All addresses of the server. Raises NameNotResolved."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NameNotResolved(
            f"no address for the server {name!r}: {getattr(error, 'strerror', None) or error}",
            hint="write its address, or put its name into /etc/hosts",
        ) from error
    addresses = (str(entry[4][0]).partition("%")[0] for entry in found)
    return tuple(dict.fromkeys(addresses))


def own_address(server: str) -> str:
    """The address of this machine that the server sees; nothing is sent to find it."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((server, 9))
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


def _hidden_rules(places: Places, exclude_file: Path | None) -> tuple[str, ...]:
    """What nobody gets: our own log and lock, the token of an earlier install, the user's list."""
    own = (places.offer_log, places.offer_lock, places.identity)
    rules = tuple(f"- {literal('/' + str(file.relative_to(places.root)))}" for file in own)
    if exclude_file is None:
        return rules
    try:
        text = exclude_file.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise ConfigInvalid(f"cannot read {exclude_file}: {error.strerror}") from error
    return rules + parse_excludes(text, str(exclude_file))


def _mention_layout(places: Places) -> None:
    found = [name for name in LAYOUT_DOCUMENTS if (places.etc / name).is_file()]
    if found:
        _log.info(
            "%s is there: the layout of the image will be taken from it, not from the facts",
            places.etc / found[0],
        )


def _show(
    places: Places,
    facts: Facts,
    program: bytes,
    options: PrepareOptions,
    addresses: tuple[str, ...],
) -> int:
    """Dry run: the facts on standard output, then what would be done."""
    print(dump_facts(facts), end="")
    print(f"would write {places.facts}")
    for change in planned_changes(places, program):
        print(f"would write {change.file}")
    if options.transport == "rsync":
        print(f"would offer {places.root} to {', '.join(addresses)} on port {options.port}")
    return 0


def _write(places: Places, facts: Facts, program: bytes) -> None:
    for change in planned_changes(places, program):
        make_change(change)
        _log.debug("wrote %s", change.file)
    write_atomically(places.facts, dump_facts(facts).encode(), mode=0o644)
    _log.info("recorded the facts of %s in %s", facts.hostname, places.facts)
    if not (places.root / "run/systemd/system").is_dir():
        _log.warning("warning: systemd does not run here: copies will not report that they run")


def _offer(places: Places, offer: Offer, options: PrepareOptions, lock: IO[str]) -> int:
    def work(ready: Callable[[], None]) -> None:
        with signals_raise(), serving(offer) as marker:
            note_holder(lock, _holder_text(offer))
            _say(f"offers {offer.root} to {', '.join(offer.addresses)} on port {offer.port}")
            ready()
            _say("complete" if await_end(offer, marker) else "nobody came, the time is up")

    if options.stays_in_foreground:
        try:
            work(lambda: _announce(offer, options, os.getpid()))
        except Stopped:
            _say("stopped")
        return 0

    def quietly(ready: Callable[[], None]) -> None:
        try:
            work(ready)
        except Stopped:
            _say("stopped")

    _announce(offer, options, detach(quietly, places.offer_log))
    return 0


def _announce(offer: Offer, options: PrepareOptions, process: int) -> None:
    print(
        f"offers this machine to {', '.join(offer.addresses)} on port {offer.port} until "
        f"{_until(offer)} (process {process}). Next, on the server:"
    )
    print(f"  {_next_command(offer.addresses, options)}", flush=True)


def _next_command(addresses: tuple[str, ...], options: PrepareOptions) -> str:
    words = ["si-getimage", "--golden-client", own_address(addresses[0]), "--image", "NAME"]
    if options.transport == "ssh":
        words += ["--transport", "ssh"]
    elif options.port != DEFAULT_PORT:
        words += ["--port", str(options.port)]
    return " ".join(words)


def _holder_text(offer: Offer) -> str:
    return (
        f"this machine is offered to {', '.join(offer.addresses)} already, until {_until(offer)}\n"
        f"kill {os.getpid()} ends that\n"
    )


def _until(offer: Offer) -> str:
    end = datetime.datetime.fromtimestamp(time.time() + offer.timeout_s).astimezone()
    return end.strftime("%Y-%m-%d %H:%M:%S %Z")


def _say(text: str) -> None:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    print(f"{stamp} {text}", file=sys.stderr, flush=True)
