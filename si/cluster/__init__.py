"""Clients, groups, ranges: who is installed, and with which image, layout, flavor, overrides.

Stage: none. Pure but for `load_cluster`, which reads the one file that all of it stands in.
`model` holds the values, `document` reads cluster.xml, `ancestor` SystemImager's document of the
same name, `assemble` checks what a schema cannot say, `ranges` expands client ranges.
"""

from __future__ import annotations

from si.cluster.document import MAX_BYTES, parse_cluster
from si.cluster.model import Client, Cluster, Group, Loader, Network, normal_mac
from si.config import Settings
from si.errors import DocumentInvalid, Problem

__all__ = [
    "Client",
    "Cluster",
    "Group",
    "Loader",
    "Network",
    "load_cluster",
    "normal_mac",
    "parse_cluster",
]


def load_cluster(settings: Settings) -> Cluster:
    """Read `settings.cluster_xml`; a missing file is an empty cluster.

    Raises DocumentInvalid with every problem at once.
    """
    path = settings.cluster_xml
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return Cluster(file=str(path))
    except OSError as error:
        raise DocumentInvalid([Problem(str(path), 1, f"cannot read: {error.strerror}")]) from error
    return parse_cluster(data, str(path))
