"""The rings of a tube ring by ring and colour by colour: what the fast ways of the package are compared with."""

import cv2
import numpy as np
from scipy.ndimage import median_filter

from liquidwarp.flow.colours import tone
from liquidwarp.flow.unseen import ring_light, tubes


def complete_row(number, row, known, width, shown, plain, detail):
    """Write the plain colours and the folds of one ring's hidden cells; how many cells in a row are seen of it."""
    runs = list(runs_of(known))
    if not runs:
        return 0
    longest = max(length for _, length in runs)
    hidden = np.ones(len(row), bool)
    for start, length in runs:
        hidden[(start + np.arange(length)) % len(row)] = False
    if not hidden.any():
        return longest
    for (start, length), (other, other_length) in zip(runs, [*runs[1:], runs[0]], strict=True):
        end = start + length
        gap = (other - end) % len(row)
        step = np.arange(gap)
        left = end - 1 - to_and_fro(step, min(width, length))
        right = other + to_and_fro(step[::-1], min(width, other_length))
        at = (end + step) % len(row)
        before = np.median(row[np.arange(end - min(width, length), end) % len(row)], axis=0)
        behind = np.median(row[np.arange(other, other + min(width, other_length)) % len(row)], axis=0)
        usual = proposals(number, row, runs, width, shown)
        ends = (usual[tuple(before)], usual[tuple(behind)])
        seam = tubes._IN_OTHER_LIGHT if tone.in_other_light(ends[0][None], ends[1])[0] else tubes._CROSSOVER
        share = tubes._smoothstep(((step + 0.5) / max(gap, 1) - 0.5) / (2 * seam) + 0.5)[:, None]
        sides = []
        for away, place, seen in ((step, left, before), (gap - 1 - step, right, behind)):
            goes_on = usual[tuple(seen)]
            near = 1 - tubes._smoothstep(away / tubes._FLOW)[:, None]
            folds = max(0.0, 1 - np.abs(goes_on - seen).max() / tubes._OWN_FOLDS) * (row[place % len(row)] - seen)
            sides.append((goes_on + near * (seen - goes_on), folds))
        plain[at] = sides[0][0] + share * (sides[1][0] - sides[0][0])
        detail[at] = sides[0][1] + share * (sides[1][1] - sides[0][1])
    return longest


def proposals(number, row, runs, width, shown):
    """What goes on instead of each colour at the borders of a ring."""
    ends = [(start + length - min(width, length), length) for start, length in runs]
    places = [(first, min(width, length)) for first, length in (*ends, *runs)]
    seen = [np.median(row[np.arange(first, first + count) % len(row)], axis=0) for first, count in places]
    usual = tone.usual_tones(np.array(seen, np.float32), np.full(len(seen), number), shown)
    return {tuple(colour): other for colour, other in zip(seen, usual, strict=True)}


def runs_of(known):
    """(start, length) of the known stretches of a ring that are long enough, in order."""
    if known.all():
        yield 0, len(known)
        return
    first = int(np.flatnonzero(~known)[0])
    turned = np.roll(known, -first).astype(np.int8)
    edges = np.diff(np.concatenate([turned, [0]]), prepend=0)
    for start, stop in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        if stop - start >= tubes._SHORTEST:
            yield int(start) + first, int(stop - start)


def to_and_fro(step, width):
    """0, 1, ..., width - 1, width - 1, ..., 1, 0, 0, 1, ..."""
    there_and_back = np.concatenate([np.arange(width), np.arange(width)[::-1]])
    return there_and_back[step % (2 * width)]


def usual_colours(rings):
    """Of all rings, the median over those near to them."""
    # SciPy's own reflection reads beyond the memory of lines that are shorter than the window.
    reflected = np.pad(rings, ((tubes._STEADY, tubes._STEADY), (0, 0), (0, 0)), mode="symmetric")
    return median_filter(reflected, (2 * tubes._STEADY, 1, 1), mode="nearest")[tubes._STEADY : -tubes._STEADY]


def evenly_lit(plain, colours, row):
    """Each colour with the median brightness of those of its hue at its height."""
    order = np.argsort(row)
    seen, at = colours[order], row[order]
    result = plain.copy()
    for height in range(len(plain)):
        first, last = np.searchsorted(at, (height - ring_light._BAND, height + ring_light._BAND + 1))
        some = seen[first : last : max(1, (last - first) // ring_light._SAMPLES)]
        if len(some) >= ring_light._FEWEST:
            for column, colour in enumerate(plain[height]):
                result[height, column] *= usual_light(colour, some)
    return result


def usual_light(colour, some):
    coarse = (colour * ring_light._STEPS).round().clip(0) / ring_light._STEPS
    own, light = coarse.sum().clip(0.02), some.sum(1)
    alike = np.linalg.norm(coarse / own - some / light[:, None].clip(1e-3), axis=1) < ring_light._HUE
    alike &= np.abs(np.log(light.clip(0.02) / own)) < ring_light._SHADE
    if alike.mean() <= ring_light._COMMON:
        return 1.0
    return (np.median(light[alike]) / colour.sum().clip(0.02)) ** ring_light._EVEN


def without_steps(plain, grid, known):
    """Cells exchange colours with neighbours of one cloth."""
    share = cv2.blur(known.astype(np.float32), (5, 5))[..., None]
    seen = cv2.blur(grid * known[..., None], (5, 5)) / np.maximum(share, 1e-6)
    start = np.where(known[..., None], seen, plain)
    bright = start.sum(2, keepdims=True).clip(0.06)
    look = np.concatenate([start / bright / ring_light._HUE, np.log(bright) / ring_light._SHADE], 2)
    weight_right = one_cloth(look - np.roll(look, -1, 1))
    made_up = ~(known[:-1] | known[1:])[..., None]
    weight_down = one_cloth((look[:-1] - look[1:]) * np.where(made_up, [1, 1, 1, ring_light._EDGE], 1))
    above, below = np.pad(weight_down, ((1, 0), (0, 0))), np.pad(weight_down, ((0, 1), (0, 0)))
    weights = (weight_right, np.roll(weight_right, 1, 1), below, above)
    own = ~known[..., None]
    colour, before, step = start, start, 1.0
    for _ in range(ring_light._EXCHANGES):
        padded = np.pad(colour, ((1, 1), (0, 0), (0, 0)), mode="edge")
        around = (np.roll(colour, -1, 1), np.roll(colour, 1, 1), padded[2:], padded[:-2])
        mixed = ring_light._PULL * start + sum(w[..., None] * c for w, c in zip(weights, around, strict=True))
        mean = mixed / (ring_light._PULL + sum(weights))[..., None]
        colour, before = np.where(own, before + step * (mean - before), start), colour
        step = 1 / (1 - ring_light._RADIUS**2 * step / (2 if step == 1 else 4))
    return np.where(own, colour, plain)


def one_cloth(apart):
    return np.exp(-np.square(apart).sum(2) * 2)
