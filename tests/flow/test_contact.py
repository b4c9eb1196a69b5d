import torch

from liquidwarp.body.model import BodyParams
from liquidwarp.flow.place.contact import contact_light, ground_lines, measured_shade
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.rotations import rotvec_to_matrix

SIZE = (200, 240)


def standing(anny, lift=0.0):
    """A body whose feet are near row 220; ``lift`` raises it [px]."""
    rest = torch.zeros(1, len(anny.joint_names), 3)
    camera = WeakPerspective(torch.tensor([120.0]), torch.tensor([[100.0, 110.0 - lift]]))
    return BodyParams(torch.zeros(len(anny.beta_names)), rotvec_to_matrix(rest), camera)


def lowest(anny, body):
    return body.camera.project(anny.pose(anny.rest(body.betas[None]), body.rel_rotmats).vertices)[..., 1].amax(1)


def test_who_jumps_leaves_the_ground():
    line = ground_lines(torch.tensor([200.0] * 20 + [180.0] * 8 + [200.0] * 20))
    assert (line == 200).all()
    assert ground_lines(torch.tensor([5.0])).tolist() == [5.0]


def test_the_ground_is_dark_under_the_feet_alone(anny):
    body = standing(anny)
    row = int(lowest(anny, body))
    light = contact_light(anny, body, lowest(anny, body), SIZE, 0.4)[0, 0]
    assert light.shape == (240, 200)
    assert 0.5 < light.min() < 0.7
    assert abs(int(light.argmin()) // 200 - row) <= 4
    assert light[: row - 40].min() > 0.98
    assert light[row, :20].min() > 0.98
    dark = (light[row - 2] < 0.75).nonzero()[:, 0]
    assert dark.min() < 100 < dark.max(), "a patch for either foot"


def test_in_the_air_there_is_no_shade(anny):
    ground = lowest(anny, standing(anny))
    high = contact_light(anny, standing(anny, lift=30), ground, SIZE, 0.4)
    assert high.min() > 0.98
    low = contact_light(anny, standing(anny, lift=4), ground, SIZE, 0.4)
    assert contact_light(anny, standing(anny), ground, SIZE, 0.4).min() < low.min() < 0.97


def test_a_photo_tells_how_dark_the_ground_is(anny):
    """On a ground of any colour; not on an uneven one, and not where nothing is seen."""
    body = standing(anny)
    light = contact_light(anny, body, lowest(anny, body), SIZE, 1.0)[0]
    place = torch.tensor([0.7, 0.5, 0.3])[:, None, None].expand(3, SIZE[1], SIZE[0])
    seen = torch.ones(SIZE[1], SIZE[0], dtype=torch.bool)
    for strength in (0.0, 0.15, 0.4):
        photo = place * (1 - strength * (1 - light))
        assert abs(measured_shade(photo, place, light, seen) - strength) < 0.01
    assert measured_shade(place * 1.1, place, light, seen) == 0
    uneven = 0.5 + torch.rand(1, SIZE[1], SIZE[0], generator=torch.Generator().manual_seed(0))
    assert measured_shade(place * uneven, place, light, seen) is None
    assert measured_shade(place, place, light, ~seen) is None
