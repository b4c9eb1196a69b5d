from dataclasses import replace

import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.config import BodyNoise, SyntheticConfig, TrainConfig
from liquidwarp.errors import SettingError
from liquidwarp.geometry.warp import Flow, warp
from liquidwarp.learn.synthetic import SyntheticData, find_faces
from liquidwarp.synthetic.dataset import SyntheticPeople
from liquidwarp.synthetic.poses import PoseLibrary
from liquidwarp.synthetic.wardrobe import Textures, Wardrobe

EXACT = SyntheticConfig(
    distance=(float("inf"), float("inf")),
    degrade=0.0,
    shadows=False,
    decal=0.0,
    upper_body=0.0,
    similar_views=0.0,
    noise=BodyNoise(*[0.0] * len(BodyNoise.__dataclass_fields__)),
)
CONFIG = TrainConfig(people=2, size=128, reuse=2, single_source_share=0.0)


@pytest.fixture(scope="module")
def people() -> SyntheticPeople:
    """Naked figures with smooth skins in front of plain walls, whose bodies are known exactly."""
    model = AnnyBody.load()
    unit = torch.arange(64) / 64 * 6.28
    waves = torch.stack([(unit[:, None] + p).sin() * (unit + 2 * p).cos() for p in range(3)], -1)
    skins = [torch.cat([(0.6 + 0.3 * waves * sign) * 255, torch.full((64, 64, 1), 255.0)], -1) for sign in (1, -1)]
    textures = Textures.of([skin.byte().numpy() for skin in skins])
    walls = torch.full((2, 3, 64, 64), 90, dtype=torch.uint8)
    names = {"young_male": 0, "young_female": 1}
    wardrobe = Wardrobe((), textures, names, {}, walls, ("a_0", "b_0"), (0, 1))
    generator = torch.Generator().manual_seed(0)
    rotvec = torch.zeros(8, len(model.joint_names), 3)
    rotvec[:, list(model.roles.movable())] = 0.1 * torch.randn(8, len(model.roles.movable()), 3, generator=generator)
    return SyntheticPeople(model, wardrobe, PoseLibrary(rotvec, tuple("abcdefgh")), EXACT, seed=1)


def test_texture_of_the_sources_lies_where_the_target_shows_it(people):
    sample = SyntheticData(CONFIG, people).samples(0)[0]
    target = sample.targets
    seen = (target.visible.amax(2, keepdim=True) > 0.9) & (target.texture_matte > 0.99) & (sample.mattes == 1)
    assert seen.float().sum() > 1000
    error = ((target.texture - sample.images).abs() * seen).sum() / (3 * seen.sum())
    shuffled = ((target.texture.flip(1) - sample.images).abs() * seen).sum() / (3 * seen.sum())
    assert error < 0.08  # the light falls otherwise when the person turns
    assert shuffled > 2 * error
    body = target.condition[:, :, 6:7]
    overlap = ((body > 0) & (sample.mattes > 0.5)).sum() / ((body > 0) | (sample.mattes > 0.5)).sum()
    assert overlap > 0.9


def test_what_no_source_sees_is_made_up(people):
    data = SyntheticData(replace(CONFIG, single_source_share=1.0), people)
    bare = SyntheticData(replace(CONFIG, single_source_share=1.0, fill_texture=False), people)
    filled, warped = (source.samples(0)[0].targets for source in (data, bare))
    torch.testing.assert_close(filled.visible, warped.visible)
    body = filled.condition[:, :, 6:7] > 0
    inner = torch.nn.functional.avg_pool2d(body.flatten(0, 1).float(), 7, 1, 3).view_as(body) == 1
    unseen = inner & (warped.visible.amax(2, keepdim=True) == 0)
    seen = inner & (warped.visible.amax(2, keepdim=True) > 0.95) & (warped.texture_matte > 0.99)
    assert unseen.sum() > 300
    assert (warped.texture_matte[unseen] == 0).all()
    assert (filled.texture_matte[unseen] > 0.9).float().mean() > 0.95
    truth = data.samples(0)[0].images
    assert ((filled.texture - truth).abs() * unseen).sum() / (3 * unseen.sum()) < 0.25
    assert ((filled.texture - warped.texture).abs() * seen).sum() / (3 * seen.sum()) < 0.01


def test_bodies_settle_on_the_mattes(people):
    noisy = SyntheticPeople(
        people.model,
        people.wardrobe,
        people.poses,
        replace(EXACT, noise=BodyNoise(joint=0.03, translation=0.02)),
        seed=1,
    )

    def overlap(settle: bool) -> float:
        sample = SyntheticData(replace(CONFIG, settle=settle), noisy).samples(0)[0]
        body, person = sample.targets.condition[:, :, 6:7] > 0, sample.mattes > 0.5
        return float((body & person).sum() / (body | person).sum())

    assert overlap(True) > overlap(False) + 0.03


def test_some_batches_are_half_as_large(people):
    data = SyntheticData(replace(CONFIG, half_size_share=0.5, settle=False, halos=False), people)
    sizes = [data.samples(index)[0].images.shape[-1] for index in range(6)]
    assert set(sizes) == {64, 128}
    assert sizes == [data.samples(index)[0].images.shape[-1] for index in range(6)]


def test_reuse_takes_other_views_as_sources(people):
    first, second = SyntheticData(CONFIG, people).samples(1)
    assert first.images.shape == second.images.shape == (2, 2, 3, 128, 128)
    assert (first.sources.images != second.sources.images).any()
    for sample in (first, second):
        for s in range(2):
            assert all((sample.sources.images[0, s] != image).any() for image in sample.images[0])


def test_samples_repeat(people):
    a, b = (SyntheticData(CONFIG, people).samples(2)[1] for _ in range(2))
    torch.testing.assert_close(a.targets.texture, b.targets.texture)
    torch.testing.assert_close(a.sources.mattes, b.sources.mattes)


def test_hidden_sources_give_nothing(people):
    data = SyntheticData(replace(CONFIG, single_source_share=1.0), people)
    for sample in data.samples(0):
        sight = sample.targets.visible.sum((1, 3, 4))
        assert ((sight == 0).sum(1) >= 1).all()
        alone = sight.argmax(1)
        for person in range(2):
            other = 1 - alone[person]
            assert sample.targets.visible[person, :, other].sum() == 0


def test_growing_adds_sources_and_keeps_people_and_targets(people):
    one, three = SyntheticData(replace(CONFIG, single_source_share=1.0, halos=False), people).growing(0, (1, 3))
    assert (one.sources.images.shape[1], three.sources.images.shape[1]) == (1, 3)
    torch.testing.assert_close(one.images, three.images)
    torch.testing.assert_close(one.sources.images[:, 0], three.sources.images[:, 0])
    torch.testing.assert_close(one.targets.condition[:, :, :3], three.targets.condition[:, :, :3])
    assert (three.targets.visible.sum((1, 3, 4)) > 0).all()  # nothing is hidden on purpose
    for s in range(3):
        assert all((three.sources.images[0, s] != image).any() for image in three.images[0])


def test_faces_are_found_where_they_are(people):
    views = people.sample(4, views=2, size=128, index=0)
    faces = find_faces(people.model, views)
    left, top, right, bottom = faces.boxes.unbind(-1)
    x, y = faces.landmarks.mean(2).unbind(-1)
    assert ((x > left) & (x < right) & (y > top) & (y < bottom)).all()
    assert faces.seen[:, 0].mean() > faces.seen[:, 1].mean()  # the first view is from the front
    frontal = faces.seen[:, 0] > 0
    eyes = faces.landmarks[:, 0][frontal]
    assert (eyes[:, 0, 0] > eyes[:, 1, 0]).all()  # the person's left eye is at the picture's right
    assert (eyes[:, 4, 1] > eyes[:, 1, 1]).all()
    inside = [
        views.mattes[b, 0, 0, int(p[1]), int(p[0])] for b in range(4) if frontal[b] for p in faces.landmarks[b, 0]
    ]
    assert torch.stack(inside).mean() > 0.95


def test_targets_are_each_others_frames_before(people):
    """The flow into the frames carries one target's true picture onto the other; nobody sees himself."""
    plain = SyntheticData(replace(CONFIG, temporal_share=0.0), people).samples(0)[0]
    sample = SyntheticData(replace(CONFIG, temporal_share=1.0), people).samples(0)[0]
    assert plain.frames is None
    assert sample.frames is not None
    torch.testing.assert_close(sample.targets.texture, plain.targets.texture)  # no frame lends to it
    sources = sample.sources.images.shape[1]
    assert sample.targets.grid.shape[2] == sources + 2
    for own, other in ((0, 1), (1, 0)):
        assert not sample.targets.visible[:, own, sources + own].any()
        visible = sample.targets.visible[:, own, sources + other][:, None]
        assert (visible > 0.9).sum() > 500
        into = Flow(sample.targets.grid[:, own, sources + other], sample.targets.valid[:, own])
        moved = warp(sample.images[:, other], into)
        there = (visible > 0.9) & (sample.mattes[:, own] == 1)
        error = ((moved - sample.images[:, own]).abs() * there).sum()
        unmoved = ((sample.images[:, other] - sample.images[:, own]).abs() * there).sum()
        assert error < 0.5 * unmoved


def test_one_target_has_no_frame_before(people):
    data = SyntheticData(replace(CONFIG, num_targets=1, temporal_share=1.0, halos=False, settle=False), people)
    assert data.samples(0)[0].frames is None


def test_missing_folder_is_told():
    with pytest.raises(SettingError, match="data_folder"):
        SyntheticData.load(TrainConfig(), torch.device("cpu"), "train")
