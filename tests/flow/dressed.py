"""Somebody with bare legs, on whom cloth is painted."""

import numpy as np
import torch

from liquidwarp.body.model import BodyParams
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.clothes.skirt import legs_of
from liquidwarp.flow.mesh.surroundings import look_around
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.raster import rasterize
from liquidwarp.geometry.rotations import rotvec_to_matrix

SIZE, SCALE = (320, 256), 170.0
SKIN, SHIRT, RED, DARK = (0.9, 0.7, 0.6), (0.2, 0.3, 0.8), (0.8, 0.1, 0.1), (0.2, 0.02, 0.02)
APART = {"upperarm01.L": 0.1, "upperarm01.R": -0.1, "upperleg01.L": -0.06, "upperleg01.R": 0.06}
BLUE, GREEN = (0.1, 0.2, 0.5), (0.1, 0.6, 0.1)


class Person:
    """Somebody with bare legs that are a little apart; what is painted on is cloth."""

    def __init__(self, model):
        rotvec = torch.zeros(1, len(model.joint_names), 3)
        for name, value in APART.items():
            rotvec[0, model.joint_names.index(name), 2] = value
        camera = WeakPerspective(torch.tensor([SCALE]), torch.tensor([[128.0, 150.0]]))
        self.model, self.body = model, BodyParams(torch.zeros(len(model.beta_names)), rotvec_to_matrix(rotvec), camera)
        self.rest = model.rest(self.body.betas[None])
        self.posed = model.pose(self.rest, self.body.rel_rotmats)
        self.raster = rasterize(camera.project(self.posed.vertices), model.faces, *SIZE)
        part = torch.where(self.raster.covered, model.face_part[self.raster.pix_to_face.clamp(min=0)], -1)[0].numpy()
        self.legs = legs_of(model, self.body, self.posed, SIZE[0])
        self.matte = part >= 0
        self.image = np.full((*SIZE, 3), 0.6, np.float32)
        self.image[self.matte] = SKIN
        self.image[part == PARTS.index("torso")] = SHIRT
        thighs = np.isin(part, [PARTS.index("left_upper_leg"), PARTS.index("right_upper_leg")])
        self.ends = {y: (np.flatnonzero(row)[0], np.flatnonzero(row)[-1]) for y, row in enumerate(thighs) if row.any()}
        self.hem = int(0.4 * self.legs.hips + 0.6 * self.legs.knees)

    def dressed(self, wider=4, closed=True, notch=0):
        """Red cloth from the hips to above the knees, so much wider than the thighs; open between them or not."""
        for y in range(self.legs.hips, self.hem):
            low, high = self.ends[y]
            cloth = np.zeros(SIZE[1], bool)
            cloth[low - wider : high + wider + 1] = True
            if not closed:
                cloth &= self.matte[y] | (np.abs(np.arange(SIZE[1]) - (low + high) / 2) > (high - low) / 4)
            cloth &= np.abs(np.arange(SIZE[1]) - (low + high) / 2) > notch - (self.hem - y)
            self.image[y, cloth], self.image[y, ~cloth & ~self.matte[y]] = RED, 0.6
            self.matte[y] |= cloth
        return self

    def shaded(self, dark=0.45):
        """Light from the left of the picture alone."""
        fall = np.linspace(1, dark, self.ends[self.hem][1] - self.ends[self.hem][0])
        light = np.interp(np.arange(SIZE[1]), np.linspace(*self.ends[self.hem], len(fall)), fall)
        self.image[self.legs.hips : self.hem] *= light[:, None].astype(np.float32)
        return self

    def creased(self):
        """Two legs that touch, with a shadow in between."""
        middle = self.legs.x.mean(0)
        for y in range(self.legs.hips, self.hem):
            self.image[y, round(middle[y]) - 1 : round(middle[y]) + 2] = DARK
        return self

    def recoloured(self, colour):
        """What is red on the left of the picture is of another colour."""
        left = np.arange(SIZE[1]) < self.legs.x.mean()
        self.image[(self.image == np.array(RED, np.float32)).all(-1) & left] = colour
        return self

    def turned(self, angle):
        """The body, seen from another side."""
        rotmats = self.body.rel_rotmats.clone()
        rotmats[:, 0] = rotvec_to_matrix(torch.tensor([[0.0, angle, 0.0]]))[0] @ rotmats[:, 0]
        return BodyParams(self.body.betas, rotmats, self.body.camera)

    def around(self):
        return look_around(self.model, self.raster, torch.as_tensor(self.matte).float(), SCALE)

    def opened(self, half=7):
        """Blue between the sides."""
        middle = self.legs.x.mean(0)
        for y in range(self.legs.hips, self.hem):
            inside = np.abs(np.arange(SIZE[1]) - middle[y]) < half
            self.image[y, inside & self.matte[y]] = BLUE
        return self
