"""What commands that take an image away tell of who still counts on it."""

from __future__ import annotations

import click

from si.boot.arming import shown
from si.cluster import load_cluster
from si.config import Settings


def tell_who_is_given(settings: Settings, image: str) -> None:
    """Name the clients that cluster.xml gives an image which is no longer there."""
    names = [client.name for client in load_cluster(settings).clients if client.image == image]
    if names:
        click.echo(f"cluster.xml still gives it to {shown(names)}", err=True)
