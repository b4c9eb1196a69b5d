"""Which colours a video usually shows on each place of the body, and which pixels of a frame are none of them.

Method: the skin is divided into patches; every patch has a histogram of colours in each of some frames. A colour is
usual on a patch as often as that patch or one beside it shows it, so the fit may be off by the size of a patch; how
often is counted against the most usual colour there, so that light which changes half-way makes nothing strange. What
both hands, hair and faces are made of is usual everywhere, because arms and hair hide other parts where the fit does
not know it; what feet are made of is usual near feet.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from scipy import ndimage

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.body.parts import PARTS
from liquidwarp.geometry.raster import rasterize

__all__ = ["BodyPatches", "ColouredFrame", "UsualColours"]

_PATCHES = 160
"""Of the whole skin; each is about 10 cm wide."""
_BESIDE = 0.13
"""Patches whose centres are this near are beside each other [m]."""
_LIGHTNESS = 0.7
"""Weight of lightness against hue and saturation: shade changes it."""
_STEP = 10.0
"""Width of a bin [CIELAB units]; neighbouring bins count as one colour."""
_BINS = (8, 10, 10)
"""Of lightness and the two colour axes."""
_SHOWN = 0.05
"""A patch shows a colour if this share of it has it."""
_WHOLE = 0.35
"""A patch is seen if it covers this share of the pixels that it covers at best, and at least:"""
_LEAST_PIXELS = 12
"""So many pixels of the reduced frames."""
_LEAST_FRAMES = 6
"""In fewer frames nothing is usual: everything passes."""
_RARELY = 0.5
"""Patches that are seen in fewer frames than this share make nothing more usual than their frames allow."""
_COMMON = 0.04
"""Share of a part's pixels in a frame from which on it has a colour,"""
_OFTEN = 0.4
"""and share of the frames from which on the colour is its own."""
_NEAR_FEET = 0.07
"""[m]"""
_ARMS = (("left_hand", "left_lower_arm"), ("right_hand", "right_lower_arm"))
"""A thing is beside one of them for long, seldom beside both."""
_EVERYWHERE = (*_ARMS, ("head",), ("face",))


@dataclass(frozen=True)
class BodyPatches:
    """The skin in patches."""

    of_face: Int64[np.ndarray, "F"]
    """The patch of each triangle."""
    beside: Bool[np.ndarray, "P P"]
    """A patch and those around it."""
    part: Int64[np.ndarray, "P"]
    """Most of a patch belongs to this body part."""

    @staticmethod
    def of(model: BodyModel) -> "BodyPatches":
        """Spread patches evenly (farthest points)."""
        vertices = model.rest(torch.zeros(1, len(model.beta_names))).vertices[0]
        points = vertices[model.faces.unique()]
        centres = [int(points[:, 1].argmin())]
        distance = torch.full((len(points),), torch.inf)
        for _ in range(_PATCHES - 1):
            distance = torch.minimum(distance, (points - points[centres[-1]]).norm(dim=1))
            centres.append(int(distance.argmax()))
        middle = points[centres]
        of_face = torch.cdist(vertices[model.faces].mean(1), middle).argmin(1)
        shares = torch.zeros(_PATCHES, len(PARTS), dtype=torch.long)
        shares.index_put_((of_face, model.face_part), torch.ones_like(of_face), accumulate=True)
        beside = torch.cdist(middle, middle) < _BESIDE
        return BodyPatches(of_face.numpy(), beside.numpy(), shares.argmax(1).numpy())

    def named(self, names: Sequence[str]) -> Bool[np.ndarray, "P"]:
        """Patches of the parts that have one of these in their names."""
        wanted = [index for index, part in enumerate(PARTS) if any(name in part for name in names)]
        return np.isin(self.part, wanted)


@dataclass(frozen=True)
class ColouredFrame:
    """One frame at the size of its mask."""

    colour: Int64[np.ndarray, "H W"]
    """Bin of each pixel."""
    patch: Int64[np.ndarray, "H W"]
    """The nearest patch of the drawn body."""
    covered: Bool[np.ndarray, "H W"]
    """By the drawn body."""
    person: Bool[np.ndarray, "H W"]
    """The mask."""
    pixels_per_metre: float

    @staticmethod
    def of(
        rgb: UInt8[np.ndarray, "H W 3"],
        person: Bool[np.ndarray, "h w"],
        body: BodyParams,
        model: BodyModel,
        patches: BodyPatches,
    ) -> "ColouredFrame":
        """Draw the body.

        Args:
            rgb: The frame.
            person: Its mask, of any size.
            body: One frame, camera in the frame's pixels.
            model: The body.
            patches: Of that body.
        """
        height, width = person.shape
        camera = body.camera.resized(width / rgb.shape[1])
        vertices = model.pose(model.rest(body.betas[None]), body.rel_rotmats).vertices
        raster = rasterize(camera.project(vertices), model.faces, height, width)
        covered = raster.covered[0].numpy()
        patch = patches.of_face[raster.pix_to_face[0].clamp(min=0).numpy()]
        if covered.any():
            patch = _spread(patch, covered)
        small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
        return ColouredFrame(_bins_of(small), patch, covered, person, float(camera.scale))

    def coloured_like(self, where: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
        """Pixels that have one of the colours of some of them, or one beside it."""
        counts = np.bincount(self.colour[where], minlength=int(np.prod(_BINS)))
        like: np.ndarray = _with_neighbours(counts > _SHOWN * max(1, int(where.sum())))[self.colour]
        return like

    def distance(self, where: Bool[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
        """How far every pixel is from some of them [m]; infinite if there are none."""
        if not where.any():
            return np.full(where.shape, np.inf)
        pixels: np.ndarray = cv2.distanceTransform((~where).astype(np.uint8), cv2.DIST_L2, 5)
        return pixels / self.pixels_per_metre


@dataclass(frozen=True)
class UsualColours:
    """How often each colour is seen on each patch."""

    share: Float[np.ndarray, "P B"]
    """Of the frames that see it, against the most usual colour of the patch [0, 1]."""
    everywhere: Bool[np.ndarray, "B"]
    """Colours of hands, hair and face."""
    on_feet: Float[np.ndarray, "B"]
    feet: Bool[np.ndarray, "P"]

    @staticmethod
    def of(frames: Sequence[ColouredFrame], patches: BodyPatches) -> "UsualColours":
        """Count.

        Args:
            frames: Spread over the video; pixels outside of ``person`` do not count.
            patches: Of the body.
        """
        num_patches, num_bins = len(patches.part), int(np.prod(_BINS))
        shown = np.zeros((len(frames), num_patches, num_bins), bool)
        pixels = np.zeros((len(frames), num_patches))
        members = np.stack([patches.named(names) for names in _EVERYWHERE])
        of_groups = np.zeros((len(frames), len(members), num_bins))
        for index, frame in enumerate(frames):
            cells = frame.patch[frame.person] * num_bins + frame.colour[frame.person]
            counts = np.bincount(cells, minlength=num_patches * num_bins).reshape(num_patches, num_bins)
            pixels[index] = np.bincount(frame.patch[frame.person & frame.covered], minlength=num_patches)
            shown[index] = counts >= np.maximum(2, _SHOWN * counts.sum(1))[:, None]
            of_groups[index] = members @ counts
        seen = pixels >= np.maximum(_LEAST_PIXELS, _WHOLE * np.quantile(pixels, 0.9, axis=0))
        times = seen.sum(0)
        shown = _with_neighbours(shown) & seen[..., None]
        own = shown.sum(0) / np.maximum(times, _RARELY * len(frames))[:, None]
        own[times < _LEAST_FRAMES] = 0
        share = np.stack([own[beside].max(0) for beside in patches.beside])
        share /= np.maximum(share.max(1, keepdims=True), 1e-9)
        share[times < _LEAST_FRAMES] = 1
        feet = patches.named(("foot",))
        return UsualColours(share, _everywhere(of_groups), own[feet].max(0), feet)

    def of_pixels(self, frame: ColouredFrame, shoes: bool = True) -> Float[np.ndarray, "H W"]:
        """How usual the colour of each pixel is where it is [0, 1]; with ``shoes``, theirs are so all around feet."""
        usual: np.ndarray = np.maximum(self.share[frame.patch, frame.colour], self.everywhere[frame.colour])
        if not shoes:
            return usual
        near_feet = frame.distance(frame.covered & self.feet[frame.patch]) < _NEAR_FEET
        with_feet: np.ndarray = np.where(near_feet, np.maximum(usual, self.on_feet[frame.colour]), usual)
        return with_feet


def _everywhere(of_groups: Float[np.ndarray, "T G B"]) -> Bool[np.ndarray, "B"]:
    """Colours that hair or face often have, or both arms; an arm that is hardly seen has no say."""
    pixels = of_groups.sum(2, keepdims=True)
    seen = pixels >= _LEAST_PIXELS
    times = seen.sum(0)
    often = ((of_groups > _COMMON * pixels) & seen).sum(0) > _OFTEN * np.maximum(times, _RARELY * len(of_groups))
    own = _with_neighbours(often & (times >= _LEAST_FRAMES))
    arms = slice(0, len(_ARMS))
    of_arms = np.where(times[arms].min() >= _LEAST_FRAMES, own[arms].all(0), own[arms].any(0))
    everywhere: np.ndarray = of_arms | own[len(_ARMS) :].any(0)
    return everywhere


def _spread(patch: Int64[np.ndarray, "H W"], covered: Bool[np.ndarray, "H W"]) -> Int64[np.ndarray, "H W"]:
    """The nearest covered pixel's patch."""
    _, labels = cv2.distanceTransformWithLabels(
        (~covered).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    table = np.zeros(labels.max() + 1, np.int64)
    table[labels[covered]] = patch[covered]
    nearest: np.ndarray = table[labels]
    return nearest


def _bins_of(rgb: UInt8[np.ndarray, "H W 3"]) -> Int64[np.ndarray, "H W"]:
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    steps = lab * (_LIGHTNESS, 1, 1) / _STEP + (0, _BINS[1] / 2, _BINS[2] / 2)
    lightness, red, yellow = np.moveaxis(np.clip(steps.astype(np.int64), 0, np.array(_BINS) - 1), -1, 0)
    bins: np.ndarray = (lightness * _BINS[1] + red) * _BINS[2] + yellow
    return bins


def _with_neighbours(bins: Bool[np.ndarray, "*N B"]) -> Bool[np.ndarray, "*N B"]:
    """Every colour with those beside it."""
    leading = bins.shape[:-1]
    size = (1,) * len(leading) + (3, 3, 3)
    grown: np.ndarray = ndimage.maximum_filter(bins.reshape(*leading, *_BINS).astype(np.uint8), size)
    return grown.reshape(bins.shape) > 0
