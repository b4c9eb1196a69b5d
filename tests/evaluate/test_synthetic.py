"""The table of synthetic people, on boxes that move: flows are exact, so only the plumbing is tested."""

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from liquidwarp.errors import SettingError
from liquidwarp.evaluate.synthetic import evaluate_synthetic
from liquidwarp.evaluation_config import SyntheticEvaluation
from liquidwarp.learn.boxes import MovingBoxes
from liquidwarp.learn.datasets import TrainingSample
from liquidwarp.learn.report import evaluate_generator
from liquidwarp.learn.scores import Scorer


class GrowingBoxes:
    """The first sources of the same samples."""

    def __init__(self, most: int) -> None:
        self.boxes = MovingBoxes(1, most, 2, 64, seed=5)

    def growing(self, index: int, num_sources: Sequence[int]) -> list[TrainingSample]:
        (sample,) = self.boxes.samples(index)
        return [self.first(sample, count) for count in num_sources]

    @staticmethod
    def first(sample: TrainingSample, count: int) -> TrainingSample:
        sources, targets = sample.sources, sample.targets
        return replace(
            sample,
            sources=replace(
                sources,
                images=sources.images[:, :count],
                mattes=sources.mattes[:, :count],
                conditions=sources.conditions[:, :count],
            ),
            targets=replace(targets, grid=targets.grid[:, :, :count], visible=targets.visible[:, :, :count]),
        )


@pytest.fixture(scope="module")
def settings(weights) -> SyntheticEvaluation:
    folders = (str(weights / name / "weights") for name in ("attention", "passing"))
    return SyntheticEvaluation(("texture", *folders), (1, 3), people=2, size=64)


def test_table_json_and_sheets(settings, tmp_path):
    report = evaluate_synthetic("", settings, tmp_path, data=GrowingBoxes(3))
    assert [row.group for row in report.rows] == ["1"] * 3 + ["3"] * 3
    lines = str(report).splitlines()
    assert len(lines) == 2 + 6
    facts = json.loads((tmp_path / "synthetic.json").read_text())
    assert facts["settings"]["people"] == 2
    assert {row["fusion"] for row in facts["rows"]} == {"none", "attention", "texture"}
    sheet = np.array(Image.open(tmp_path / "synthetic_3_sources.png"))
    assert sheet.shape[1] == (3 + 3 + 1) * 64 + 6 * 4
    assert sheet.shape[0] > 2 * 64


def test_a_network_that_hands_the_texture_on_scores_like_texture(settings):
    report = evaluate_synthetic("", settings, data=GrowingBoxes(3))
    assert report.of("passing", 3) == report.of("texture", 3)
    assert report.of("attention", 3) != report.of("texture", 3)


def test_a_model_named_twice_is_refused(settings):
    with pytest.raises(SettingError, match="models: expected different names"):
        replace(settings, models=("texture", "texture"))


def test_the_training_report_has_the_same_figures(settings, weights):
    from liquidwarp.gan.pretrained import load_generator

    folder = str(weights / "attention" / "weights")
    report = evaluate_synthetic("", replace(settings, models=("texture", folder)), data=GrowingBoxes(3))
    generator = load_generator(folder)
    samples = [GrowingBoxes(3).growing(person, [3])[0] for person in range(2)]
    trained = evaluate_generator(generator, samples, Scorer.load())
    assert trained["network"] == report.of("attention", 3)
    assert trained["texture"] == report.of("texture", 3)
