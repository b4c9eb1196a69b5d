"""A band of cloth around both legs, whose points hang on either leg, on a wearer of another shape."""

from dataclasses import replace

import pytest
import torch

from liquidwarp.body.parts import PARTS
from liquidwarp.flow.lending.lent import in_form
from liquidwarp.flow.mesh.extension import inflated_shell, no_extension

COLUMNS, ROWS = 24, 6


@pytest.fixture
def band(anny):
    """A flat sheet before both thighs; its left half hangs on the left thigh, the other one on the right thigh."""
    rest = anny.rest(torch.zeros(1, len(anny.beta_names))).vertices[0]
    thighs = [(anny.vertex_part == PARTS.index(f"{side}_upper_leg")).nonzero()[0, 0] for side in ("left", "right")]
    x, y = torch.linspace(0.2, -0.2, COLUMNS), torch.linspace(0.0, 0.3, ROWS)
    points = torch.stack([x.expand(ROWS, -1), y[:, None].expand(-1, COLUMNS), torch.full((ROWS, COLUMNS), -0.2)], -1)
    points = points.reshape(-1, 3)
    anchor = torch.where(points[:, 0] > 0, thighs[0], thighs[1])
    index = torch.arange(ROWS * COLUMNS).view(ROWS, COLUMNS)
    a, b, c, d = (part.reshape(-1) for part in (index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]))
    faces = torch.cat([torch.stack([a, b, c], 1), torch.stack([b, d, c], 1)])
    return replace(
        no_extension(anny),
        anchor=anchor,
        offset=points - rest[anchor],
        weights=anny.lbs_weights[anchor],
        faces=faces,
        part=torch.full_like(faces[:, 0], PARTS.index("left_upper_leg")),
        owner=torch.zeros_like(anchor),
        recess=torch.zeros(len(anchor)),
        max_edge=torch.full((len(faces),), torch.inf),
    )


def places(anny, band, wearer):
    return (wearer[band.anchor] + band.offset).view(ROWS, COLUMNS, 3)


def test_cloth_between_the_legs_is_not_torn_apart(anny, band):
    """One leg of the wearer stands 6 cm farther in front: the cloth leans, and has no step in its middle."""
    own = anny.rest(torch.zeros(1, len(anny.beta_names))).vertices
    wearer = own[0].clone()
    wearer[anny.vertex_part == PARTS.index("left_upper_leg"), 2] -= 0.06
    torn = places(anny, band, wearer)[..., 2].diff(dim=1).abs().amax()
    whole = places(anny, in_form(band, own, wearer), wearer)
    assert torn == pytest.approx(0.06, abs=1e-4)
    assert whole[..., 2].diff(dim=1).abs().amax() < 0.02
    assert (whole[:, 0, 2] < whole[:, -1, 2] - 0.02).all(), "but each side goes with its leg"


def test_who_has_the_same_shape_wears_it_as_it_was(anny, band):
    own = anny.rest(torch.zeros(1, len(anny.beta_names))).vertices
    torch.testing.assert_close(in_form(band, own, own[0]).offset, band.offset)


def test_halos_and_what_belongs_to_no_photo_stay(anny, band):
    own = anny.rest(torch.zeros(1, len(anny.beta_names))).vertices
    halo = replace(band, max_edge=torch.full_like(band.max_edge, 0.1))
    for extension in (inflated_shell(anny), halo):
        assert in_form(extension, own, own[0] * 1.1) is extension
