"""Clips from files to training data: right, resumable, and told when something is wrong."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyParams
from liquidwarp.dataset_config import PrepareConfig
from liquidwarp.errors import LiquidWarpError, MediaError, SettingError, WeightsCorruptError, WeightsNotFoundError
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.learn import prepare
from liquidwarp.learn.clips import Clip, ClipFacts, find_clips
from liquidwarp.learn.prepare import prepare_clips
from liquidwarp.media import save_image
from liquidwarp.recover.photos import silhouette
from liquidwarp.weights import load_tensors, save_tensors

from .conftest import FRAMES, Filmed

SMALL = PrepareConfig(size=128, frames=4, folders="frames", held_out=0)
QUICK = PrepareConfig(size=64, frames=2, folders="frames", held_out=0)


def run(filmed: Filmed, out: Path, config: PrepareConfig = SMALL) -> prepare.PreparedClips:
    return prepare_clips([filmed.folder], out, config, progress=False)


def test_a_clip_holds_what_was_filmed(filmed: Filmed, anny: AnnyBody, tmp_path: Path) -> None:
    result = run(filmed, tmp_path)
    assert (result.made, result.kept, result.failures) == (("walk",), (), ())
    clip = Clip.load(tmp_path / "walk")
    assert clip.facts.frames == (0, 1, 3, 4)
    assert (clip.facts.kind, clip.facts.split, clip.facts.source) == ("video", "train", "walk")
    wall = torch.from_numpy(filmed.wall)
    for index in range(4):
        image, matte, behind = (clip.picture(kind, index, 128) for kind in ("images", "mattes", "backgrounds"))
        camera = WeakPerspective(clip.scale[index, None], clip.translation[index, None])
        body = BodyParams(clip.betas, clip.rel_rotmats[index, None], camera)
        drawn = torch.from_numpy(silhouette(anny, body, (128, 128)))
        person = matte[0] > 0.5
        assert (drawn & person).sum() / (drawn | person).sum() > 0.93  # camera and matte share the square
        assert 0.1 < person.float().mean() < 0.5
        away = (matte < 0.01).expand(3, -1, -1)
        assert (image - behind)[away].abs().mean() < 0.02
        assert abs(float(behind.mean()) - float(wall.float().mean()) / 255) < 0.1
        # where the person stands, the wall is seen in other frames
        error = (behind - behind[:1]).abs().max()
        assert error < 0.05, "the wall is grey; nothing of the coloured person is left"


def test_faces_are_stored_in_the_order_of_aligned_chips(filmed: Filmed, tmp_path: Path) -> None:
    found = filmed.recovery.detections
    faces = found.face_xy.clone()
    for point, shift in (
        (263, (30.0, 0.0)),
        (362, (10.0, 0.0)),
        (133, (-10.0, 0.0)),
        (33, (-30.0, 0.0)),
        (2, (0.0, 25.0)),
    ):
        faces[:, point] += torch.tensor(shift)  # she looks at the camera: her left eye is on the right
    known = replace(found, face_xy=faces, face_score=torch.ones(FRAMES))
    filmed.recovery = replace(filmed.recovery, parts=(known,))
    run(filmed, tmp_path)
    clip = Clip.load(tmp_path / "walk")
    assert clip.face_seen.all()
    left_outer, left_inner, right_outer, right_inner, nose = clip.face_landmarks[..., 0].unbind(1)
    assert (right_outer < right_inner).all()
    assert (right_inner < nose).all()
    assert (nose < left_inner).all()
    assert (left_inner < left_outer).all()
    # the squares say where all of it is in the frames
    side, corner = clip.squares[:, None, 2:], clip.squares[:, None, :2]
    frames = list(clip.facts.frames)
    torch.testing.assert_close(
        clip.face_landmarks[:, 4:] * side / 128 + corner, faces[frames][:, [2]], atol=0.01, rtol=0
    )
    torch.testing.assert_close(clip.landmarks * side / 128 + corner, found.xy[frames], atol=0.01, rtol=0)
    assert clip.frame_sizes.tolist() == [list(found.image_size)] * 4


def test_clips_of_the_first_version_are_kept(filmed: Filmed, tmp_path: Path) -> None:
    run(filmed, tmp_path)
    file, bodies = tmp_path / "walk" / "clip.json", tmp_path / "walk" / "bodies.safetensors"
    tensors, metadata = load_tensors(bodies)
    for name in ("landmarks", "visibility", "squares", "frame_sizes"):
        del tensors[name]
    save_tensors(bodies, tensors, {**metadata, "format": "liquidwarp-clip-1"})
    file.write_text(replace(ClipFacts.read(file), format="liquidwarp-clip-1").to_json())
    old = Clip.load(tmp_path / "walk")
    torch.testing.assert_close(old.face_landmarks, tensors["face_landmarks"][:, [0, 1, 3, 2, 4]])
    assert old.squares is None
    assert run(filmed, tmp_path).kept == ("walk",)
    file.rename(file.with_name("clip.json.part"))  # it was stopped: the squares of today may lie elsewhere
    filmed.cut_out = 0
    assert run(filmed, tmp_path).made == ("walk",)
    assert filmed.cut_out == 4
    assert Clip.load(tmp_path / "walk").squares is not None


def test_pictures_shrink_without_a_shift(filmed: Filmed, tmp_path: Path) -> None:
    run(filmed, tmp_path, QUICK)
    clip = Clip.load(tmp_path / "walk")
    large, small = clip.picture("mattes", 0, 64), clip.picture("mattes", 0, 32)
    torch.testing.assert_close(torch.nn.functional.avg_pool2d(large, 2), small, atol=0.01, rtol=0)


def test_a_stopped_run_goes_on(filmed: Filmed, tmp_path: Path) -> None:
    filmed.stop_at = 2
    with pytest.raises(KeyboardInterrupt):
        run(filmed, tmp_path / "parts")
    assert find_clips(tmp_path / "parts", "all") == []
    filmed.stop_at = -1
    assert run(filmed, tmp_path / "parts").made == ("walk",)
    assert filmed.cut_out == 4  # two and two
    run(filmed, tmp_path / "whole")
    for file in sorted((tmp_path / "whole").rglob("*.*")):
        other = tmp_path / "parts" / file.relative_to(tmp_path / "whole")
        if file.suffix == ".safetensors":  # the header's order is chance
            (known, _), (found, _) = load_tensors(file), load_tensors(other)
            assert known.keys() == found.keys()
            assert all(torch.equal(known[name], found[name]) for name in known)
        else:
            assert file.read_bytes() == other.read_bytes(), file
    assert run(filmed, tmp_path / "parts").kept == ("walk",)
    assert filmed.cut_out == 8


def test_other_settings_or_another_film_make_it_anew(filmed: Filmed, tmp_path: Path) -> None:
    run(filmed, tmp_path)
    assert run(filmed, tmp_path, QUICK).made == ("walk",)
    clip = Clip.load(tmp_path / "walk")
    assert (clip.facts.size, len(clip), len(list((tmp_path / "walk" / "images").iterdir()))) == (64, 2, 2)


def test_photos_of_one_person_are_one_clip(filmed: Filmed, tmp_path: Path) -> None:
    photos = tmp_path / "alice"
    shutil.copytree(filmed.folder, photos)
    result = prepare_clips([photos], tmp_path / "out", PrepareConfig(size=64), progress=False)
    (name,) = result.made
    clip = Clip.load(tmp_path / "out" / name)
    assert (clip.facts.kind, len(clip)) == ("photos", FRAMES)


def test_one_bad_clip_does_not_stop_the_others(filmed: Filmed, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "bad.mp4").write_text("no video")
    known = prepare.recover_video

    def recover(path: Path, *rest: object, **more: object) -> object:
        if path.suffix == ".mp4":
            raise MediaError(f"{path}: expected a video, but no frame can be read.")
        return known(path, *rest, **more)

    monkeypatch.setattr(prepare, "recover_video", recover)
    result = prepare_clips([tmp_path / "bad.mp4", filmed.folder], tmp_path / "out", QUICK, progress=False)
    assert result.made == ("walk",)
    assert len(result.failures) == 1
    assert "bad.mp4" in result.failures[0]
    index = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert [clip["name"] for clip in index["clips"]] == ["walk"]
    with pytest.raises(MediaError, match=r"bad\.mp4"):
        prepare_clips([tmp_path / "bad.mp4"], tmp_path / "other", QUICK, progress=False)
    assert not (tmp_path / "other").exists()


def test_lists_and_content_say_what_is_held_out(filmed: Filmed, tmp_path: Path) -> None:
    shutil.copytree(filmed.folder, tmp_path / "iper" / "images" / "001" / "1")
    (tmp_path / "iper" / "val.txt").write_text("001/1\n")
    prepare_clips([tmp_path / "iper"], tmp_path / "out", QUICK, progress=False)
    assert find_clips(tmp_path / "out", "test") == [tmp_path / "out" / "001_1"]
    assert find_clips(tmp_path / "out", "train") == []
    run(filmed, tmp_path / "all", PrepareConfig(size=64, frames=2, folders="frames", held_out=1))
    assert Clip.load(tmp_path / "all" / "walk").facts.split == "test"


def test_nothing_of_the_users_is_overwritten(filmed: Filmed, tmp_path: Path) -> None:
    (tmp_path / "walk").mkdir()
    (tmp_path / "walk" / "diary.txt").write_text("mine")
    with pytest.raises(MediaError, match="in the way"):
        run(filmed, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(MediaError, match="expected a folder for the dataset"):
        run(filmed, tmp_path / "file")


def test_damaged_clips_are_told(filmed: Filmed, tmp_path: Path) -> None:
    run(filmed, tmp_path, QUICK)
    with pytest.raises(WeightsNotFoundError, match="expected a prepared clip"):
        Clip.load(tmp_path)
    clip = Clip.load(tmp_path / "walk")
    clip.path("images", 1).write_bytes(b"\xff\xd8")
    with pytest.raises(WeightsCorruptError, match="Prepare again"):
        clip.picture("images", 1, 64)
    (tmp_path / "walk" / "bodies.safetensors").write_bytes(b"")
    with pytest.raises(WeightsCorruptError):
        Clip.load(tmp_path / "walk")
    (tmp_path / "walk" / "clip.json").write_text("{}")
    with pytest.raises(WeightsCorruptError, match="Prepare it again"):
        Clip.load(tmp_path / "walk")


@pytest.mark.parametrize(
    ("name", "value"),
    [("size", 100), ("frames", 1), ("limit", -1), ("fps", -1.0), ("margin", 2.0), ("held_out", -1)],
)
def test_settings_are_checked(name: str, value: object) -> None:
    with pytest.raises(SettingError, match=name):
        PrepareConfig(**{name: value})


def test_the_command_says_what_became_of_each(filmed: Filmed, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from liquidwarp.cli import main

    arguments = ["prepare", str(filmed.folder), "--out", str(tmp_path / "out"), "--size", "64", "--frames", "2"]
    main([*arguments, "--folders", "frames", "--no-cache"])
    assert "Prepared: " in capsys.readouterr().out
    save_image(tmp_path / "empty" / "a.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(SystemExit) as stop:
        main(["prepare", str(tmp_path / "nothing.mp4"), "--out", str(tmp_path / "out")])
    assert stop.value.code == 2
    assert issubclass(MediaError, LiquidWarpError)
