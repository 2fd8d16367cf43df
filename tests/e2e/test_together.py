"""Blank machines install at once by each transport, are proved before they boot, and boot."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.lab.accel import Accelerator
from scripts.lab.disk import mounted_tree
from scripts.lab.golden import FOLDER, POINTS, Golden
from scripts.lab.network import limit_sending, sent_bytes, stop_limit
from scripts.lab.proof import compare_disk
from scripts.lab.site import IMAGE
from si.boot.flavor import FLAVOR_FILES
from tests.e2e.update_yard import NUMBERS, UpdateYard

pytestmark = pytest.mark.full
OTHER_BYTES = 2 << 20
"""Boot programs, scripts, manifest and answers for one machine; more than they are."""
BOOTS_AT_ONCE = 2
LINK_MBIT_S = 8
"""Of the server, while machines fetch the image: about what one emulated machine takes. A server
whose link is never full has no reason to leave anything to the others."""


@pytest.fixture(scope="module")
def yard(golden: Golden, accelerator: Accelerator) -> Iterator[UpdateYard]:
    """A server with an image that boots."""
    with UpdateYard(FOLDER.with_name("together"), golden, accelerator) as made:
        yield made


@pytest.mark.parametrize(("transport", "count"), [("torrent", 6), ("http", 2), ("rsync", 2)])
def test_machines_install_at_once_and_boot(yard: UpdateYard, transport: str, count: int) -> None:
    """What each has on its disk is the image; by torrent, the server sends less than two packs."""
    names = tuple(NUMBERS)[:count]
    before = sent_bytes(yard.network)
    yard.write_disks(
        *names,
        transport=transport,
        when_fetching=lambda: limit_sending(yard.network, LINK_MBIT_S),
    )
    stop_limit(yard.network)
    sent = sent_bytes(yard.network) - before - count * (flavor_bytes(yard) + OTHER_BYTES)
    pack = (yard.site.var / f"versions/{IMAGE}/1/image.tar.zst").stat().st_size
    print(f"{count} machines by {transport}: the server sent {sent / pack:.2f} packs")
    if transport == "torrent":
        assert sent < 2 * pack
    for name in names:
        with mounted_tree(yard.disk(name), POINTS, yard.folder / "mnt") as tree:
            is_image, told = compare_disk(yard.site.image, tree, yard.folder / f"{name}.txt")
        assert is_image, f"{name}: {told}"
    for first in range(0, count, BOOTS_AT_ONCE):
        some = names[first : first + BOOTS_AT_ONCE]
        yard.boot_written(*some)
        for name in some:
            assert yard.login(name).run("hostname").text.strip() == name
            yard.machines[name].kill()


def flavor_bytes(yard: UpdateYard) -> int:
    """What a machine fetches to start BOEL."""
    flavor = yard.site.var / "flavors/x86_64/virtio"
    return sum((flavor / file).stat().st_size for file in FLAVOR_FILES)
