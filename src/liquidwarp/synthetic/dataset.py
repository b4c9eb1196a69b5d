"""People rendered on the fly, with everything known about them: the training data and the measure of the fit.

Each person is seen in several views: the same body, clothes, light and place, another pose and orientation in each.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyModel, BodyParams, PosedBody
from liquidwarp.config import BodyNoise, SyntheticConfig
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.rotations import rotvec_to_matrix
from liquidwarp.geometry.warp import Flow, warp
from liquidwarp.synthetic.degrade import degrade, develop
from liquidwarp.synthetic.figure import Outfit, dress
from liquidwarp.synthetic.ground import ground_shade
from liquidwarp.synthetic.outfits import draw_betas, draw_light, draw_outfit
from liquidwarp.synthetic.poses import (
    PoseLibrary,
    draw_places,
    draw_poses,
    finger_joints,
    neighbours,
    one_sided,
    turned,
    yaw_angles,
)
from liquidwarp.synthetic.scene import Camera, Light, SceneConfig, render
from liquidwarp.synthetic.wardrobe import Wardrobe

__all__ = ["SHOD_FEET", "Bodies", "SyntheticBatch", "SyntheticPeople", "perturb"]

SHOD_FEET = {"shoe-volume": 1.0, "shoe-sole": 0.5}
"""Shod feet of the body that fit the wardrobe's shoes best (mean silhouette IoU of the feet 0.90 against 0.84)."""


@dataclass(frozen=True)
class Bodies:
    """The bodies of B people in V views each."""

    betas: Float[Tensor, "B K"]
    rel_rotmats: Float[Tensor, "B V J 3 3"]
    scale: Float[Tensor, "B V"]
    """[px/m]."""
    translation: Float[Tensor, "B V 2"]
    """[px]."""

    def __getitem__(self, person: int) -> BodyParams:
        """The body of one person, its views as frames."""
        camera = WeakPerspective(self.scale[person], self.translation[person])
        return BodyParams(self.betas[person], self.rel_rotmats[person], camera)

    @staticmethod
    def stack(people: Sequence[BodyParams], device: torch.device | str = "cpu") -> "Bodies":
        """People with as many frames each, which become their views."""
        cameras = [person.camera for person in people]
        return Bodies(
            torch.stack([person.betas for person in people]).to(device),
            torch.stack([person.rel_rotmats for person in people]).to(device),
            torch.stack([camera.scale for camera in cameras]).to(device),
            torch.stack([camera.translation for camera in cameras]).to(device),
        )

    def to(self, device: torch.device | str) -> "Bodies":
        """The same on another device."""
        return Bodies(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class SyntheticBatch:
    """B people in V views each."""

    images: Float[Tensor, "B V 3 S S"]
    """Clean pictures, RGB in [0, 1]: what is to be made."""
    photos: Float[Tensor, "B V 3 S S"]
    """The same as a camera and a codec leave them: what is given."""
    mattes: Float[Tensor, "B V 1 S S"]
    """True opacity of the person."""
    backgrounds: Float[Tensor, "B V 3 S S"]
    """The place without the person."""
    body: Bodies
    """The truth. Feet are shod where shoes are worn, if the body knows shoes."""
    fitted: Bodies
    """The truth and an error such as a fit makes: what a network is conditioned on."""
    distance: Float[Tensor, "B"]
    """From the camera to the root joint [m]."""


class SyntheticPeople:
    """An endless supply of people.

    Example::

        people = SyntheticPeople.load(".lab/wardrobe", "cuda", split="train", seed=0)
        batch = people.sample(8, views=4, size=256)
    """

    def __init__(
        self,
        model: BodyModel,
        wardrobe: Wardrobe,
        poses: PoseLibrary,
        config: SyntheticConfig | None = None,
        seed: int = 0,
    ) -> None:
        """Put together people from parts that all lie on one device.

        Args:
            model: The body.
            wardrobe: One split of it.
            poses: One split of them.
            config: Shares and errors.
            seed: The same seed gives the same people, on the same device.
        """
        self.model = model
        self.wardrobe = wardrobe
        self.poses = poses
        self.config = config or SyntheticConfig()
        self.seed = seed
        self.device = model.lbs_weights.device
        self._next = 0

    @classmethod
    def load(
        cls,
        folder: str | Path,
        device: torch.device | str = "cpu",
        split: str = "train",
        seed: int = 0,
        config: SyntheticConfig | None = None,
    ) -> "SyntheticPeople":
        """Read what ``scripts/build_wardrobe.py`` wrote.

        Args:
            folder: Where it is.
            device: Where to render.
            split: "train", "held_out" (other clothes, skins, places and motions) or "all".
            seed: The same seed gives the same people, on the same device.
            config: Shares and errors.
        """
        model, wardrobe, poses = _read(str(folder))
        return cls(model.to(device), wardrobe.split(split).to(device), poses.split(split).to(device), config, seed)

    @torch.no_grad()
    def sample(self, batch: int, views: int, size: int, index: int | None = None) -> SyntheticBatch:
        """Render people.

        Args:
            batch: People, B.
            views: Views of each, V: the first from the front, the second mostly from the back.
            size: Side of the square pictures [px].
            index: Which batch of the endless supply; None is the one after the last.
        """
        if index is None:
            index = self._next
        self._next = index + 1
        chance = random.Random(self.seed * 1_000_003 + index)  # noqa: S311
        generator = torch.Generator(self.device).manual_seed(chance.getrandbits(60))
        betas, outfits = self._identities(batch, index, generator, chance)
        figures = dress(self.model, betas, outfits)
        poses = self._poses(batch, views, generator, index)
        rest = self.model.rest(betas.repeat_interleave(views, 0))
        posed = self.model.pose(rest, poses)
        near, far = self.config.distance
        distance = near + (far - near) * _uniform(generator, batch) if near < far else betas.new_full((batch,), near)
        weak = self._frame(posed, batch, views, size, generator)
        backgrounds = self._backgrounds(batch, views, size, generator)
        light = self._light(backgrounds, generator)
        lamp = light.direction[:, 0].repeat_interleave(views, 0)
        camera = Camera(weak, distance.repeat_interleave(views))
        points = camera.project(posed.vertices, size, size)[..., :2]
        shade = ground_shade(self.model, points, weak.scale, lamp, size).view(batch, views, 1, size, size)
        backgrounds = backgrounds * (1 - self._shading(batch, index) * shade)
        picture = render(
            figures,
            posed.transforms.view(batch, views, -1, 3, 4),
            camera,
            light,
            self.wardrobe.textures,
            (size, size),
            SceneConfig(self.config.supersample, shadow_size=160 if self.config.shadows else 0),
        )
        images = picture.colour + (1 - picture.matte) * backgrounds
        images, backgrounds = develop(images, backgrounds, self.config.tones, generator)
        photos = degrade(images, self.config.degrade, generator)
        shod = torch.tensor([any(g.kind == "shoes" for g in outfit.garments) for outfit in outfits])
        body = Bodies(
            self._shod(betas, shod.to(self.device)),
            poses.view(batch, views, -1, 3, 3),
            weak.scale.view(batch, views),
            weak.translation.view(batch, views, 2),
        )
        fitted = perturb(self.model, body, self.config.noise, generator, self.config.shared_noise)
        return SyntheticBatch(images, photos, picture.matte, backgrounds, body, fitted, distance)

    def _identities(
        self, batch: int, index: int, generator: torch.Generator, chance: random.Random
    ) -> tuple[Float[Tensor, "B K"], list[Outfit]]:
        """Somebody new each time, or the next of a number of people who are the same whatever the seed."""
        count = self.config.num_identities
        if not count:
            female = torch.tensor([float(chance.random() < 0.5) for _ in range(batch)], device=self.device)
            betas = draw_betas(self.model, female, generator)
            return betas, [draw_outfit(self.wardrobe, self.config, bool(f), chance) for f in female.tolist()]
        shapes, outfits = [], []
        for row in range(batch):
            identity = (index * batch + row) % count
            own = random.Random(f"identity {identity}")  # noqa: S311
            one = torch.tensor([float(own.random() < 0.5)], device=self.device)
            shape = torch.Generator(self.device).manual_seed(own.getrandbits(60))
            shapes.append(draw_betas(self.model, one, shape))
            outfits.append(draw_outfit(self.wardrobe, self.config, bool(one), own))
        return torch.cat(shapes), outfits

    def _poses(self, batch: int, views: int, generator: torch.Generator, index: int) -> Float[Tensor, "N J 3 3"]:
        """Any poses from all sides, or for some people neighbouring ones from one side."""
        pick, standing = draw_places(self.poses, batch * views, self.config.standing, generator)
        pick, standing = pick.view(batch, views), standing.view(batch, views)
        # A source of chance of its own: the others are the same without similar views.
        other = torch.Generator(self.device).manual_seed((self.seed * 1_000_003 + index) * 2 + 1)
        similar = _uniform(other, batch, 1) < self.config.similar_views
        pick = torch.where(similar, neighbours(self.poses, pick[:, 0], views, other), pick)
        standing = torch.where(similar, standing[:, :1], standing)
        poses = draw_poses(self.poses, self.model, pick.flatten(), standing.flatten(), generator)
        yaw = yaw_angles(batch, views, generator)
        return turned(poses, torch.where(similar, one_sided(yaw, other), yaw).flatten())

    def _light(self, backgrounds: Float[Tensor, "B V 3 S S"], generator: torch.Generator) -> Light:
        """Light that suits each person's place."""
        return draw_light(backgrounds[:, 0], generator)

    def _shading(self, batch: int, index: int) -> Float[Tensor, "B 1 1 1 1"]:
        """How much light each person takes from the ground: none, or up to two thirds."""
        own = torch.Generator(self.device).manual_seed((self.seed * 1_000_003 + index) * 2 + 9)
        chosen, strength = _uniform(own, 2, batch, 1, 1, 1, 1)
        return (chosen < self.config.ground) * (0.15 + 0.5 * strength)

    def _shod(self, betas: Float[Tensor, "B K"], shod: Tensor) -> Float[Tensor, "B K"]:
        """The betas with shoes on the body itself, where the figure wears some."""
        betas = betas.clone()
        for index, name in enumerate(self.model.beta_names):
            if name in SHOD_FEET:
                betas[:, index] = SHOD_FEET[name] * shod
        return betas

    def _frame(
        self, posed: PosedBody, batch: int, views: int, size: int, generator: torch.Generator
    ) -> WeakPerspective:
        """Cameras that show the full body, or for some people the upper half of it."""
        low, high = posed.vertices[..., :2].amin(1), posed.vertices[..., :2].amax(1)
        extent = (high - low).amax(1)
        fill = (0.76 + 0.18 * _uniform(generator, batch)).repeat_interleave(views)
        fill = fill * (1 + 0.04 * _normal(generator, batch * views))
        zoom = (_uniform(generator, batch) < self.config.upper_body).repeat_interleave(views)
        closer = 1.5 + 0.8 * _uniform(generator, batch).repeat_interleave(views)
        scale = fill * torch.where(zoom, closer, torch.ones_like(fill)) * size / extent
        middle = (low + high) / 2
        middle[:, 1] = torch.where(zoom, low[:, 1] + 0.43 * size / scale, middle[:, 1])
        shift = size * 0.03 * _normal(generator, batch * views, 2)
        return WeakPerspective(scale, size / 2 - scale[:, None] * middle + shift)

    def _backgrounds(self, batch: int, views: int, size: int, generator: torch.Generator) -> Float[Tensor, "B V 3 S S"]:
        """A crop of a photo per person, sometimes mirrored or nearly plain; under a moving camera it shifts."""
        photos = self.wardrobe.backgrounds
        pick = torch.randint(len(photos), (batch,), generator=generator, device=self.device)
        mirror = torch.where(_uniform(generator, batch) < 0.5, -1.0, 1.0)
        zoom = 0.5 + 0.45 * _uniform(generator, batch)
        offset = (1 - zoom)[:, None] * (2 * _uniform(generator, batch, 2) - 1)
        moving = (_uniform(generator, batch) < self.config.moving_background)[:, None, None]
        offset = offset[:, None] + 0.06 * moving * _normal(generator, batch, views, 2)
        identity = Flow.identity(size, size, batch, self.device)
        spread = torch.stack([zoom * mirror, zoom], 1)
        grid = identity.grid[:, None] * spread[:, None, None, None] + offset[:, :, None, None]
        grid = 1 - (grid + 1).remainder(4).sub(2).abs()  # mirrored at the photo's edges
        flow = Flow(grid.flatten(0, 1), identity.valid.repeat_interleave(views, 0))
        crops = warp((photos[pick].float() / 255).repeat_interleave(views, 0), flow).view(batch, views, 3, size, size)
        plain = 0.85 * (_uniform(generator, batch) < 0.12)[:, None, None, None, None]
        wall = _uniform(generator, batch, 1, 1, 1, 1) + 0.15 * _normal(generator, batch, 1, 3, 1, 1)
        bright = 0.75 + 0.4 * _uniform(generator, batch, 1, 1, 1, 1)
        return (torch.lerp(crops, wall.expand_as(crops), plain) * bright).clamp(0, 1)


@lru_cache(maxsize=1)
def _read(folder: str) -> tuple[AnnyBody, Wardrobe, PoseLibrary]:
    """Kept, as training and its evaluation take different splits of the same files."""
    model = AnnyBody.load()
    return model, Wardrobe.load(folder, model), PoseLibrary.load(folder, model)


def perturb(
    model: BodyModel, body: Bodies, noise: BodyNoise, generator: torch.Generator, shared: float = 0.0
) -> Bodies:
    """Add errors such as a fit makes: the shape's is the same in all views, those of pose and camera partly.

    Only where views err differently does the flow between them miss.

    Args:
        model: The body.
        body: The truth.
        noise: Standard deviations.
        generator: Source of chance, on the body's device.
        shared: Share of the variance of pose and camera errors that is the same in all views [0, 1].
    """
    batch, views, joints = body.rel_rotmats.shape[:3]
    deviation = torch.zeros(joints, device=generator.device)
    deviation[list(model.roles.movable())] = noise.joint
    deviation[list(model.roles.hand)] = noise.hand
    deviation[finger_joints(model)] = noise.finger
    deviation[model.roles.root] = noise.root

    def draw(*shape: int) -> Tensor:
        """Standard normal, correlated over the views."""
        alike, own = _normal(generator, batch, 1, *shape), _normal(generator, batch, views, *shape)
        return math.sqrt(shared) * alike + math.sqrt(1 - shared) * own

    error = deviation[:, None] * draw(joints, 3)
    moved = noise.translation * body.scale[..., None] * draw(2)
    rotations = body.rel_rotmats @ rotvec_to_matrix(error)
    return Bodies(
        body.betas + noise.betas * _normal(generator, *body.betas.shape),
        _twisted(model, body.betas, rotations, lambda: noise.twist * draw(1)),
        body.scale * (1 + noise.scale * draw(1)[..., 0]),
        body.translation + moved,
    )


def _twisted(
    model: BodyModel,
    betas: Float[Tensor, "B K"],
    rotations: Float[Tensor, "B V J 3 3"],
    draw: Callable[[], Float[Tensor, "B V 1"]],
) -> Float[Tensor, "B V J 3 3"]:
    """Turn the halves of the limbs, and the trunk, about their own axes; what hangs on them keeps its direction.

    A fit knows these turns least: they move the surface under the outline, not the outline.
    """
    roles, rotations = model.roles, rotations.clone()
    joints = model.rest(betas).joints[:, None]
    halves = [
        (start[side], (end[side],), 1.0)
        for start, end in (
            (roles.upper_arm, roles.lower_arm),
            (roles.lower_arm, roles.hand),
            (roles.upper_leg, roles.lower_leg),
            (roles.lower_leg, roles.foot),
        )
        for side in (0, 1)
    ]
    trunk = (roles.root, (roles.neck[0], *roles.upper_leg, *roles.upper_arm), 1 / 3)
    for start, ends, share in (trunk, *halves):
        axis = F.normalize(joints[:, :, ends[0]] - joints[:, :, start], dim=-1)
        turn = rotvec_to_matrix(share * draw() * axis)
        for end in ends:
            between = torch.eye(3, device=rotations.device)
            parent = int(model.parents[end])
            while parent != start:
                between = rotations[:, :, parent] @ between
                parent = int(model.parents[parent])
            rotations[:, :, end] = between.mT @ turn.mT @ between @ rotations[:, :, end]
        rotations[:, :, start] = rotations[:, :, start] @ turn
    return rotations


def _uniform(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=generator, device=generator.device)


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, device=generator.device)
