"""Measuring against a known body: a known error is measured exactly."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyParams
from liquidwarp.config import BodyNoise
from liquidwarp.evaluate.noise import disturbed, matched_noise, responses
from liquidwarp.evaluate.truth import (
    KINDS,
    Comparison,
    KnownPerson,
    TruthReport,
    TruthScore,
    VisibleSurface,
    _suggested,
    compare,
    demo_person,
)
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.raster import rasterize
from liquidwarp.geometry.rotations import rotvec_to_matrix

_SIZE = 128


@pytest.fixture(scope="module")
def model() -> AnnyBody:
    return AnnyBody.load()


@pytest.fixture(scope="module")
def person(model: AnnyBody) -> KnownPerson:
    betas = torch.zeros(len(model.beta_names))
    camera = WeakPerspective(torch.tensor([60.0, 60.0]), torch.tensor([[64.0, 60.0]]).repeat(2, 1))
    rotations = torch.eye(3).repeat(2, len(model.parents), 1, 1)
    rotations[1, model.roles.root] = rotvec_to_matrix(torch.tensor([0.0, math.pi, 0.0]))
    body = BodyParams(betas, rotations, camera)
    vertices = model.pose(model.rest(betas[None]), rotations).vertices
    mattes = rasterize(camera.project(vertices), model.faces, _SIZE, _SIZE).covered.numpy()
    return KnownPerson(np.zeros((2, _SIZE, _SIZE, 3), np.uint8), body, mattes, math.inf)


def measured(model: AnnyBody, person: KnownPerson, body: BodyParams) -> Comparison:
    surface = VisibleSurface.of(model, person.body, (_SIZE, _SIZE), person.distance)
    return compare(model, person, body, surface)


def test_the_truth_is_measured_as_perfect(model: AnnyBody, person: KnownPerson) -> None:
    score = TruthScore.of("truth", model, [measured(model, person, person.body)])
    assert max(score.surface) < 1e-3
    assert score.overlap == score.overlap_matte == 1
    assert max(score.shape_mm, score.aligned_mm, score.scale, score.translation_mm) < 1e-2
    assert max(score.rotation.values()) < 0.1
    assert score.outline == 0
    assert "truth" in str(TruthReport((score,), 1, 2))


def test_a_shift_is_measured_exactly_in_all_parts(model: AnnyBody, person: KnownPerson) -> None:
    camera = replace(person.body.camera, translation=person.body.camera.translation + torch.tensor([3.0, 0.0]))
    found = measured(model, person, replace(person.body, camera=camera))
    height = float(model.height(person.body.betas[None]))
    score = TruthScore.of("shifted", model, [found])
    assert score.surface[-1] == pytest.approx(100 * 3 / (60 * height), rel=0.02)
    assert score.surface[KINDS.index("foot")] == pytest.approx(score.surface[-1], rel=1e-3)
    assert score.overlap < 0.9
    assert score.translation_mm == pytest.approx(1e3 * 3 / 60 / math.sqrt(2), rel=1e-3)


def test_a_turned_forearm_moves_only_what_hangs_on_it(model: AnnyBody, person: KnownPerson) -> None:
    rotations = person.body.rel_rotmats.clone()
    joint = model.roles.lower_arm[0]
    rotations[:, joint] = rotvec_to_matrix(torch.tensor([0.0, 0.0, 0.2]))
    found = measured(model, person, replace(person.body, rel_rotmats=rotations))
    assert found.rotvec[:, joint].norm(dim=-1).tolist() == pytest.approx([0.2, 0.2], rel=1e-4)
    score = TruthScore.of("turned", model, [found])
    assert score.surface[KINDS.index("hand")] > 1
    assert score.surface[KINDS.index("torso")] == pytest.approx(0, abs=1e-3)


def test_perspective_is_part_of_where_the_surface_is_seen(model: AnnyBody, person: KnownPerson) -> None:
    near = measured(model, replace(person, distance=3.0), person.body)
    far = measured(model, replace(person, distance=30.0), person.body)
    assert near.displacement.norm(dim=-1).mean() > 8 * far.displacement.norm(dim=-1).mean()


def test_a_twist_slides_the_surface_and_keeps_the_outline(model: AnnyBody, person: KnownPerson) -> None:
    silent = BodyNoise(*[0.0] * len(BodyNoise.__dataclass_fields__))
    generator = torch.Generator().manual_seed(0)
    found = measured(model, person, disturbed(model, person.body, replace(silent, twist=0.3), generator))
    turned = measured(model, person, disturbed(model, person.body, replace(silent, joint=0.05), generator))
    thigh = found.kind == KINDS.index("upper_leg")
    assert found.displacement[thigh].norm(dim=-1).mean() > 0.003
    assert found.overlap.mean() > 0.93
    assert turned.overlap.mean() < found.overlap.mean() - 0.05


def test_noise_is_found_again_from_what_it_moves(model: AnnyBody, person: KnownPerson) -> None:
    surface = VisibleSurface.of(model, person.body, (_SIZE, _SIZE))

    def spread(bodies: list[BodyParams]) -> torch.Tensor:
        squared = torch.stack([surface.displacement(model, body).square().sum(-1) for body in bodies]).mean(0)
        return torch.stack([squared[surface.kind == kind].mean() for kind in range(len(KINDS))])

    guess = BodyNoise()
    response = responses(model, [person.body] * 4, spread, guess)
    assert response.shape == (len(BodyNoise.__dataclass_fields__), len(KINDS))
    noise = matched_noise(response, 4 * response.sum(0), guess)
    assert noise.joint == pytest.approx(2 * guess.joint, rel=0.1)
    assert noise.twist == pytest.approx(2 * guess.twist, rel=0.1)


def test_the_suggested_noise_follows_the_fits_displacement(model: AnnyBody, person: KnownPerson) -> None:
    guess, people = BodyNoise(), [person] * 4
    made = [
        measured(model, person, disturbed(model, person.body, guess, torch.Generator().manual_seed(seed)))
        for seed in range(4)
    ]
    alike = _suggested(model, people, made)
    doubled = _suggested(model, people, [replace(found, displacement=2 * found.displacement) for found in made])
    assert 0.5 < alike.joint / guess.joint < 2
    assert doubled.joint == pytest.approx(2 * alike.joint, rel=0.15)
    text = str(TruthReport((TruthScore.of("fit", model, made),), 1, 2, alike))
    assert f"{alike.joint:.4g}" in text
    assert "BodyNoise" in text


def test_the_demo_person_is_where_the_demo_shows_him(model: AnnyBody) -> None:
    person = demo_person()
    assert person.images.shape[:3] == person.mattes.shape
    vertices = model.pose(model.rest(person.body.betas[None]), person.body.rel_rotmats).vertices
    drawn = rasterize(person.body.camera.project(vertices), model.faces, *person.mattes.shape[1:]).covered.numpy()
    assert (drawn & person.mattes).sum() > 0.9 * drawn.sum()
