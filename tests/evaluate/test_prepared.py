"""Self-synthesis on a prepared clip gives what it gives on the video that the clip was made of."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from liquidwarp.cache import Cache
from liquidwarp.dataset_config import PrepareConfig
from liquidwarp.errors import MediaError, SettingError
from liquidwarp.evaluate import self_synthesis
from liquidwarp.evaluate.held_out import hold_out
from liquidwarp.evaluate.prepared import hold_out_clip
from liquidwarp.evaluate.self_synthesis import VideoFacts, evaluate_self
from liquidwarp.evaluate.subjects import find_subjects
from liquidwarp.evaluate.table import Row
from liquidwarp.evaluation_config import SelfEvaluation
from liquidwarp.learn import prepare
from liquidwarp.learn.clips import Clip, ClipFacts
from liquidwarp.learn.prepare import prepare_clips
from liquidwarp.learn.scores import Scores
from liquidwarp.media import open_frames
from liquidwarp.recover.detection.detections import EYES_AND_NOSE
from liquidwarp.recover.mattes.matte import CoarseMask
from liquidwarp.recover.photos import silhouette
from liquidwarp.recover.tracking.tracker import PersonDetector
from liquidwarp.weights import load_tensors, save_tensors
from recover.people import SIZE

from .test_self_synthesis import FRAMES, known, video  # noqa: F401

SETTINGS = SelfEvaluation(("texture",), sources=2, targets=4, size=256)


@pytest.fixture(scope="module")
def dataset(video, anny, tmp_path_factory) -> Path:  # noqa: F811
    """The video as a prepared clip, every frame kept."""
    folder, recovery = video
    frames = list(open_frames(folder))

    class Knowing(PersonDetector):
        """Of each picture, where the body is."""

        def __init__(self, config):
            pass

        def coarse_mask(self, rgb, seen):
            frame = int(np.argmin([np.abs(rgb.astype(int) - other).mean() for other in frames]))
            return CoarseMask(silhouette(anny, recovery.body[frame : frame + 1], rgb.shape[:2]).astype(np.float32), 1.0)

    out = tmp_path_factory.mktemp("people")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(prepare, "PersonDetector", Knowing)
        monkeypatch.setattr(prepare, "recover_video", lambda *_, **__: recovery)
        monkeypatch.setattr(prepare, "matte", lambda rgb, seen, coarse, **_: coarse.probability)
        config = PrepareConfig(size=512, frames=FRAMES, folders="frames", held_out=0)
        prepare_clips([folder], out, config, progress=False)
    return out


def older(dataset: Path, out: Path) -> Path:
    """The same as the first version of the package wrote it."""
    shutil.copytree(dataset, out)
    (folder,) = (path.parent for path in out.glob("*/clip.json"))
    facts = replace(ClipFacts.read(folder / "clip.json"), format="liquidwarp-clip-1")
    (folder / "clip.json").write_text(facts.to_json())
    tensors, metadata = load_tensors(folder / "bodies.safetensors")
    for name in ("landmarks", "visibility", "squares", "frame_sizes"):
        del tensors[name]
    tensors["face_landmarks"] = tensors["face_landmarks"][:, [0, 1, 3, 2, 4]]
    save_tensors(folder / "bodies.safetensors", tensors, {**metadata, "format": "liquidwarp-clip-1"})
    return out


def test_squares_go_back_to_their_places(dataset, known, video, anny):  # noqa: F811
    (folder,) = (path.parent for path in dataset.glob("*/clip.json"))
    clip = hold_out_clip(folder, SETTINGS, anny, quality="draft")
    film = hold_out(known, SETTINGS, anny, Cache(enabled=False))
    truth, recovery = film.truth, video[1]
    assert len(clip.sources) == 2
    assert min(abs(s - t) for s in clip.sources for t in clip.targets) >= 2
    for place, frame in enumerate(clip.sources):
        own, expected = clip.photos.recovery.body[place : place + 1], recovery.body[frame : frame + 1]
        torch.testing.assert_close(own.camera.translation, expected.camera.translation, atol=1e-3, rtol=1e-5)
        torch.testing.assert_close(own.rel_rotmats, expected.rel_rotmats)
        found, seen = clip.photos.recovery.detection(place), recovery.detection(frame)
        torch.testing.assert_close(found.xy, seen.xy, atol=1e-2, rtol=1e-5)
        points = list(EYES_AND_NOSE)
        torch.testing.assert_close(found.face_xy[:, points], seen.face_xy[:, points], atol=1e-2, rtol=1e-5)
        assert found.masks[0].mean() == pytest.approx(seen.masks[0].mean(), rel=0.05)
        assert clip.photos.pictures[place].shape == (SIZE[1], SIZE[0], 3)
    shared = [place for place, frame in enumerate(clip.targets) if frame in film.targets]
    assert shared
    for place in shared:
        other = film.targets.index(clip.targets[place])
        if clip.truth.crops[place] != truth.crops[other]:
            continue  # the windows' size is that of the largest of other targets
        shown = clip.truth.shown[place] > 0.99
        images = [each.pictures.images[n] for each, n in ((clip.truth, place), (truth, other))]
        assert ((images[0] - images[1]).abs() * shown).mean() < 0.02
        inside = clip.truth.boxes[place] > 0
        assert (shown & inside).sum() > 0.95 * inside.sum()


def test_the_table_is_that_of_the_video(dataset, known, tmp_path):  # noqa: F811
    few = replace(SETTINGS, targets=2)
    film = evaluate_self([known], few)
    report = evaluate_self([dataset], few, tmp_path)
    (facts,) = report.videos
    (expected,) = film.rows
    (row,) = report.rows
    assert (row.group, row.model) == (facts.name, "texture")
    assert facts.frames == FRAMES
    assert abs(row.scores.psnr_person - expected.scores.psnr_person) < 1.5
    assert abs(row.scores.psnr - expected.scores.psnr) < 3
    assert row.scores.mask_iou > 0.9
    assert row.more[0] < 0.8 * row.more[1]
    written = json.loads((tmp_path / "self.json").read_text())
    assert written["left_out"] == []
    assert written["videos"][facts.name]["targets"] == list(facts.targets)
    assert (tmp_path / f"{facts.name}.png").is_file()


def test_the_place_is_what_sources_show_and_nothing_of_the_person(dataset, anny):
    (folder,) = (path.parent for path in dataset.glob("*/clip.json"))
    clip = hold_out_clip(folder, SETTINGS, anny, quality="draft")
    assert clip.background.shape == (SIZE[1], SIZE[0], 3)
    expected = 255 * np.linspace(0.2, 0.6, SIZE[0])[:, None]
    assert np.abs(clip.background - expected).mean() < 6


def test_only_frames_that_were_asked_for(dataset, anny):
    (folder,) = (path.parent for path in dataset.glob("*/clip.json"))
    clip = hold_out_clip(folder, SETTINGS, anny, max_frames=8, quality="draft")
    assert clip.frames == 8
    assert max(*clip.sources, *clip.targets) < 8
    with pytest.raises(SettingError, match="more frames than the 2 sources"):
        hold_out_clip(folder, SETTINGS, anny, max_frames=2)
    with pytest.raises(SettingError, match="away from all 2 sources"):
        hold_out_clip(folder, replace(SETTINGS, gap=9), anny)


def test_clips_of_the_first_version_are_read_but_not_evaluated(dataset, anny, tmp_path):
    (name,) = (path.parent.name for path in dataset.glob("*/clip.json"))
    old = older(dataset, tmp_path / "old")
    clip, new = Clip.load(old / name), Clip.load(dataset / name)
    torch.testing.assert_close(clip.face_landmarks, new.face_landmarks)
    assert clip.squares is None
    with pytest.raises(SettingError, match=r"earlier version.*prepare the clip again"):
        evaluate_self([old], SETTINGS)


def test_what_a_folder_holds(dataset, tmp_path, known):  # noqa: F811
    (clip,) = (path.parent for path in dataset.glob("*/clip.json"))
    for name, split in (("a", "train"), ("b", "test"), ("c", "train")):
        shutil.copytree(clip, tmp_path / "people" / name)
        facts = replace(ClipFacts.read(clip / "clip.json"), name=name, split=split)
        (tmp_path / "people" / name / "clip.json").write_text(facts.to_json())

    def names(split: str, *paths: Path) -> list[str]:
        return [subject.name for subject in find_subjects(paths or [tmp_path / "people"], split)]

    assert names("auto") == ["b"]
    assert names("train") == ["a", "c"]
    assert names("all") == ["a", "b", "c"]
    assert names("auto", dataset) == [clip.name]  # nothing is held out
    assert names("test", tmp_path / "people" / "a") == ["a"]  # named by the user
    assert [s.prepared for s in find_subjects([known])] == [False]
    assert names("auto", tmp_path / "people", tmp_path / "people" / "b") == ["people_b", "people_b_2"]
    with pytest.raises(SettingError, match="split 'test', found none"):
        names("test", dataset)


def test_a_folder_of_frames_per_clip_with_lists(known, tmp_path):  # noqa: F811
    root = tmp_path / "iper"
    for name in ("001/1", "002/1"):
        shutil.copytree(known, root / "images_HD" / name)
    (root / "train.txt").write_text("001/1\n")
    (root / "val.txt").write_text("002/1\n")
    (subject,) = find_subjects([root])
    assert (subject.name, subject.prepared, subject.split) == ("002_1", False, "test")
    assert [subject.name for subject in find_subjects([root], "all")] == ["001_1", "002_1"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(MediaError, match="found none"):
        find_subjects([tmp_path / "empty"])


def test_photos_and_bad_clips_are_left_out(dataset, anny, tmp_path, monkeypatch):
    scores = Scores(20.0, 18.0, 0.5, 0.3, 0.9, None)

    def measured(self, name, film):
        row = Row(name, "texture", scores, more=(0.1, 0.2))
        return VideoFacts(name, film.frames, film.sources, film.targets, 0.2), [row], None

    monkeypatch.setattr(self_synthesis._Bench, "measured", measured)
    (clip,) = (path.parent for path in dataset.glob("*/clip.json"))
    shutil.copytree(clip, tmp_path / "people" / "good")
    shutil.copytree(clip, tmp_path / "people" / "alice")
    known_facts = ClipFacts.read(clip / "clip.json")
    (tmp_path / "people" / "good" / "clip.json").write_text(replace(known_facts, name="good").to_json())
    photos = replace(known_facts, name="alice", kind="photos")
    (tmp_path / "people" / "alice" / "clip.json").write_text(photos.to_json())
    shutil.copytree(older(dataset, tmp_path / "older") / clip.name, tmp_path / "people" / "zoe")
    report = evaluate_self([tmp_path / "people"], SETTINGS)
    assert [facts.name for facts in report.videos] == ["good"]
    assert len(report.left_out) == 1
    assert "earlier version" in str(report)
    with pytest.raises(SettingError, match="found only photos"):
        evaluate_self([tmp_path / "people" / "alice"], SETTINGS)
