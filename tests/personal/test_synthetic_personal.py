"""Rendered people in the product's hands: drawn where they are, before and after tuning."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from liquidwarp.body.model import BodyParams
from liquidwarp.errors import SettingError
from liquidwarp.evaluate import synthetic, synthetic_personal
from liquidwarp.evaluate.contenders import Contender
from liquidwarp.evaluate.synthetic_personal import in_use_and_personal, photos_of_sample
from liquidwarp.evaluation_config import SyntheticEvaluation
from liquidwarp.gan.inputs import SourceBatch, TargetBatch
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.learn.datasets import Faces, TrainingSample
from liquidwarp.personal.views import views_of

from .conftest import CONFIG, SYNTHESIS

SETTINGS = SyntheticEvaluation(("texture",), (2,), people=1, targets=1, personalize=True)


@pytest.fixture(scope="module")
def sample(demo_photos, anny):
    """The demo's two photos as a rendered person's sources; the first is asked for."""
    views = views_of(demo_photos, anny, SYNTHESIS)
    small = [torch.nn.functional.interpolate(torch.stack([v.image for v in views]), 256, mode="area")]
    small.append(torch.nn.functional.interpolate(torch.stack([v.matte for v in views]), 256, mode="area"))
    images, mattes = (part[None] for part in small)
    first, shape = images[:, :1], (1, 1, 2, 256, 256)
    flow = TargetBatch(  # what draws here finds its own way
        torch.zeros(*shape, 2),
        torch.zeros(1, 1, 1, 256, 256, dtype=torch.bool),
        torch.zeros(shape),
        torch.zeros(1, 1, 8, 256, 256),
        first,
        mattes[:, :1],
    )
    faces = Faces(torch.zeros(1, 1, 5, 2), torch.zeros(1, 1), torch.zeros(1, 1, 4))
    sources = SourceBatch(images, mattes, torch.zeros(1, 2, 8, 256, 256))
    return TrainingSample(sources, flow, first, mattes[:, :1], torch.ones_like(first), mattes, faces)


@pytest.fixture(scope="module")
def bodies(demo_photos, anny):
    """The sources', then the target's."""
    views = views_of(demo_photos, anny, SYNTHESIS)
    views = [*views, views[0]]
    cameras = [view.body.camera.resized(256 / view.size) for view in views]
    camera = WeakPerspective(torch.cat([c.scale for c in cameras]), torch.cat([c.translation for c in cameras]))
    return BodyParams(views[0].body.betas, torch.cat([view.body.rel_rotmats for view in views]), camera)


def test_sources_become_photos_with_their_bodies(sample, bodies, anny):
    photos = photos_of_sample(sample, anny, bodies)
    assert len(photos) == 2
    assert photos.pictures[0].shape == (256, 256, 3)
    person, body = photos.mattes[1] > 127, photos.silhouettes[1]
    assert (person & body).sum() / (person | body).sum() > 0.7
    np.testing.assert_allclose(photos.pictures[1] / 255, sample.sources.images[0, 1].permute(1, 2, 0), atol=0.003)


def test_the_person_is_drawn_in_place_before_and_after(sample, bodies, anny, plain_network, person, monkeypatch):
    monkeypatch.setattr("liquidwarp.personal.person.prepare_material", lambda *_: person)
    monkeypatch.setattr(synthetic_personal, "PersonalizeConfig", lambda **_: replace(CONFIG, steps=4))
    contender = Contender("tiny", plain_network)
    made = in_use_and_personal(contender, sample, anny, bodies, SETTINGS)
    assert list(made) == ["tiny in use", "tiny personal"]
    truth, inside = sample.images, sample.sources.mattes[:, :1] > 0.9
    for picture, matte in made.values():
        assert picture.shape == truth.shape
        assert float((picture - truth).abs()[inside.expand_as(truth)].mean()) < 0.11
        assert float(picture[(matte < 0.01).expand_as(picture)].min()) > 0.97, "the background that was given"
    assert not torch.equal(made["tiny in use"][0], made["tiny personal"][0])


def test_both_have_a_row_beside_the_network_alone(plain_network):
    contenders = [Contender("texture", None), Contender("tiny", plain_network)]
    assert list(synthetic._facts(contenders, True)) == ["texture", "tiny", "tiny in use", "tiny personal"]
    assert list(synthetic._facts(contenders, False)) == ["texture", "tiny"]


def test_a_size_that_people_are_never_prepared_in_is_refused():
    with pytest.raises(SettingError, match="size: expected 256"):
        replace(SETTINGS, size=64)
