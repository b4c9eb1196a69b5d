"""What no photo shows: rendered people from one photo of their front, drawn from the front, the side and the back.

The people are prepared as the product prepares its own, with the careful fill of the texture, but for their bodies,
which are the true ones with errors of a fit instead of recovered. The background is the true one.
"""

import json
import math
import random
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from tqdm import tqdm

from liquidwarp.body.model import BodyModel
from liquidwarp.config import SynthesisConfig, SyntheticConfig, TrainConfig
from liquidwarp.errors import SettingError
from liquidwarp.evaluate.contenders import Contender, load_contenders
from liquidwarp.evaluate.known_photos import SettledPeople, known_photos
from liquidwarp.evaluate.sheets import contact_sheet, to_pixels
from liquidwarp.evaluate.table import Row, format_table, sorted_rows
from liquidwarp.evaluation_config import UnseenEvaluation
from liquidwarp.files import atomic_path, prepare_target
from liquidwarp.learn.scores import Pictures, Scorer, Scores, mean_scores
from liquidwarp.media import save_image
from liquidwarp.synthesizer import prepare_bank
from liquidwarp.synthetic.dataset import Bodies, SyntheticBatch, SyntheticPeople
from liquidwarp.synthetic.figure import Outfit
from liquidwarp.synthetic.outfits import draw_betas, draw_outfit
from liquidwarp.synthetic.poses import draw_places, draw_poses, turned

__all__ = ["CLOTHES", "SIDES", "PeopleFromAllSides", "UnseenReport", "clothes_of", "evaluate_unseen"]

SIDES = {"front": 0, "three-quarter": 45, "side": 90, "back": 180}
"""How far each person is turned from the camera [degrees], to the left or the right."""
CLOTHES = ("plain", "print", "patterned")
"""What is drawn for equally many people: cloth of one colour (shirt and trousers may differ), with a picture on the
chest, or with stripes, checks, dots and the like."""
_CLOTH = ("suit", "top", "trousers", "skirt", "dress", "coat")
_EVEN = ("plain", "halves")
"""Patterns that are none: "halves" are a suit's shirt and trousers."""
_TRIES = 1000
"""Outfits that are drawn until one fits; a wardrobe may have none."""
_EVERYBODY = "all"
_SHEET_PEOPLE = 6
_SHEET_SIZE = 256
"""Side of the pictures in a sheet, at most [px]."""
_SEED = 30_011
"""Added, so that nobody is drawn who is in another table."""


@dataclass(frozen=True)
class UnseenReport:
    """Mean figures; ``str()`` makes a table."""

    settings: UnseenEvaluation
    rows: tuple[Row, ...]
    """Grouped by side and clothes."""

    def __str__(self) -> str:
        return format_table("seen from, clothes", self.rows)

    def of(self, side: str, clothes: str = _EVERYBODY, model: str = "texture") -> Scores:
        """The figures of one model."""
        return next(row.scores for row in self.rows if (row.group, row.model) == (f"{side}, {clothes}", model))


def clothes_of(outfit: Outfit) -> str | None:
    """Which of :data:`CLOTHES` somebody wears; None: a mixture, or a print where no photo of the front shows it."""
    paints = zip(outfit.garments, outfit.paints[1:], strict=True)
    patterned = any(garment.kind in _CLOTH and paint.pattern not in _EVEN for garment, paint in paints)
    if outfit.decal is None:
        return "patterned" if patterned else "plain"
    return "print" if outfit.decal.front and not patterned else None


class PeopleFromAllSides(SyntheticPeople):
    """A photo of each person's front, standing, then one other pose from each of :data:`SIDES`.

    Their clothes are those of :data:`CLOTHES` in turn.
    """

    def _identities(
        self, batch: int, index: int, generator: torch.Generator, chance: random.Random
    ) -> tuple[Float[Tensor, "B K"], list[Outfit]]:
        wanted = [CLOTHES[(index * batch + row) % len(CLOTHES)] for row in range(batch)]
        women = [chance.random() < 0.5 for _ in wanted]
        betas = draw_betas(self.model, torch.tensor(women, device=self.device).float(), generator)
        return betas, [self._outfit(clothes, woman, chance) for clothes, woman in zip(wanted, women, strict=True)]

    def _outfit(self, clothes: str, woman: bool, chance: random.Random) -> Outfit:
        for _ in range(_TRIES):
            outfit = draw_outfit(self.wardrobe, self.config, woman, chance)
            if clothes_of(outfit) == clothes:
                return outfit
        raise SettingError(f"wardrobe: expected {clothes} clothes, found none; build it with all clothes and photos.")

    def _poses(self, batch: int, views: int, generator: torch.Generator, index: int) -> Float[Tensor, "N J 3 3"]:
        pick, _ = draw_places(self.poses, 2 * batch, 0.0, generator)
        standing = torch.arange(2 * batch, device=self.device) % 2 == 0
        poses = draw_poses(self.poses, self.model, pick, standing, generator).view(batch, 2, -1, 3, 3)
        shown = poses[:, [0, *[1] * (views - 1)]]
        sign = torch.where(torch.rand(batch, 1, generator=generator, device=self.device) < 0.5, -1.0, 1.0)
        yaw = torch.tensor([0, *SIDES.values()], device=self.device)[:views] * (math.pi / 180)
        return turned(shown.flatten(0, 1), (sign * yaw).flatten())


def evaluate_unseen(
    folder: str | Path,
    settings: UnseenEvaluation | None = None,
    out: str | Path | None = None,
    device: torch.device | str = "cpu",
) -> UnseenReport:
    """Measure on held-out people.

    Args:
        folder: What ``scripts/build_wardrobe.py`` wrote.
        settings: Models, people, size.
        out: A folder for ``unseen.json`` and a contact sheet per model.
        device: Where to synthesize.

    Raises:
        SettingError: a model is not known, or the wardrobe lacks the clothes.
        MediaError: the folder lacks a file.
        WeightsNotFoundError: a model's weights are missing.
    """
    settings = settings or UnseenEvaluation()
    contenders = load_contenders(settings.models, device)
    synthetic = replace(SyntheticConfig(), degrade=0.0, upper_body=0.0, similar_views=0.0, moving_background=0.0)
    supply = PeopleFromAllSides.load(Path(folder), "cpu", "held_out", settings.seed + _SEED, synthetic)
    settled, scorer = SettledPeople(TrainConfig(size=settings.size, synthetic=synthetic), supply), Scorer.load("cpu")
    found: dict[tuple[str, str, str], list[Scores]] = {}
    sheets: dict[str, list[list[UInt8[np.ndarray, "_ _ 3"]]]] = {contender.name: [] for contender in contenders}
    for number in tqdm(range(settings.people * len(CLOTHES)), desc="Drawing", unit="person", leave=False):
        rendered = supply.sample(1, 1 + len(SIDES), settings.size, number)
        bodies, truth = settled.bodies(rendered), Pictures(rendered.images[0, 1:], rendered.mattes[0, 1:])
        for contender in contenders:
            made = _made(contender, settled.model, rendered, bodies, torch.device(device))
            for side, scores in zip(SIDES, scorer(made, truth), strict=True):
                for clothes in (_EVERYBODY, CLOTHES[number % len(CLOTHES)]):
                    found.setdefault((side, clothes, contender.name), []).append(scores)
            if len(sheets[contender.name]) < _SHEET_PEOPLE:
                pairs = [picture for pair in zip(made.images, truth.images, strict=True) for picture in pair]
                size = min(settings.size, _SHEET_SIZE)
                sheets[contender.name].append([to_pixels(p, size) for p in (rendered.images[0, 0], *pairs)])
    groups = [(side, clothes) for side in SIDES for clothes in (_EVERYBODY, *CLOTHES)]
    names = [contender.name for contender in contenders]
    rows = [Row(f"{s}, {c}", name, mean_scores(found[s, c, name])) for s, c in groups for name in names]
    report = UnseenReport(settings, tuple(sorted_rows(rows)))
    if out is not None:
        _write(Path(out), report, sheets)
    return report


@torch.no_grad()
def _made(
    contender: Contender, model: BodyModel, rendered: SyntheticBatch, bodies: Bodies, device: torch.device
) -> Pictures:
    """The person from all sides, as the product makes it from the first picture."""
    images, mattes, known = rendered.images[0], rendered.mattes[0], bodies[0]
    photos = known_photos("person", images[:1], mattes[:1], known[slice(0, 1)], model)
    config = SynthesisConfig(images.shape[-1])
    bank = prepare_bank(photos, model, config, contender.generator, photos.pictures[0], device)
    size, targets, drawn = (images.shape[-2], images.shape[-1]), known.to(device), []
    for view in range(1, len(targets)):
        colours, opacity = bank.renderer.render(targets[slice(view, view + 1)], size)
        background = rendered.backgrounds[0, view : view + 1].to(device)
        drawn.append((colours * opacity + background * (1 - opacity), opacity))
    return Pictures(*(torch.cat(parts).cpu() for parts in zip(*drawn, strict=True)))


def _write(out: Path, report: UnseenReport, sheets: dict[str, list[list[UInt8[np.ndarray, "_ _ 3"]]]]) -> None:
    target = out / "unseen.json"
    prepare_target(target)
    titles = ["photo", *(title for side in SIDES for title in (side, "truth"))]
    for name, people in sheets.items():
        save_image(out / f"unseen_{name}.png", contact_sheet(titles, people))
    with atomic_path(target) as partial:
        facts = {"settings": asdict(report.settings), "rows": [_fact(row) for row in report.rows]}
        partial.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _fact(row: Row) -> dict[str, object]:
    side, clothes = row.group.split(", ")
    return {"side": side, "clothes": clothes, "model": row.model} | asdict(row.scores)
