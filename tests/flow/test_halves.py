"""The half of a face that its mirror image replaces is shown from the photo's own side, and not in pieces elsewhere."""

import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.flow.halves import one_face
from liquidwarp.flow.mesh.extension import no_extension
from liquidwarp.flow.mesh.surface import project_bodies, rest_coordinates
from liquidwarp.flow.seen.head import twin_vertices

from .test_head import heads, photographed, symmetric


@pytest.fixture(scope="module")
def anny():
    return AnnyBody.load()


@pytest.fixture(scope="module")
def turned(anny):
    """A photo of a face that is turned by 0.8 rad, and its far half, which is given up."""
    sources = photographed(anny, symmetric(anny)[None], 0.8)
    far = twin_vertices(anny).face & (sources.heads.share[0, 0] < 0.01) & (sources.unhidden[0, 0] > 0.9)
    side = rest_coordinates(anny)[far, 0]
    assert int(far.sum()) > 100
    assert min((side < 0).float().mean(), (side > 0).float().mean()) < 0.05
    return sources, far


def shown(anny, sources, far, yaw, way):
    normals = project_bodies(anny, no_extension(anny), heads(anny, yaw)).normals
    return way(sources, normals).body[0, 0, far, 2]


def test_from_the_photo_s_side_the_photo_is_shown(anny, turned):
    for yaw in (0.8, 0.75, 0.9):
        assert float(shown(anny, *turned, yaw, one_face).mean()) > 0.9


@pytest.mark.parametrize("yaw", [0.55, 0.2, -0.3])
def test_a_turned_head_has_one_face(anny, turned, yaw):
    in_pieces = shown(anny, *turned, yaw, lambda sources, normals: sources.seen_from(normals))
    assert float(in_pieces.max()) > 0.9
    assert float(shown(anny, *turned, yaw, one_face).max()) < 0.05


def test_a_half_that_turns_away_is_the_photo_s(anny, turned):
    """Its pixels are squeezed, not stretched: there they are as good as in the photo."""
    for yaw in (1.0, 1.15):
        assert float(shown(anny, *turned, yaw, one_face).mean()) > 0.9


def test_what_is_not_given_up_is_shown_as_before(anny, turned):
    sources, _ = turned
    normals = project_bodies(anny, no_extension(anny), heads(anny, 0.2)).normals
    before, after = (seen.body[0, 0, :, 2] for seen in (sources.seen_from(normals), one_face(sources, normals)))
    head = twin_vertices(anny).head
    kept = head & (sources.heads.share[0, 0] == 1)
    assert int(kept.sum()) > 1000
    assert torch.equal(before[kept | ~head], after[kept | ~head])


def test_without_a_face_nothing_changes(anny):
    normals = project_bodies(anny, no_extension(anny), heads(anny, 3.1)).normals
    hidden = photographed(anny, symmetric(anny)[None], 3.1)
    assert len(hidden.heads) == 0
    assert torch.equal(one_face(hidden, normals).body, hidden.seen_from(normals).body)
