"""Options that several client commands have.

Stage: none. Runs on clients (Python 3.9): argparse, whose errors end with exit code 2.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from si import __version__


def make_parser(name: str, description: str) -> argparse.ArgumentParser:
    """A parser with the options that every client command has."""
    parser = argparse.ArgumentParser(prog=name, description=description, allow_abbrev=False)
    root = os.environ.get("SI_ROOT") or "/"
    parser.add_argument(
        "--root", type=Path, default=Path(root), metavar="DIR", help="the tree to work on [/]"
    )
    parser.add_argument(
        "--config", metavar="FILE", help="taken as everywhere; clients have no settings yet"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="say more")
    parser.add_argument("-q", "--quiet", action="store_true", help="say only errors")
    parser.add_argument("--debug", action="store_true", help="show a traceback with an error")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def add_wanted(parser: argparse.ArgumentParser, image: str) -> None:
    """What the machine should be, and what is left alone. image: form of an image's name."""
    told = "[as installed]"
    parser.add_argument("--server", metavar="ADDR[:HTTP_PORT]", help=f"the image server {told}")
    parser.add_argument("--image", metavar=image, help=f"the image {told}")
    parser.add_argument(
        "--client", metavar="NAME", help=f"this client's name on the server {told}, else host name"
    )
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="PATH",
        help="leave this alone too (an rsync pattern; may be given again)",
    )


def add_explain(parser: argparse.ArgumentParser) -> None:
    """--explain."""
    parser.add_argument("--explain", metavar="PATH", help="only say what protects PATH")


def add_doing(parser: argparse.ArgumentParser, dry_run: str) -> None:
    """Whether to do it, and to ask. dry_run: help of --dry-run."""
    parser.add_argument("--dry-run", action="store_true", help=dry_run)
    parser.add_argument("--yes", action="store_true", help="ask nothing")


def port(text: str) -> int:
    """A TCP port. Raises ValueError, as argparse wants it."""
    number = int(text)
    if not 0 < number < 65536:
        raise ValueError
    return number


def seconds(text: str) -> float:
    """A duration above nothing. Raises ValueError, as argparse wants it."""
    number = float(text)
    if not 0 < number < 1e9:
        raise ValueError
    return number
