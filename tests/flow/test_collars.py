"""What stands before a bare neck is not printed on it; a rolled collar is what the neck looks like."""

import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.flow.mesh.surface import rest_coordinates, vertices_of
from liquidwarp.flow.seen.collars import printed_on_neck

SKIN, SHADE, NAVY = (torch.tensor(colour) for colour in ([0.85, 0.62, 0.5], [0.5, 0.33, 0.25], [0.08, 0.1, 0.25]))


@pytest.fixture(scope="module")
def anny():
    return AnnyBody.load()


def printed(anny, collar, below=SHADE):
    """What counts as printed on somebody seen from the front, of the neck and of all that the collar covers."""
    place = rest_coordinates(anny)
    face, head = vertices_of(anny, "face"), vertices_of(anny, "head", "face")
    chin = place[face, 1].amax()
    seen = head & (place[:, 2] < place[head, 2].mean() + 0.02)
    colours = torch.where((place[:, 1] > chin - 0.02)[:, None] & ~face[:, None], below, SKIN)
    covered = collar(place, chin) & seen & ~face
    colours = torch.where(covered[:, None], NAVY, colours)
    return printed_on_neck(anny, colours, seen), covered


def test_the_tips_of_a_collar_are_not_on_the_neck(anny):
    found, covered = printed(anny, lambda place, chin: (place[:, 1] > chin - 0.03) & (place[:, 0] > 0.02))
    assert int(covered.sum()) > 10
    assert torch.equal(found, covered)


def test_a_neck_that_is_covered_stays_so(anny):
    found, covered = printed(anny, lambda place, chin: place[:, 1] > chin - 0.03)
    assert int(covered.sum()) > 30
    assert not found.any()


def test_who_shows_no_face_tells_nothing_of_skin(anny):
    unseen = torch.zeros(len(anny.vertex_part), dtype=torch.bool)
    assert not printed_on_neck(anny, SKIN.expand(len(unseen), 3), unseen).any()
