"""What the manual shows of the runs: blocks of text, by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from scripts.simulate.costs import Costs
from scripts.simulate.fit import FITTED_ON, Bench, Fitted, predict
from scripts.simulate.plant import Load, link
from scripts.simulate.runs import LOADS, Growth, Runs
from scripts.simulate.stream import TFTP
from scripts.simulate.text import bar, curves, spell_time, table
from si.serve.torrent import CONNECTIONS

_CROWDS: Final = (100, 1000, 4000, 10_000)
_TICKS: Final = {10.0: "10 s", 60.0: "1 min", 600.0: "10 min", 3600.0: "1 h", 36000.0: "10 h",
                 180_000.0: "50 h"}  # fmt: skip
_BAR: Final = 24


def blocks(bench: Bench, fitted: Fitted, costs: Costs, runs: Runs) -> dict[str, list[str]]:
    """All of them, name to lines."""
    return {
        "fit": fit_lines(bench, fitted),
        "growth": growth_lines(runs),
        "curves": curve_lines(runs),
        "queue": queue_lines(runs),
        "tracker": tracker_lines(runs),
        "limits": limit_lines(costs),
    }


def fit_lines(bench: Bench, fitted: Fitted) -> list[str]:
    """Measured and modelled, side by side."""
    title = (
        f"{bench.pack / 1e6:.0f} MB on links of {bench.rate_mbit:g} Mbit/s,"
        f" {bench.limit_s:.1f} s on an empty one"
    )
    rows = []
    for row in bench.rows:
        model = predict(bench, fitted, row.clients)
        told = "fitted" if row.clients in FITTED_ON else "predicted"
        pairs = (
            (row.torrent_s / bench.limit_s, model.torrent_s / bench.limit_s),
            (row.sent_packs, model.sent_packs),
            (row.rsync_s / bench.limit_s, model.rsync_s / bench.limit_s),
        )
        words = [f"{value:.2f}" for pair in pairs for value in pair]
        off = f"{model.torrent_s / row.torrent_s - 1:+.1%}"
        rows.append((str(row.clients), words[0], words[1], off, *words[2:], told))
    head = ("clients", "torrent", "model", "off", "sent", "model", "rsync", "model", "")
    return [title, "", *table(head, rows)]


def growth_lines(runs: Runs) -> list[str]:
    """Times until the last client is done."""
    head = ("pack", "clients", "boot", "told", "rsync", "http", "1:1", "4:1", "10:1", "sends")
    return table(head, [_growth_row(one) for one in runs.growth])


def _growth_row(one: Growth) -> tuple[str, ...]:
    times = (one.boot_s, one.told_s, one.rsync_s, one.http_s, *one.torrent_s)
    return (
        f"{one.pack_gb} GB",
        str(one.clients),
        *map(spell_time, times),
        f"{one.server_packs:.0f}",
    )


def curve_lines(runs: Runs) -> list[str]:
    """The larger pack."""
    most = max(one.pack_gb for one in runs.growth)
    large = [one for one in runs.growth if one.pack_gb == most]
    return curves(
        {
            "b": [(one.clients, one.boot_s) for one in large],
            "r": [(one.clients, one.rsync_s) for one in large],
            "h": [(one.clients, one.http_s) for one in large],
            "t": [(one.clients, one.torrent_s[-1]) for one in large],
        },
        _TICKS,
    )


def queue_lines(runs: Runs) -> list[str]:
    """When the first, the mean and the last client has its image, and a bar for the mean."""
    most = max(one.last_s for one in runs.queue)
    rows = [
        (
            str(one.at_once) if one.at_once else "0 (all)",
            *map(spell_time, (one.first_s, one.mean_s, one.last_s)),
            bar(one.mean_s, most, _BAR),
        )
        for one in runs.queue
    ]
    return table(("at_once", "first", "mean", "last", "mean"), rows)


def tracker_lines(runs: Runs) -> list[str]:
    """Each width of uplinks twice."""
    most = max(one.blind_s for one in runs.tracked)
    rows = []
    for one in runs.tracked:
        name = f"{one.oversubscription}:1"
        near = (name, "own rack", spell_time(one.near_s), f"{one.near_packs:.1f}")
        blind = ("", "anybody", spell_time(one.blind_s), f"{one.blind_packs:.1f}")
        rows += [(*near, bar(one.near_s, most, _BAR)), (*blind, bar(one.blind_s, most, _BAR))]
    return table(("uplinks", "first named", "last", "packs", ""), rows)


def limit_lines(costs: Costs) -> list[str]:
    """What each of the server's parts needs for a crowd."""
    load = LOADS[0]
    boot = load.boot + load.torrent_part
    rows = [
        ("boot files, 1 Gbit/s", *(spell_time(n * boot / link(1)) for n in _CROWDS)),
        ("boot files, 10 Gbit/s", *(spell_time(n * boot / link(10)) for n in _CROWDS)),
        ("boot programs, TFTP", *(spell_time(n * load.program / TFTP) for n in _CROWDS)),
        ("PXELINUX, all by TFTP", *(spell_time(n * _by_tftp(load) / TFTP) for n in _CROWDS)),
        ("requests before the image", *(spell_time(n * costs.install_s()) for n in _CROWDS)),
        ("first announces", *(spell_time(n * costs.announce_s(n // 2)) for n in _CROWDS)),
        ("consoles, of a processor", *(f"{costs.log_share(n):.0%}" for n in _CROWDS)),
        ("queue, of a processor", *(f"{costs.waiting_share(n):.0%}" for n in _CROWDS)),
        ("clients that the seeder hears", *(str(min(n, CONNECTIONS)) for n in _CROWDS)),
    ]
    return table(("", *map(str, _CROWDS)), rows)


def _by_tftp(load: Load) -> float:
    return load.program + load.boot


def fill_page(page: str, found: Mapping[str, list[str]]) -> str:
    """The page with each literal block below a comment `.. simulated: NAME` made anew."""

    def replaced(match: re.Match[str]) -> str:
        lines = "".join(f"    {line}".rstrip() + "\n" for line in found[match[2]])
        return f"{match[1]}::\n\n{lines}"

    return re.sub(
        r"^(\.\. simulated: (\w+)\n\n)::\n\n(?:(?:    .*)?\n)*?(?=\n\S)",
        replaced,
        page,
        flags=re.MULTILINE,
    )
