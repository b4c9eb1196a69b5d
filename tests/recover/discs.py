"""People as bright discs, and networks that see them exactly: for tests of everything around the networks.

A disc's centre is the middle of the hips, 1.5 radii above it ends the circle around the body. The landmarks lie on the
disc's rim, the nose in its centre, so each has a known place.
"""

import cv2
import numpy as np

from liquidwarp.config import DetectConfig
from liquidwarp.recover.detection.landmarks import DETECTOR_SIZE, DETECTOR_STRIDES, ssd_anchors
from liquidwarp.recover.tracking.tracker import Networks, PersonDetector

ANGLES = np.arange(33) / 33 * 2 * np.pi
RIM = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1) * np.where(np.arange(33) == 0, 0.0, 1.0)[:, None]
"""Landmarks relative to the centre, in radii."""
SUPERSAMPLE = 4
RADIUS = 0.1
"""Of every disc in space [m]."""


def draw(size, *discs, colour=(255, 255, 255), dark=0):
    """Discs (x, y, radius[, colour]) with anti-aliased edges; x, y are continuous positions [px]."""
    width, height = size
    picture = np.full((height, width, 3), float(dark))
    y, x = (np.mgrid[0 : height * SUPERSAMPLE, 0 : width * SUPERSAMPLE] + 0.5) / SUPERSAMPLE
    for disc in discs:
        inside = (x - disc[0]) ** 2 + (y - disc[1]) ** 2 < disc[2] ** 2
        cover = inside.reshape(height, SUPERSAMPLE, width, SUPERSAMPLE).mean((1, 3))[..., None]
        picture = picture * (1 - cover) + cover * np.array(disc[3] if len(disc) > 3 else colour)
    return np.rint(picture).astype(np.uint8)


def seen_discs(pixels):
    """Centres (continuous) and radii of the discs in an RGB crop in [0, 1], largest first."""
    light = pixels.max(-1)
    _, labels = cv2.connectedComponents((light > 0.3).astype(np.uint8))
    found = []
    for label in range(1, labels.max() + 1):
        near = cv2.dilate((labels == label).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        weight = np.where(near, light, 0) / light[labels == label].max()
        rows, columns = np.mgrid[0 : light.shape[0], 0 : light.shape[1]] + 0.5
        area = weight.sum()
        found.append(((weight * columns).sum() / area, (weight * rows).sum() / area, np.sqrt(area / np.pi)))
    return sorted(found, key=lambda disc: -disc[2])


class Discs:
    """The four networks; ``calls`` counts what was asked of each."""

    def __init__(self, smallest=4.0):
        self.calls = {"finder": 0, "pose": 0, "hand": 0, "face": 0}
        self.smallest = smallest
        self.anchors = ssd_anchors(DETECTOR_SIZE, DETECTOR_STRIDES)

    def finder(self, image):
        self.calls["finder"] += 1
        offsets = np.zeros((1, len(self.anchors), 12), np.float32)
        logits = np.full((1, len(self.anchors), 1), -20, np.float32)
        for x, y, radius in seen_discs((image[0] + 1) / 2):
            if radius >= self.smallest:
                at = int(np.linalg.norm(self.anchors * DETECTOR_SIZE - (x, y), axis=1).argmin())
                dx, dy = np.array([x, y]) - self.anchors[at] * DETECTOR_SIZE
                logits[0, at] = 5
                offsets[0, at, :8] = (dx, dy, 2 * radius, 2 * radius, dx, dy, dx, dy - 1.5 * radius)
        return [offsets, logits]

    def pose(self, image):
        self.calls["pose"] += 1
        size = image.shape[1]
        points = np.zeros((39, 5), np.float32)
        points[:, 3:] = 10
        world = np.zeros((39, 3), np.float32)
        mask = np.full((size, size), -10, np.float32)
        discs = [disc for disc in seen_discs(image[0]) if disc[2] > size / 12]
        if discs:
            x, y, radius = min(discs, key=lambda disc: (disc[0] - size / 2) ** 2 + (disc[1] - size / 2) ** 2)
            points[:33, :2] = (x, y) + RIM * radius
            points[33, :2], points[34, :2] = (x, y), (x, y - 1.5 * radius)
            world[:33, :2] = RADIUS * RIM
            rows, columns = np.mgrid[0:size, 0:size] + 0.5
            mask[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = 10
        heatmaps = np.full((1, 64, 64, 39), -10, np.float32)
        score = np.array([[1.0 if discs else 0.0]], np.float32)
        return [points.reshape(1, -1), score, mask[None, ..., None], heatmaps, world.reshape(1, -1)]

    def hand(self, image):
        self.calls["hand"] += 1
        return [np.full((1, 63), 112, np.float32), *(np.zeros((1, 1), np.float32),) * 2, np.zeros((1, 63), np.float32)]

    def face(self, image):
        self.calls["face"] += 1
        return [np.full((1, 1, 1, 1404), 96, np.float32), np.full((1, 1, 1, 1), -5, np.float32)]


def detector(networks=None, **settings):
    networks = networks or Discs()
    bundle = Networks(networks.finder, networks.pose, networks.hand, networks.face)
    return PersonDetector(DetectConfig(**{"min_height": 20.0, **settings}), bundle)
