"""Samples from prepared clips: the flow between two frames of one person carries one onto the other."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.config import TrainConfig
from liquidwarp.errors import SettingError, WeightsCorruptError
from liquidwarp.learn.boxes import MovingBoxes
from liquidwarp.learn.clips import Clip
from liquidwarp.learn.mixture import Mixture, load_data
from liquidwarp.learn.videos import FilmedPeople, frames_apart

CPU = torch.device("cpu")


@pytest.fixture
def config(dataset: Path) -> TrainConfig:
    return TrainConfig(
        data="videos",
        video_folder=dataset,
        video_gap=1,
        size=64,
        people=1,
        num_sources=2,
        num_targets=1,
        reuse=2,
        single_source_share=0.0,
    )


def test_the_warped_texture_lies_where_the_target_shows_it(config: TrainConfig) -> None:
    data = load_data(config, CPU, "train")
    first, second = data.samples(0)
    assert first.sources.images.shape == (1, 2, 3, 64, 64)
    assert first.images.shape == (1, 1, 3, 64, 64)
    sure = (first.targets.visible.amax(2, keepdim=True) > 0.9) & (first.targets.texture_matte > 0.99)
    sure = sure & (first.mattes > 0.99)
    assert sure.float().sum() > 150
    error = ((first.targets.texture - first.images).abs() * sure).sum() / (3 * sure.sum())
    still = ((first.sources.images[:, :1] - first.images).abs() * sure).sum() / (3 * sure.sum())
    assert error < 0.06
    assert error < 0.6 * still  # she moves
    assert (first.sources.images != second.sources.images).any()  # other frames are the sources
    for sample in (first, second):
        for source in range(2):
            assert (sample.sources.images[:, source] != sample.images[:, 0]).any()
    (again,) = load_data(replace(config, reuse=1), CPU, "train").samples(0)
    torch.testing.assert_close(again.targets.texture, first.targets.texture)
    body = first.targets.condition[:, :, 6:7] > 0
    person = first.mattes > 0.5
    assert (body & person).sum() / (body | person).sum() > 0.85


def test_truth_is_what_the_files_hold(dataset: Path, anny: AnnyBody) -> None:
    clip = Clip.load(dataset / "walk")
    batch = FilmedPeople(anny, [clip], 1).sample(2, views=3, size=64, index=1)
    assert batch.images.shape == (2, 3, 3, 64, 64)
    pictures = torch.stack([clip.picture("images", index, 64) for index in range(len(clip))])
    for row, view in ((0, 0), (0, 2), (1, 1)):
        index = int((pictures - batch.images[row, view]).abs().mean((1, 2, 3)).argmin())
        torch.testing.assert_close(batch.images[row, view], pictures[index])
        torch.testing.assert_close(batch.mattes[row, view], clip.picture("mattes", index, 64))
        torch.testing.assert_close(batch.backgrounds[row, view], clip.picture("backgrounds", index, 64))
        torch.testing.assert_close(batch.landmarks[row, view], clip.face_landmarks[index] / 2)
        torch.testing.assert_close(batch.body.translation[row, view], clip.translation[index] / 2)
        torch.testing.assert_close(batch.body.rel_rotmats[row, view], clip.rel_rotmats[index])


def test_frames_keep_their_distance() -> None:
    numbers = list(range(0, 60, 3))
    for seed in range(20):
        chosen = frames_apart(numbers, 4, 9, torch.Generator().manual_seed(seed))
        frames = sorted(numbers[place] for place in chosen)
        assert min(b - a for a, b in itertools.pairwise(frames)) >= 9
    assert sorted(frames_apart([0, 1, 2], 3, 100, torch.Generator())) == [0, 1, 2]  # a short clip gives what it has


def test_without_held_out_people_other_frames_are_held_out(dataset: Path, anny: AnnyBody) -> None:
    clip = Clip.load(dataset / "walk")

    def shown(part: str) -> set[int]:
        people = FilmedPeople(anny, [clip], 1, part=part, least=1)
        return set(people._footage[0].usable)

    assert shown("train") | shown("test") == set(range(5))
    assert not shown("train") & shown("test")
    assert shown("all") == set(range(5))


def test_front_and_back_come_first(dataset: Path, anny: AnnyBody) -> None:
    clip = Clip.load(dataset / "walk")
    turned = clip.rel_rotmats.clone()
    turned[3, 0] = turned[3, 0] @ torch.diag(torch.tensor([-1.0, 1.0, -1.0]))
    people = FilmedPeople(anny, [replace(clip, rel_rotmats=turned)], 1)
    batch = people.sample(1, views=5, size=32, index=0)
    facing = batch.body.rel_rotmats[0, :, 0, 2, 2]
    assert facing[0] == facing.max()
    assert facing[1] == facing.min() < 0


def test_mixtures_keep_their_share() -> None:
    rendered, filmed = (MovingBoxes(1, 1, 1, size) for size in (16, 24))
    mixture = Mixture(rendered, filmed, 0.3, seed=1)
    sizes = [mixture.samples(index)[0].images.shape[-1] for index in range(80)]
    assert 0.15 < sizes.count(24) / 80 < 0.45
    assert sizes[:9] == [mixture.samples(index)[0].images.shape[-1] for index in range(9)]


def test_mistakes_are_told(config: TrainConfig, tmp_path: Path, dataset: Path, anny: AnnyBody) -> None:
    with pytest.raises(SettingError, match="video_folder: expected the folder"):
        load_data(replace(config, video_folder=None), CPU, "train")
    with pytest.raises(SettingError, match="found none"):
        load_data(replace(config, video_folder=tmp_path / "nothing"), CPU, "train")
    with pytest.raises(SettingError, match="at least 8 frames"):
        load_data(replace(config, num_sources=7), CPU, "train")
    with pytest.raises(SettingError, match="video_share"):
        replace(config, video_share=2.0)
    clip = Clip.load(dataset / "walk")
    with pytest.raises(WeightsCorruptError, match="another body"):
        FilmedPeople(anny, [replace(clip, betas=clip.betas[:3])], 1)
