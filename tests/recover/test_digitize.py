"""Files to bodies with a detector that knows the answer: pieces, resuming, caching, sizes, notes."""

import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.cache import Cache
from liquidwarp.config import DetectConfig, FitConfig
from liquidwarp.errors import NoPersonFoundError
from liquidwarp.media import ImageSequenceWriter, save_image
from liquidwarp.recover import digitize
from liquidwarp.recover.detection.detections import Detections
from liquidwarp.recover.digitize import recover_photos, recover_video
from liquidwarp.recover.overlay import draw_body
from liquidwarp.recover.tracking.follow import TrackState
from liquidwarp.recover.tracking.pieces import Piece
from liquidwarp.recover.tracking.tracker import PersonDetector

from .people import SIZE, Truth, make_person

QUICK = (DetectConfig(), FitConfig(landmark_steps=6, outline_rounds=1, frame_outline_rounds=1))
FRAMES = 7


@pytest.fixture(scope="module")
def model() -> AnnyBody:
    return AnnyBody.load()


@pytest.fixture(scope="module")
def truth(model: AnnyBody) -> Truth:
    return make_person(model, frames=FRAMES)


class Knowing(PersonDetector):
    """A detector that reads the frame's number from its first pixel."""

    frames_seen: list[int]
    detections: Detections
    stop_at: int | None = None

    def __init__(self, config: DetectConfig) -> None:
        self.config = config

    def follow(
        self,
        frames: Iterable[np.ndarray],
        size: tuple[int, int],
        fps: float,
        choice: object,
        state: TrackState | None,
        seconds: float,
        progress: object,
        cuts: Sequence[int],
    ) -> Iterator[Piece]:
        """Pieces of three frames."""
        numbers: list[int] = []
        for frame in frames:
            number = int(frame[0, 0, 0]) // 10
            if number == self.stop_at:
                raise KeyboardInterrupt
            type(self).frames_seen.append(number)
            numbers.append(number)
            if len(numbers) == 3 or number == FRAMES - 1:
                found = self.detections.select(torch.tensor(numbers))
                yield Piece(replace(found, fps=fps), TrackState(number, failure="expected a person, found nobody."))
                numbers = []

    def detect_photo(self, rgb: np.ndarray, choice: object) -> Detections:
        type(self).frames_seen.append(int(rgb[0, 0, 0]) // 10)
        photo = self.detections.select(torch.tensor([int(rgb[0, 0, 0]) // 10]))
        return replace(photo, image_size=(rgb.shape[1], rgb.shape[0]), fps=0.0)


@pytest.fixture
def detector(monkeypatch: pytest.MonkeyPatch, truth: Truth) -> type[Knowing]:
    own = type("Own", (Knowing,), {"frames_seen": [], "detections": truth.detections, "stop_at": None})
    monkeypatch.setattr(digitize, "PersonDetector", own)
    return own


def picture(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    image = np.full((size[1], size[0], 3), 100, np.uint8)
    image[:8, :8] = 10 * number
    return image


@pytest.fixture
def video(tmp_path: Path) -> Path:
    folder = tmp_path / "frames"
    with ImageSequenceWriter(folder) as writer:
        for number in range(FRAMES):
            writer.write(picture(number))
    return folder


def test_a_video_in_pieces_then_from_the_cache(
    detector: type[Knowing], video: Path, model: AnnyBody, truth: Truth, tmp_path: Path
) -> None:
    cache = Cache(tmp_path / "cache")
    first = recover_video(video, 25, model=model, cache=cache, progress=False, settings=QUICK)
    assert detector.frames_seen == list(range(FRAMES))
    assert len(first) == FRAMES
    torch.testing.assert_close(first.detections.xy, truth.detections.xy)
    error = (first.body.camera.translation - truth.body.camera.translation).norm(dim=-1)
    assert float(error.mean()) < 8  # [px]
    again = recover_video(video, 25, model=model, cache=cache, progress=False, settings=QUICK)
    assert detector.frames_seen == list(range(FRAMES))
    assert torch.equal(again.body.rel_rotmats, first.body.rel_rotmats)
    assert torch.equal(again.seen, first.seen)
    assert again.notes == first.notes == ()


def test_a_stopped_run_goes_on(detector: type[Knowing], video: Path, model: AnnyBody, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    detector.stop_at = 4
    with pytest.raises(KeyboardInterrupt):
        recover_video(video, 25, model=model, cache=cache, progress=False, settings=QUICK)
    assert detector.frames_seen == [0, 1, 2, 3]
    assert len(list(cache.folder.iterdir())) == 1
    detector.stop_at = None
    detector.frames_seen.clear()
    recovery = recover_video(video, 25, model=model, cache=cache, progress=False, settings=QUICK)
    assert detector.frames_seen == [3, 4, 5, 6]
    assert len(recovery) == FRAMES
    assert len(list(cache.folder.iterdir())) == 2  # the whole video's detections, the body; no pieces


def test_frames_are_read_one_by_one(
    detector: type[Knowing], video: Path, model: AnnyBody, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A piece of a long video must not lie in memory."""
    frames_read: list[weakref.ref[np.ndarray]] = []
    alive: list[int] = []

    def watched(self: Knowing, frames: Iterable[np.ndarray], *rest: object) -> Iterator[Piece]:
        def one_by_one() -> Iterator[np.ndarray]:
            for frame in frames:
                frames_read.append(weakref.ref(frame))
                alive.append(sum(known() is not None for known in frames_read))
                yield frame

        return Knowing.follow(self, one_by_one(), *rest)

    detector.follow = watched  # type: ignore[assignment, method-assign]
    recover_video(video, 25, model=model, progress=False, settings=QUICK)
    assert len(alive) == FRAMES
    assert max(alive) <= 2  # the reader holds its last one


def test_an_empty_piece_is_bridged_and_noted(
    detector: type[Knowing], video: Path, model: AnnyBody, truth: Truth, tmp_path: Path
) -> None:
    cache = Cache(tmp_path / "cache")
    found = torch.ones(FRAMES, dtype=torch.bool)
    found[3:6] = False
    detector.detections = replace(truth.detections, found=found)
    recovery = recover_video(video, 25, model=model, progress=False, settings=QUICK)
    assert recovery.observed.tolist() == found.tolist()
    assert "3 of 7 frames" in recovery.notes[0]
    detector.detections = replace(truth.detections, found=~found & found)
    for _ in range(2):  # and again from the cache
        with pytest.raises(NoPersonFoundError, match="frames: expected a person, found nobody"):
            recover_video(video, 25, model=model, cache=cache, progress=False, settings=QUICK)
    assert detector.frames_seen == 2 * list(range(FRAMES))


def test_photos_of_several_sizes_share_a_shape(
    detector: type[Knowing], model: AnnyBody, truth: Truth, tmp_path: Path
) -> None:
    sizes = [SIZE, (SIZE[0] + 30, SIZE[1] + 40)]
    paths = [save_image(tmp_path / f"{n}.png", picture(n, size)) for n, size in enumerate(sizes)]
    recovery = recover_photos(paths, model=model, progress=False, settings=QUICK)
    assert recovery.body.betas.dim() == 1
    assert recovery.fps == 0
    assert [recovery.detection(n).image_size for n in (0, 1)] == sizes
    with pytest.raises(ValueError, match="several sizes"):
        _ = recovery.detections
    chosen = recovery.select(torch.tensor([1]))
    assert chosen.image_size == sizes[1]
    assert torch.equal(chosen.body.rel_rotmats[0], recovery.body.rel_rotmats[1])


def test_overlay_draws_the_body_where_it_is(model: AnnyBody, truth: Truth) -> None:
    frame = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    mask = truth.detections.masks[0]
    drawn = draw_body(frame, truth.body[:1], model)
    body = drawn.any(-1)
    large = np.kron(mask, np.ones((2, 2), bool))
    assert (body & large).sum() / (body | large).sum() > 0.95
    assert not frame.any()
    outlined = draw_body(frame, truth.body[:1], model, mask, truth.detections.xy[0])
    assert (outlined == (0, 255, 0)).all(-1).any()
    x, y = truth.detections.xy[0, 0].int().tolist()
    assert tuple(outlined[y, x]) == (255, 40, 40)
