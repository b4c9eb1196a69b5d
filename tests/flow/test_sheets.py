"""Halos are flat: from the edge they are not drawn, and around the head only the giver's."""

from copy import copy
from dataclasses import replace

import pytest
import torch
from tests.flow.conftest import box_params

from liquidwarp.body.parts import PARTS
from liquidwarp.flow.clothes.halo import halo
from liquidwarp.flow.mesh.surface import project_bodies
from liquidwarp.flow.seen.head_choice import HeadViews
from liquidwarp.flow.sheets import edge_on, shown_sheets
from liquidwarp.flow.sources import prepare_plain_sources

SIZE = 64


def photos(*yaws):
    return [box_params((0.0, 0.0, 0.0), turn=(0.0, yaw, 0.0)) for yaw in yaws]


def dressed(box_body, *yaws):
    """Photos of the boxes in something wide, from these sides [rad]."""
    bodies = photos(*yaws)
    mattes = torch.zeros(len(yaws), 1, SIZE, SIZE)
    mattes[:, :, 8:56, 14:58] = 1
    images = torch.rand(len(yaws), 3, SIZE, SIZE)
    return prepare_plain_sources(box_body, halo(box_body, bodies, mattes), bodies, images, mattes)


@pytest.fixture
def sources(box_body):
    return dressed(box_body, 0.0, 0.0)


def seen_from(sources, yaw):
    return project_bodies(sources.model, sources.extension, box_params((0.0, 0.0, 0.0), turn=(0.0, yaw, 0.0)))


@pytest.mark.parametrize(("yaw", "shown"), [(0.0, True), (0.6, True), (1.5, False), (1.64, False), (3.1, True)])
def test_sheets_are_not_drawn_from_their_edge(sources, yaw, shown):
    surface = seen_from(sources, yaw)
    assert len(sources.extension.faces) > 50
    assert float(edge_on(sources.extension, surface).median()) == float(shown)
    before, after = (float((s.torn < 1).float().mean()) for s in (surface, shown_sheets(sources, surface)))
    assert before > 0.9
    assert after > 0.85 if shown else after < 0.15


def test_closed_things_are_drawn_from_everywhere(sources):
    never_torn = torch.full_like(sources.extension.max_edge, torch.inf)
    closed = replace(sources, extension=replace(sources.extension, max_edge=never_torn))
    surface = seen_from(closed, 1.5)
    assert torch.equal(shown_sheets(closed, surface).torn, surface.torn)


def with_head_of(sources, giver):
    """The same, where everything is a head that this photo gives."""
    head = PARTS.index("head")
    extension = replace(sources.extension, part=torch.full_like(sources.extension.part, head))
    visible = sources.body[..., 2]
    views = HeadViews(torch.tensor([giver]), torch.tensor([[0.0, 0, -1]]), torch.zeros(1), visible, visible, visible)
    model = copy(sources.model)
    model.vertex_part = torch.full_like(model.vertex_part, head)
    return replace(sources, model=model, extension=extension, heads=views)


def owners_shown(sources, yaw):
    owner = sources.extension.owner[sources.extension.faces[:, 0]]
    return owner[shown_sheets(sources, seen_from(sources, yaw)).torn[0] <= 1].unique().tolist()


def test_only_the_giver_of_the_head_has_a_halo_around_it(sources):
    assert owners_shown(sources, 0.0) == [0, 1]
    assert owners_shown(with_head_of(sources, 1), 0.0) == [1]
    assert owners_shown(with_head_of(sources, 0), 0.0) == [0]


def test_from_behind_the_photo_from_there_has_the_halo(box_body):
    given = with_head_of(dressed(box_body, 0.0, 0.2, 3.0), 1)
    assert owners_shown(given, 0.4) == [1]
    assert owners_shown(given, 2.9) == [2]
