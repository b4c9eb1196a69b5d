"""What is worn goes on around torso and limbs at its own height."""

import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.mesh.unwrap import unwrap
from liquidwarp.flow.unseen.rings import Unrolled, go_on_around

SHIRT, TROUSERS, SKIN = (torch.tensor(colour) for colour in ([0.2, 0.3, 0.8], [0.5, 0.45, 0.4], [0.85, 0.66, 0.55]))


@pytest.fixture(scope="module")
def flat():
    return unwrap(AnnyBody.load(), 1024)


def completed(flat, colours):
    """Made-up colours where a quarter of all places are seen from the front, and which ones are hidden."""
    front = torch.zeros_like(flat.part, dtype=torch.bool)
    for part in flat.part.unique():
        own = flat.part == part
        front[own] = flat.place[own, 2] < flat.place[own, 2].quantile(0.25)
    nothing = torch.zeros_like(front)
    texture = Unrolled(flat.place, flat.part, torch.where(front[:, None], colours, 0.0), front, front, nothing)
    return go_on_around(AnnyBody.load(), texture)[0], ~front


def test_a_shirt_ends_behind_where_it_does_in_front(flat):
    """Below its hem the front of the hips is narrow, and most of what is seen there are the thighs."""
    torso = flat.part == PARTS.index("torso")
    thighs = flat.part == PARTS.index("left_upper_leg")
    top, crotch = flat.place[thighs, 1].min(), flat.place[torso, 1].max()
    hem = top + 0.5 * (crotch - top)
    colours = torch.where(flat.place[:, 1:2] < hem, SHIRT, TROUSERS)
    made_up, hidden = completed(flat, colours)
    wrong = (made_up - colours).abs().amax(1) > 0.15
    below = torso & hidden & (flat.place[:, 1] > hem)
    assert int(below.sum()) > 1000
    assert wrong[below].float().mean() < 0.05
    assert wrong[torso & hidden & ~below].float().mean() < 0.05
