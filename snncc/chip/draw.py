"""A placement as a picture: one square a core, coloured by layer, filled as far as its fullest known limit. SVG and characters."""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from snncc.chip.footprint import CORE_LIMITS
from snncc.chip.partition import Partition
from snncc.chip.place import Placement, coordinates

CELL, GAP, TILE_GAP, CHIP_GAP, MARGIN, LINE = 14, 2, 6, 22, 16, 18
"""Sides and distances in pixels."""

COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee8866", "#44bb99", "#99ddff", "#bbcc33")
"""Paul Tol's schemes "bright" and "light": told apart with any colour vision; layers are named in the legend too."""
EMPTY = "#e8e8e8"
SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def fills(partition: Partition) -> dict[str, np.ndarray]:
    """Limit to the share of it that each core takes up, (cores,); limits without a number are not there."""
    made = {}
    for name in CORE_LIMITS:
        value = partition.chip.limits[name].value
        if value:
            made[name] = np.array([taken[name] for taken in partition.taken]) / value
    return made


def fullest(partition: Partition) -> np.ndarray:
    """(cores,) the largest share that each core takes up of any limit; of its layer's largest core where none is known."""
    shares = list(fills(partition).values())
    if shares:
        return np.max(shares, axis=0)
    sizes = np.array([box.size for box in partition.cores])
    return sizes / sizes.max()


def signs(partition: Partition) -> dict[str, str]:
    """Layer to the letter that stands for it on a map; letters repeat after 52 layers."""
    return {p.name: SIGNS[i % len(SIGNS)] for i, p in enumerate(partition.program.populations)}


def text_map(placement: Placement) -> list[str]:
    """One line a row of tiles, chip by chip: each core a letter, a dot where there is none."""
    partition, chip = placement.partition, placement.partition.chip
    per_tile, columns, letter = chip.side("cores_per_tile"), chip.side("columns"), signs(partition)
    held = {int(slot): letter[box.population] for slot, box in zip(placement.slots, partition.cores, strict=True)}
    lines = []
    for number in sorted(set(placement.chip_of.tolist())):
        lines.append(f"chip {number}")
        for row in range(chip.side("rows")):
            tiles = [number * chip.tiles + row * columns + x for x in range(columns)]
            cells = ["".join(held.get(t * per_tile + i, "·") for i in range(per_tile)) for t in tiles]
            lines.append("  " + " ".join(cells))
    return lines


def svg(placement: Placement) -> str:
    """The picture, with a title for each core and a description of the whole for those who do not see it. A page that holds it
    can style its classes: "paper" behind all, "free" behind a core."""
    partition, chip = placement.partition, placement.partition.chip
    colours = {p.name: COLOURS[i % len(COLOURS)] for i, p in enumerate(partition.program.populations)}
    share = fullest(partition)
    held = {int(slot): core for core, slot in enumerate(placement.slots)}
    per_tile = chip.side("cores_per_tile")
    across = int(np.ceil(np.sqrt(per_tile)))
    tile_side = across * (CELL + GAP) + TILE_GAP
    top = MARGIN + LINE
    shapes, right, bottom = [], 0, top
    used = sorted(set(placement.chip_of.tolist()))
    for number in used:
        tiles = np.arange(number * chip.tiles, (number + 1) * chip.tiles)
        chip_x, chip_y, x, y = coordinates(chip, tiles, partition.chips)
        left = MARGIN + chip_x * (chip.side("columns") * tile_side + CHIP_GAP) + x * tile_side
        upper = top + chip_y * (chip.side("rows") * tile_side + CHIP_GAP) + y * tile_side
        for tile, px, py in zip(tiles.tolist(), left.tolist(), upper.tolist(), strict=True):
            for i in range(per_tile):
                core = held.get(tile * per_tile + i)
                at = (px + i % across * (CELL + GAP), py + i // across * (CELL + GAP))
                if core is None:
                    shapes.append(_square(at, "no core", "", 0.0))
                else:
                    colour = colours[partition.cores[core].population]
                    shapes.append(_square(at, _words(placement, core), colour, float(share[core])))
            right, bottom = max(right, px + tile_side), max(bottom, py + tile_side)
    legend = [_legend(name, colours, partition, bottom + LINE * (i + 1)) for i, name in enumerate(colours)]
    height, width = bottom + LINE * (len(legend) + 1), max(right + MARGIN, 420)
    title = (
        f"{partition.program.name} on {chip.name}: {_some(len(partition.cores), 'core')}, {_some(len(used), 'chip')}"
    )
    counts = ", ".join(f"{name} {_cores(partition)[name]:,}" for name in colours)
    description = (
        f"Cores on the mesh, coloured by layer, filled as far as their fullest limit. Cores a layer: {counts}."
    )
    return "\n".join(
        [
            f'<svg class="cores" xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" role="img" '
            'aria-labelledby="cores-title cores-description" font-family="sans-serif" font-size="12">',
            f'<title id="cores-title">{escape(title)}</title>',
            f'<desc id="cores-description">{escape(description)}</desc>',
            f'<rect class="paper" width="{width}" height="{height}" fill="#ffffff"/>',
            f'<text x="{MARGIN}" y="{MARGIN + 4}">{escape(title)}</text>',
            *shapes,
            *legend,
            "</svg>",
            "",
        ]
    )


def _square(at: tuple[int, int], words: str, colour: str, share: float) -> str:
    """A core: its colour from the bottom up, as far as it is full, at least a pixel; without a colour an empty place."""
    x, y = at
    full = min(CELL, max(1, round(CELL * share)))
    filled = f'<rect x="{x}" y="{y + CELL - full}" width="{CELL}" height="{full}" fill={quoteattr(colour)}/>'
    return (
        f"<g><title>{escape(words)}</title>"
        f'<rect x="{x}" y="{y}" width="{CELL}" height="{CELL}" class="free" fill={quoteattr(EMPTY)}/>'
        f"{filled if colour else ''}</g>"
    )


def _words(placement: Placement, core: int) -> str:
    partition = placement.partition
    box, shares = partition.cores[core], fills(partition_view(partition, core))
    full = ", ".join(f"{name.removesuffix('_per_core').replace('_', ' ')} {s[0]:.0%}" for name, s in shares.items())
    return f"core {core}, tile {placement.tiles[core]}: {box.population}, {box.size:,} neurons" + (
        f"; {full}" if full else ""
    )


def partition_view(partition: Partition, core: int) -> Partition:
    """One core of a partition."""
    return Partition(partition.wiring, partition.cores[core : core + 1], partition.taken[core : core + 1])


def _cores(partition: Partition) -> Mapping[str, int]:
    names = [box.population for box in partition.cores]
    return {p.name: names.count(p.name) for p in partition.program.populations}


def _legend(name: str, colours: Mapping[str, str], partition: Partition, y: int) -> str:
    words = f"{signs(partition)[name]}  {name}: {_some(_cores(partition)[name], 'core')}"
    return (
        f'<rect x="{MARGIN}" y="{y - 10}" width="12" height="12" fill={quoteattr(colours[name])}/>'
        f'<text x="{MARGIN + 18}" y="{y}">{escape(words)}</text>'
    )


def _some(number: int, what: str) -> str:
    """``1 core``, ``2 cores``."""
    return f"{number:,} {what}{'s' * (number != 1)}"
