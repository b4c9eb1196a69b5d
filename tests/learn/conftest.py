"""A clip of a person whose body is known, filmed before a wall with a pattern."""

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyParams
from liquidwarp.dataset_config import PrepareConfig
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.learn import prepare
from liquidwarp.media import ImageSequenceWriter, open_frames
from liquidwarp.recover.digitize import Recovery
from liquidwarp.recover.mattes.matte import CoarseMask
from liquidwarp.recover.overlay import draw_body
from liquidwarp.recover.photos import silhouette
from liquidwarp.recover.tracking.tracker import PersonDetector
from recover.people import SIZE, detections_of, make_person

FRAMES = 5


@dataclass
class Filmed:
    """The folder of frames and what is known of it."""

    folder: Path
    wall: np.ndarray
    recovery: Recovery
    cut_out: int = 0
    """How many mattes have been asked for."""
    stop_at: int = -1
    """Ctrl-C instead of this matte."""


@pytest.fixture(scope="session")
def filmed_once(tmp_path_factory: pytest.TempPathFactory, anny: AnnyBody) -> Filmed:
    body = make_person(anny, frames=FRAMES).body
    steps = torch.linspace(-60, 60, FRAMES)[:, None] * torch.tensor([1.0, 0.1])  # she walks through the picture
    body = BodyParams(
        body.betas, body.rel_rotmats, WeakPerspective(body.camera.scale * 0.8, body.camera.translation + steps)
    )
    detections = detections_of(anny, body, 25.0)
    detections.face_xy[:] = body.camera.translation[:, None] - torch.tensor([0.0, 150.0])
    rows, columns = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    pattern = 110 + 60 * np.sin(rows / 30) * np.cos(columns / 37)
    wall = np.repeat(pattern[..., None], 3, 2).astype(np.uint8)
    folder = tmp_path_factory.mktemp("filmed") / "walk"
    with ImageSequenceWriter(folder) as writer:
        for index in range(FRAMES):
            drawn = draw_body(np.zeros_like(wall), body[index : index + 1], anny)
            covered = drawn.any(-1, keepdims=True)
            writer.write(np.where(covered, drawn, wall))
    everything = torch.ones(FRAMES, dtype=torch.bool)
    recovery = Recovery(body, (detections,), everything, everything[:, None].expand(-1, len(anny.parents)), 25.0, ())
    return Filmed(folder, wall, recovery)


@pytest.fixture
def filmed(filmed_once: Filmed, anny: AnnyBody, monkeypatch: pytest.MonkeyPatch) -> Filmed:
    """Recovery and detection answer at once, and truly."""
    return answering(replace(filmed_once, cut_out=0, stop_at=-1), anny, monkeypatch)


@pytest.fixture(scope="session")
def dataset(filmed_once: Filmed, anny: AnnyBody, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prepared clip "walk", 128 px."""
    out = tmp_path_factory.mktemp("people")
    with pytest.MonkeyPatch.context() as monkeypatch:
        answering(replace(filmed_once), anny, monkeypatch)
        config = PrepareConfig(size=128, frames=FRAMES, folders="frames", held_out=0)
        return prepare.prepare_clips([filmed_once.folder], out, config, progress=False).folder


def answering(known: Filmed, anny: AnnyBody, monkeypatch: pytest.MonkeyPatch) -> Filmed:
    """Put detectors in place that know the answer."""

    class Knowing(PersonDetector):
        def __init__(self, config: object) -> None:
            pass

        def coarse_mask(self, rgb: np.ndarray, seen: object) -> CoarseMask:
            if known.cut_out == known.stop_at:
                raise KeyboardInterrupt
            known.cut_out += 1
            frame = int(np.argmin([np.abs(rgb.astype(int) - other).mean() for other in open_frames(known.folder)]))
            mask = silhouette(anny, known.recovery.body[frame : frame + 1], rgb.shape[:2])
            return CoarseMask(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.0), 2.0)

    def blurred(rgb: np.ndarray, seen: object, coarse: CoarseMask, **_: np.ndarray) -> np.ndarray:
        return coarse.probability

    frames = torch.arange(FRAMES)
    monkeypatch.setattr(prepare, "matte", blurred)  # has tests of its own, and takes seconds
    monkeypatch.setattr(prepare, "PersonDetector", Knowing)
    monkeypatch.setattr(prepare, "recover_video", lambda *_, **__: known.recovery)
    monkeypatch.setattr(prepare, "recover_photos", lambda files, *_, **__: known.recovery.select(frames[: len(files)]))
    return known
