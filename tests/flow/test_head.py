"""Heads: one photo gives them, and the hidden half is the mirror image of the half that is seen."""

import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyParams
from liquidwarp.flow.mesh.extension import no_extension
from liquidwarp.flow.mesh.stage import Stage
from liquidwarp.flow.mesh.surface import project_bodies, rest_coordinates
from liquidwarp.flow.render import render_person
from liquidwarp.flow.seen.head import _likeness, _sharpness, mirror_gain, twin_vertices
from liquidwarp.flow.sources import prepare_sources
from liquidwarp.flow.unseen.atlas import fill_atlas, merge_texture
from liquidwarp.geometry.camera import WeakPerspective, pixels_to_ndc
from liquidwarp.geometry.raster import interpolate, rasterize
from liquidwarp.geometry.rotations import rotvec_to_matrix
from liquidwarp.geometry.warp import sample_at

SIZE = 160


@pytest.fixture(scope="module")
def anny():
    return AnnyBody.load()


@pytest.fixture(scope="module")
def twins(anny):
    return twin_vertices(anny)


def heads(anny, *yaws):
    """Close photos of a head that is turned about the vertical [rad]."""
    rotvec = torch.zeros(len(yaws), len(anny.joint_names), 3)
    rotvec[:, 0, 1] = torch.tensor(yaws)
    camera = WeakPerspective(torch.full((len(yaws),), 400.0), torch.tensor([[SIZE / 2, 360.0]] * len(yaws)))
    return BodyParams(torch.zeros(len(anny.beta_names)), rotvec_to_matrix(rotvec), camera)


def photographed(anny, colours, *yaws):
    """The sources of photos of a person with these colours of the vertices, one set for each photo."""
    bodies = heads(anny, *yaws)
    surface = project_bodies(anny, no_extension(anny), bodies)
    raster = rasterize(surface.body, anny.faces, SIZE, SIZE)
    images = interpolate(colours, anny.faces, raster).permute(0, 3, 1, 2).clamp(0, 1)
    return prepare_sources(anny, no_extension(anny), bodies, images, raster.covered[:, None].float())


def symmetric(anny):
    """Stripes around the face, the same on both sides."""
    place = rest_coordinates(anny)
    stripes = 0.5 + 0.3 * torch.sin(place[:, 1] * 150)
    sideways = place[:, 0].abs() / place[:, 0].abs().amax()
    return torch.stack([stripes, 0.7 - 3 * sideways.clamp(max=0.1), torch.full_like(stripes, 0.4)], 1)


def at_vertices(anny, picture):
    uv = anny.uv.new_zeros(len(anny.vertex_part), 2)
    uv[anny.faces.reshape(-1)] = anny.uv[anny.face_uv.reshape(-1)]
    return sample_at(picture, pixels_to_ndc(uv[None], 1, 1))[0].T


def test_twins_are_mirror_images(anny, twins):
    place = rest_coordinates(anny)
    apart = (place[twins.index] * place.new_tensor([-1, 1, 1]) - place)[twins.head].norm(dim=1)
    assert int(twins.face.sum()) > 1000
    assert apart.amax() < 1e-3


def test_the_hidden_half_of_a_profile_is_the_mirror_image_of_the_other(anny, twins):
    colours = symmetric(anny)
    sources = photographed(anny, colours[None], 1.2)
    filled = fill_atlas(anny, merge_texture(sources))
    hidden = twins.face & (sources.body[0, 0, :, 2] < 0.1) & (sources.body[0, 0, twins.index, 2] > 0.9)
    assert int(hidden.sum()) > 300
    error = (at_vertices(anny, filled.colours) - colours)[hidden].abs().amax(1)
    assert error.median() < 0.03
    assert error.quantile(0.9) < 0.15


def test_hair_at_the_edge_of_a_cheek_gives_way_to_the_other_cheek(anny, twins):
    plain = torch.tensor([0.8, 0.6, 0.5]).expand(len(anny.vertex_part), 3)
    sources = photographed(anny, plain[None], 0.3)
    seen, facing = sources.body[0, 0, :, 2], -sources.normals[0, 0, :, 2]
    edge = twins.face & (seen > 0.3) & (facing < 0.45) & (facing[twins.index] > facing)
    assert int(edge.sum()) > 100
    assert seen[edge].mean() > 0.8
    strand = torch.where(edge[:, None], torch.tensor([0.15, 0.1, 0.08]), plain)
    unlike = photographed(anny, strand[None], 0.3).body[0, 0, :, 2]
    assert unlike[edge].mean() < 0.8 * seen[edge].mean()
    middle = twins.face & (facing > 0.9)
    assert torch.equal(unlike[middle] > 0.5, seen[middle] > 0.5)


def test_the_mirrored_half_is_in_its_own_light(anny, twins):
    right = rest_coordinates(anny)[:, :1] < 0
    colours = torch.where(right, 0.6, 0.75).expand(-1, 3)
    known = twins.head & (rest_coordinates(anny)[:, 0] < 0.03)
    gain = mirror_gain(anny, twins, colours, known)
    hidden = twins.face & (rest_coordinates(anny)[:, 0] > 0.05)
    assert (gain[hidden] - 0.75 / 0.6).abs().median() < 0.05
    assert gain[hidden].quantile(0.1) > 1.1
    assert torch.equal(gain[~twins.head & (rest_coordinates(anny)[:, 1] > 0)].unique(), torch.ones(1))


def test_what_one_photo_shows_of_a_face_no_other_gives(anny, twins):
    bright, dark = (torch.full((len(anny.vertex_part), 3), value) for value in (0.9, 0.5))
    sources = photographed(anny, torch.stack([bright, dark]), 0.1, 1.0)
    visible = sources.body[0, ..., 2]
    assert (visible[0, twins.face] > 0.9).float().mean() > 0.6
    assert (visible[1, twins.face] > 0.1).float().mean() < 0.03
    behind = twins.head & (rest_coordinates(anny)[:, 2] > 0.13)
    assert (visible[1, behind] > 0.9).float().mean() > 0.1  # the back of the head is still the second photo's


def test_photos_from_behind_keep_what_they_see(anny):
    sources = photographed(anny, symmetric(anny)[None], 3.1)
    behind = twin_vertices(anny).head & (rest_coordinates(anny)[:, 2] > 0.13)
    assert len(sources.heads) == 0
    assert (sources.body[0, 0, behind, 2] > 0.9).float().mean() > 0.3


def test_a_face_unlike_the_others_is_no_good(anny):
    face = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))[None].expand(3, -1, -1, -1).clone()
    face[1] = face[1].flip(-1)
    places = torch.rand(1, 40, 2, generator=torch.Generator().manual_seed(1)).expand(3, -1, -1) * 1.6 - 0.8
    likeness = _likeness(face, places, torch.ones(3, 40))
    assert likeness[0] == likeness[2] == 1
    assert likeness[1] < 0.7
    assert torch.equal(_likeness(face[:2], places[:2], torch.ones(2, 40)), torch.ones(2))


def test_a_blurred_face_is_no_good(anny):
    sharp = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    blurred = torch.nn.functional.avg_pool2d(sharp, 5, 1, 2, count_include_pad=False)
    places = torch.rand(1, 60, 2, generator=torch.Generator().manual_seed(1)).expand(2, -1, -1) * 1.6 - 0.8
    sharpness = _sharpness(torch.cat([blurred, sharp]), places, torch.ones(2, 60))
    assert sharpness[0] < 0.4
    assert sharpness[1] > 0.95


def test_what_is_seen_flat_is_shown_from_the_same_side_only(anny, twins):
    """A profile shows the middle of the face flat: in a profile it is shown, in a frontal picture not stretched."""
    sources = photographed(anny, symmetric(anny)[None], 1.4)
    profile, frontal = (project_bodies(anny, no_extension(anny), heads(anny, yaw)).normals for yaw in (1.4, 0.0))
    cosine = -sources.normals[0, 0, :, 2]
    flat = twins.face & (cosine > 0.02) & (cosine < 0.12) & (sources.unhidden[0, 0] > 0.9)
    assert int(flat.sum()) > 30
    before, same, other = (s.body[0, 0, flat, 2] for s in (sources, *map(sources.seen_from, (profile, frontal))))
    assert before.mean() < 0.1
    assert same.mean() > 0.99
    assert torch.equal(before[frontal[0, flat, 2] < -0.5], other[frontal[0, flat, 2] < -0.5])
    hidden = sources.unhidden[0, 0] == 0
    assert torch.equal(sources.seen_from(profile).body[0, 0, hidden, 2], sources.body[0, 0, hidden, 2])


def test_only_the_photo_that_gives_the_head_shows_it_flat(anny, twins):
    bright, dark = (torch.full((len(anny.vertex_part), 3), value) for value in (0.9, 0.5))
    sources = photographed(anny, torch.stack([bright, dark]), 0.1, 1.0)
    normals = project_bodies(anny, no_extension(anny), heads(anny, 1.0)).normals
    giver = int(sources.heads.source[0])
    shown = sources.seen_from(normals).body[0, :, twins.face, 2]
    assert torch.equal(shown[1 - giver], sources.body[0, 1 - giver, twins.face, 2])


def test_heads_are_whole_where_the_matte_is_faint(anny):
    bodies = heads(anny, 0.0)
    raster = rasterize(project_bodies(anny, no_extension(anny), bodies).body, anny.faces, SIZE, SIZE)
    matte = raster.covered[:, None].float()
    top = int(matte[0, 0].any(1).nonzero()[0])
    matte[..., : top + 12, :] *= 0.4
    sources = prepare_sources(anny, no_extension(anny), bodies, torch.rand(1, 3, SIZE, SIZE), matte)
    _, opacity = render_person(
        sources, Stage.of(sources.model, bodies, (SIZE, SIZE)), fill_atlas(anny, merge_texture(sources, 64))
    )
    assert opacity[..., top + 4 : top + 12, SIZE // 2 - 5 : SIZE // 2 + 5].min() > 0.9
    assert torch.equal(sources.mattes[0], matte)


def test_the_back_of_a_head_has_its_hair_s_colour_not_that_of_skin_beside_it(anny, twins):
    """Short dark hair on top, skin around the ears: the hidden back is dark down to the level of the mouth."""
    place = rest_coordinates(anny)
    face = place[twins.face]
    hairline = face[:, 1].amin() + 0.15 * (face[:, 1].amax() - face[:, 1].amin())
    dark = place[:, 1] < hairline
    colours = torch.where(dark[:, None], torch.tensor([0.2, 0.15, 0.1]), torch.tensor([0.8, 0.6, 0.5]))
    sources = photographed(anny, colours[None], 0.0)
    filled = fill_atlas(anny, merge_texture(sources))
    back = twins.head & (place[:, 2] > place[twins.head, 2].quantile(0.8)) & (place[:, 1] < face[:, 1].mean())
    back &= sources.unhidden[0, 0] == 0
    ears = back & (place[:, 0].abs() > 0.08) & (place[:, 1] > -0.865) & (place[:, 2] < 0.115)
    back &= place[:, 0].abs() < 0.078
    assert int(back.sum()) > 30
    assert at_vertices(anny, filled.colours)[back].mean(1).quantile(0.9) < 0.3
    assert int(ears.sum()) > 5
    assert at_vertices(anny, filled.colours)[ears].mean(1).median() > 0.5


@pytest.mark.parametrize("yaw", [0.8, 0.4, -0.4])
def test_a_half_that_is_mostly_given_up_is_the_mirror_image_from_the_middle_on(anny, twins, yaw):
    """A seam within it would cut an eye; of a head that is turned a little both eyes are kept."""
    plain = torch.tensor([0.8, 0.6, 0.5]).expand(1, len(anny.vertex_part), 3)
    across = rest_coordinates(anny)[:, 0]
    turned, nearly_frontal = (photographed(anny, plain, angle).body[0, 0, :, 2] for angle in (yaw, yaw / 5))
    left, right = (twins.face & (across * side > 0.01) for side in (1, -1))
    far, near = (left, right) if turned[left].mean() < turned[right].mean() else (right, left)
    assert turned[far].amax() == 0
    assert turned[near].mean() > 0.8
    assert nearly_frontal[far].mean() > 0.7
