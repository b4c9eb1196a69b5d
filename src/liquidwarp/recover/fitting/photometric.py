"""A person's pictures agree about the colours of the skin: photometric alignment of videos and of photos.

Landmarks and outlines do not tell how a limb is turned about itself, nor which point of a shirt lies where on the
trunk, so the surface slides by one or two per cent of the body's height from frame to frame under an outline that lies
right. What a surface shows tells it (skin_colours.py).

Method: analysis by synthesis in turns, as in congealing (Learned-Miller 2006). The colours of some key frames are
averaged on the skin; in each of them the drawn mean is compared with the picture; Levenberg-Marquardt moves poses and
cameras along, while the body's own landmarks, the mask's outline and the pose of before hold them; then the colours
are averaged anew, more sharply. All frames then follow the key frames' colours. The shape stays.

Photos are few, and each is lit in its own way: their colours are compared against those around them, and each follows
the others alone, part of the way. A photo that shares no surface with the others stays where it is.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.recover.detection.detections import PackedMasks
from liquidwarp.recover.fitting.bundle import FitState, Problem, adjust
from liquidwarp.recover.fitting.fit_task import landmark_terms, shape_weights
from liquidwarp.recover.fitting.observation import Observation
from liquidwarp.recover.fitting.settle import OutlineFit
from liquidwarp.recover.fitting.silhouette import MaskOutlines, match_outlines
from liquidwarp.recover.fitting.skeleton import SkinnedPoints
from liquidwarp.recover.fitting.skin_colours import SkinColours, Square, View, disagreement
from liquidwarp.recover.fitting.terms import ImageLandmarks, PosePull

__all__ = ["PhotometricFit"]

_KEY_FRAMES = 16
"""Whose colours are averaged."""
_FEWEST = 4
"""Frames; fewer have no common colours worth following."""
_POINTS = 400
"""Vertices that are moved along the flow."""
_KEY_ROUNDS = 3
"""How often the key frames are compared with their own mean."""
_ROUNDS = 2
"""How often the other frames are compared with the key frames' colours."""
_MATCHINGS = 2
"""Of the outlines, in each round,"""
_STEPS = 2
"""and steps of Levenberg-Marquardt on each of them."""
_SIGMA = 0.015
"""Trusted accuracy of the flow [m on the body]."""
_CUTOFF = 3.0
"""Of the flow, see :class:`liquidwarp.recover.fitting.terms.ImageLandmarks`."""
_WEIGHT = 480.0
"""Of all points together, if all of them are seen and believed."""
_FARTHEST = 0.06
"""Nothing is moved farther at once [m]."""
_LANDMARK_SIGMA = 0.004
"""How firmly the landmarks stay where the fit has put them [m]."""
_LANDMARK_CUTOFF = 5.0
"""See :class:`liquidwarp.recover.fitting.terms.ImageLandmarks`."""
_TURN = 6.0
"""How firmly the joints stay [1/rad],"""
_SHIFT = 20.0
"""and the camera [1/m]."""
_PHOTO_ROUNDS = 3
"""How often photos are compared with each other."""
_PHOTO_SIGMA = 0.008
"""How firmly the landmarks of photos stay [m]; nothing has smoothed their errors."""
_LEAST_EVIDENCE = 0.02
"""Photos stay in which the flow is believed at less than this share of the body."""
_CHUNK = 16
"""Frames that are aligned together,"""
_THREADS = 2
"""and so many times as many at a time."""


@dataclass(frozen=True)
class PhotometricFit:
    """Everything about a body model that the alignment needs; on the CPU."""

    fit: OutlineFit
    points: SkinnedPoints
    """Some vertices, spread evenly at random."""
    chosen: Int64[Tensor, "P"]
    """Which of the model's they are."""

    @staticmethod
    def of(model: BodyModel) -> "PhotometricFit":
        """Prepare a body."""
        fit = OutlineFit.of(model)
        used = model.faces.unique()
        order = torch.randperm(len(used), generator=torch.Generator().manual_seed(0))
        chosen = used[order[:_POINTS]].sort().values
        surface = fit.surface
        points = SkinnedPoints(surface.rest[None, chosen], surface.basis[None, chosen], surface.weights[None, chosen])
        return PhotometricFit(fit, points, chosen)

    @torch.no_grad()
    def align(
        self,
        body: BodyParams,
        frames: Iterable[UInt8[np.ndarray, "H W 3"]],
        masks: PackedMasks,
        found: Bool[Tensor, "T"],
        step: Callable[[int], object] = lambda _: None,
    ) -> BodyParams:
        """Move the poses and cameras of a video until its frames agree.

        Args:
            body: T frames, cameras in their pixels.
            frames: The video; every loop starts at its first frame. It is read twice.
            masks: Where the person is, without things that are held.
            found: Other frames stay as they are.
            step: Called with the number of frames that are done since the last call.

        Returns:
            The same shape and fingers, other poses and cameras.
        """
        present = found.nonzero()[:, 0]
        if len(present) < _FEWEST:
            return body
        keys = present[torch.linspace(0, len(present) - 1, min(_KEY_FRAMES, len(present))).round().long()]
        ((_, squares),) = self._squares(body, frames, masks, keys, len(keys))
        skin = self._colours(body[keys], squares, [masks[index] for index in keys.tolist()])
        rotations, camera = body.rel_rotmats.clone(), body.camera
        scale, translation = camera.scale.clone(), camera.translation.clone()
        begun: deque[tuple[Tensor, Future[BodyParams]]] = deque()

        def finish() -> None:
            indices, part_done = begun.popleft()
            moved = part_done.result()
            rotations[indices] = moved.rel_rotmats
            scale[indices], translation[indices] = moved.camera.scale, moved.camera.translation
            step(len(indices))

        with ThreadPoolExecutor(_THREADS) as pool:
            for indices, squares in self._squares(body, frames, masks, present, _CHUNK):
                part = (body[indices], squares, [masks[index] for index in indices.tolist()])
                begun.append((indices, pool.submit(self._aligned, *part, skin)))
                if len(begun) > _THREADS:  # what is read too early only fills the memory
                    finish()
            while begun:
                finish()
        return BodyParams(body.betas, rotations, WeakPerspective(scale, translation))

    @torch.no_grad()
    def align_photos(
        self,
        body: BodyParams,
        pictures: Iterable[UInt8[np.ndarray, "_ _ 3"]],
        masks: Sequence[Bool[np.ndarray, "_ _"]],
    ) -> BodyParams:
        """Move the poses and cameras of photos until they agree about the surface that they share.

        Args:
            body: One frame per photo, cameras in their pixels.
            pictures: Of any sizes; read once, one by one.
            masks: Where the person is.

        Returns:
            The same shape and fingers, other poses and cameras.
        """
        if len(body) < 2:
            return body
        places = [body.camera[slice(i, i + 1)].project(v[None])[0] for i, v in enumerate(self._posed(body))]
        squares = [Square(*one).structured() for one in zip(pictures, masks, places, strict=True)]
        few = len(body) <= _KEY_FRAMES  # otherwise a photo's own share in the mean is small
        for _ in range(_PHOTO_ROUNDS):
            views = list(self._views(body, squares))
            skins = [SkinColours.of(views)] * len(views)
            if few:
                skins = [SkinColours.of(views[:own] + views[own + 1 :]) for own in range(len(views))]
            body = self._followed(body, squares, masks, skins, of_photos=True)
        return body

    @torch.no_grad()
    def _aligned(
        self,
        body: BodyParams,
        squares: Sequence[Square],
        masks: Sequence[Bool[np.ndarray, "h w"]],
        skin: SkinColours,
    ) -> BodyParams:
        """Frames after they have followed the key frames' colours."""
        for _ in range(_ROUNDS):
            body = self._followed(body, squares, masks, [skin] * len(body))
        return body

    def _colours(
        self,
        body: BodyParams,
        squares: Sequence[Square],
        masks: Sequence[Bool[np.ndarray, "h w"]],
    ) -> SkinColours:
        """What the key frames agree upon."""
        for _ in range(_KEY_ROUNDS):
            skin = SkinColours.of(list(self._views(body, squares)))
            body = self._followed(body, squares, masks, [skin] * len(body))
        return SkinColours.of(list(self._views(body, squares)))

    def _followed(
        self,
        body: BodyParams,
        squares: Sequence[Square],
        masks: Sequence[Bool[np.ndarray, "h w"]],
        skins: Sequence[SkinColours],
        of_photos: bool = False,
    ) -> BodyParams:
        """One comparison with the colours, each picture's own ones, and the bodies moved along.

        Photos go part of the way, as the others come towards them; those without evidence stay.
        """
        model, skeleton, camera = self.fit.model, self.fit.skeleton, body.camera
        share = 1 - 1 / len(body) if of_photos else 1.0
        target, weight = [], []
        for index, (view, skin) in enumerate(zip(self._views(body, squares), skins, strict=True)):
            farthest = _FARTHEST * float(camera.scale[index]) * view.square.factor
            found = disagreement(view, skin, model.faces, farthest)
            here = view.square.to_picture(view.xy)
            target.append(torch.lerp(here, found.target, share)[self.chosen])
            weight.append(found.weight[self.chosen])
        observation = Observation.joined(
            [self.fit.observed(body[slice(i, i + 1)], square.size) for i, square in enumerate(squares)]
        )
        flow = ImageLandmarks(
            self.points,
            (torch.stack(target) - camera.translation[:, None]) / camera.scale[:, None, None],
            torch.stack(weight) * (_WEIGHT / len(self.chosen)),
            _SIGMA,
            _CUTOFF,
        )
        start = torch.tensor([[1.0, 0.0, 0.0]]).repeat(len(body), 1)
        state = FitState(body.rel_rotmats[:, skeleton.joints], body.betas, start)
        firm = torch.ones(len(body))
        terms = [
            *landmark_terms(
                observation, model, skeleton, _LANDMARK_CUTOFF, _PHOTO_SIGMA if of_photos else _LANDMARK_SIGMA
            ),
            PosePull(state.rel_rotmats, start, _TURN * firm, _SHIFT * firm),
            flow,
        ]
        per_pixel = [mask.shape[1] / square.size[1] for mask, square in zip(masks, squares, strict=True)]
        outlines = MaskOutlines.traced(masks, torch.tensor(per_pixel), observation)
        for _ in range(_MATCHINGS):
            outline = match_outlines(state, skeleton, self.fit.surface, observation, outlines, False)
            problem = Problem(skeleton, [*terms, outline], shape_weights(model))
            state = adjust(problem, state, _STEPS, with_shape=False)
        if of_photos:
            stays = (torch.stack(weight).mean(1) < _LEAST_EVIDENCE)[:, None]
            rotations = torch.where(stays[..., None, None], body.rel_rotmats[:, skeleton.joints], state.rel_rotmats)
            state = FitState(rotations, state.betas, torch.where(stays, start, state.camera))
        return self.fit.moved(body, state)

    def _squares(
        self,
        body: BodyParams,
        frames: Iterable[UInt8[np.ndarray, "H W 3"]],
        masks: PackedMasks,
        wanted: Int64[Tensor, "N"],
        size: int,
    ) -> Iterator[tuple[Int64[Tensor, "n"], list[Square]]]:
        """These frames (rising numbers), so many at a time; of a large picture only the square is kept."""
        left = iter(wanted.tolist())
        following = next(left, None)
        numbers: list[int] = []
        squares: list[Square] = []
        for number, rgb in enumerate(frames):
            if following is None:
                break
            if number != following:
                continue
            one = body[slice(number, number + 1)]
            numbers.append(number)
            squares.append(Square(rgb, masks[number], one.camera.project(self._posed(one))[0]))
            following = next(left, None)
            if len(numbers) == size or following is None:
                yield torch.tensor(numbers), squares
                numbers, squares = [], []

    def _views(self, body: BodyParams, squares: Sequence[Square]) -> Iterator[View]:
        for index, (square, vertices) in enumerate(zip(squares, self._posed(body), strict=True)):
            yield View.of(square, body.camera[slice(index, index + 1)], vertices, self.fit.model.faces)

    def _posed(self, body: BodyParams) -> Float[Tensor, "T V 3"]:
        model = self.fit.model
        return model.pose(model.rest(body.betas[None]), body.rel_rotmats).vertices
