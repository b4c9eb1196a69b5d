"""The demo's person with a tiny network: small enough to be personalised in seconds."""

from dataclasses import replace

import pytest
import torch

from liquidwarp.config import DiscriminatorConfig, GeneratorConfig, LossConfig, SynthesisConfig
from liquidwarp.gan.generator import LiquidWarpingGenerator
from liquidwarp.personal import material as material_module
from liquidwarp.personal import personalize
from liquidwarp.personal.material import Plan, prepare_material
from liquidwarp.personal_config import PersonalizeConfig

TINY = GeneratorConfig(
    stem_channels=8,
    channels=(8, 16, 16),
    num_blocks=1,
    value_channels=8,
    modulation_channels=8,
    decoder_convs=1,
    background_channels=(8, 8, 8, 8),
    background_blocks=1,
)
SYNTHESIS = SynthesisConfig(size=256, background="draft")
CONFIG = PersonalizeConfig(
    quality="draft",
    tuned="transfer",
    steps=4,
    learning_rate=2e-3,
    loss=LossConfig(adversarial=0.2, perceptual=0.0, perceptual_features="efficientnet", face=0.0, face_detail=0.0),
    discriminator=DiscriminatorConfig(crops=("global",), channels=8, num_layers=2),
)
PLAN = Plan(steps=4, steps_on_gpu=8, window=0.375, disturbed=1, turned=1, check_every=2)


@pytest.fixture(scope="session")
def plain_network():
    """A network that was never trained: nearly the warped texture comes back."""
    torch.manual_seed(3)
    return LiquidWarpingGenerator(TINY).eval().requires_grad_(False)


def shorten(patch):
    """Few steps and source sets."""
    plans = dict.fromkeys(material_module.PLANS, PLAN)
    patch.setattr(material_module, "PLANS", plans)
    patch.setattr(personalize, "PLANS", plans)


@pytest.fixture(autouse=True)
def _short_plan(monkeypatch):
    shorten(monkeypatch)


@pytest.fixture(scope="session")
def person(demo_photos, anny):
    """The demo's two photos, prepared."""
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        return prepare_material(demo_photos, anny, SYNTHESIS, CONFIG)


@pytest.fixture(scope="session")
def lone_person(demo_photos, anny):
    """The demo's first photo alone."""
    names = ("pictures", "alphas", "mattes", "silhouettes")
    found = demo_photos.recovery
    one = replace(found, body=found.body[slice(0, 1)], observed=found.observed[:1], seen=found.seen[:1])
    lone = replace(demo_photos, **{name: getattr(demo_photos, name)[:1] for name in names}, recovery=one)
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        return prepare_material(lone, anny, SYNTHESIS, CONFIG)


@pytest.fixture(scope="session")
def whole_run(person, plain_network):
    """A personalisation from beginning to end."""
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        return personalize.personalise([person], plain_network, 256, CONFIG)
