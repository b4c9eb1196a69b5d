"""Appearance transfer on rendered people: how near is it to the wearer really dressed in the giver's clothes?

For every pair of people a third one is rendered: the first one's body, skin and hair in what the second one wears, in
the same light, place and pose. That picture is the truth.
"""

import json
import logging
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams, PosedBody
from liquidwarp.config import SynthesisConfig, SyntheticConfig, TrainConfig
from liquidwarp.errors import SettingError
from liquidwarp.evaluate.contenders import Contender, load_contenders
from liquidwarp.evaluate.known_photos import SettledPeople, known_photos
from liquidwarp.evaluate.sheets import contact_sheet, to_pixels
from liquidwarp.evaluate.table import Row, format_table, sorted_rows
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.learn.scores import Pictures, Scorer, Scores, mean_scores
from liquidwarp.media import save_image
from liquidwarp.synthesizer import SourceBank, prepare_bank
from liquidwarp.synthetic.dataset import Bodies, SyntheticBatch, SyntheticPeople
from liquidwarp.synthetic.figure import Outfit
from liquidwarp.synthetic.outfits import draw_betas, draw_outfit
from liquidwarp.synthetic.scene import Light
from liquidwarp.tasks.transfer import dress

__all__ = ["LENT", "PeopleInOthersClothes", "TransferReport", "evaluate_transfer", "lend"]

logger = logging.getLogger(__name__)

_CLOTHES = ("suit", "top", "trousers", "skirt", "dress", "coat", "shoes")
LENT = {"upper": ("top",), "lower": ("trousers", "skirt"), "body": _CLOTHES}
"""Kinds of garments that each group of parts stands for."""
_TRIES = 1000
"""Outfits that are drawn until one fits; a wardrobe may have none."""
_TITLES = ("wearer", "giver", "truth", "truth, moved")


@dataclass(frozen=True)
class TransferReport:
    """Mean figures; ``str()`` makes a table."""

    people: int
    rows: tuple[Row, ...]
    """Grouped by what is lent."""

    def __str__(self) -> str:
        return format_table("lent", self.rows)


class PeopleInOthersClothes(SyntheticPeople):
    """Threes of people: a wearer, a giver, and the wearer in what the giver lends, in one place and light.

    The third one has the wearer's poses and cameras.
    """

    lent: str = "upper"
    """A key of :data:`LENT`."""

    def _identities(
        self, batch: int, index: int, generator: torch.Generator, chance: random.Random
    ) -> tuple[Float[Tensor, "B K"], list[Outfit]]:
        women = [chance.random() < 0.5 for _ in range(2)]
        betas = draw_betas(self.model, torch.tensor(women, device=self.device).float(), generator)
        wearer, giver = (self._outfit(woman, chance) for woman in women)
        return betas[[0, 1, 0]], [wearer, giver, lend(wearer, giver, LENT[self.lent])]

    def _outfit(self, woman: bool, chance: random.Random) -> Outfit:
        """Somebody who wears what is lent, and whose clothes can be told apart."""
        whole = ("suit", "dress", "coat")
        for attempt in range(_TRIES):
            outfit = draw_outfit(self.wardrobe, self.config, woman or attempt > _TRIES // 2, chance)
            kinds = {garment.kind for garment in outfit.garments}
            apart = not kinds & {*whole} and kinds & {"top"} and kinds & {"trousers", "skirt"}
            if apart or self.lent == "body":
                return outfit
        raise SettingError(
            "wardrobe: expected a top and trousers or a skirt, found none that go together; build it with all clothes."
        )

    def _poses(self, batch: int, views: int, generator: torch.Generator, index: int) -> Float[Tensor, "N J 3 3"]:
        return _as_wearer(super()._poses(batch, views, generator, index), views)

    def _frame(
        self, posed: PosedBody, batch: int, views: int, size: int, generator: torch.Generator
    ) -> WeakPerspective:
        camera = super()._frame(posed, batch, views, size, generator)
        return WeakPerspective(_as_wearer(camera.scale, views), _as_wearer(camera.translation, views))

    def _backgrounds(self, batch: int, views: int, size: int, generator: torch.Generator) -> Float[Tensor, "B V 3 S S"]:
        return super()._backgrounds(batch, views, size, generator)[:1].repeat(batch, 1, 1, 1, 1)

    def _light(self, backgrounds: Float[Tensor, "B V 3 S S"], generator: torch.Generator) -> Light:
        light = super()._light(backgrounds, generator)
        first = {name: getattr(light, name)[[0] * len(backgrounds)] for name in light.__dataclass_fields__}
        return Light(**first)

    def _shading(self, batch: int, index: int) -> Float[Tensor, "B 1 1 1 1"]:
        return super()._shading(batch, index)[:1].repeat(batch, 1, 1, 1, 1)


def lend(wearer: Outfit, giver: Outfit, kinds: Sequence[str]) -> Outfit:
    """The wearer's outfit with the giver's garments of some kinds."""
    of_wearer = zip(wearer.garments, wearer.paints[1:], strict=True)
    of_giver = zip(giver.garments, giver.paints[1:], strict=True)
    worn = [pair for pair in of_wearer if pair[0].kind not in kinds]
    worn += [pair for pair in of_giver if pair[0].kind in kinds]
    mixed = Outfit.of([garment for garment, _ in worn], wearer.skin, wearer.eyes)
    paint_of = {id(garment): paint for garment, paint in worn}
    paints = (wearer.paints[0], *(paint_of[id(garment)] for garment in mixed.garments))
    upper = giver if {"top", "suit", "dress"} & set(kinds) else wearer
    all_lent = set(_CLOTHES) <= set(kinds)
    cloth = giver if all_lent else wearer
    return replace(
        mixed,
        paints=paints,
        decal=upper.decal,
        looseness=cloth.looseness,
        fold_seed=cloth.fold_seed,
        underwear=cloth.underwear,
    )


def _as_wearer(values: Tensor, views: int) -> Tensor:
    """The third of three people as the first."""
    of_person = values.clone().view(-1, views, *values.shape[1:])
    of_person[2] = of_person[0]
    return of_person.view_as(values)


def evaluate_transfer(
    folder: str | Path,
    models: Sequence[str] = ("texture", "lite"),
    people: int = 8,
    size: int = 256,
    out: str | Path | None = None,
    device: torch.device | str = "cpu",
    seed: int = 0,
) -> TransferReport:
    """Measure on pairs of rendered people, from one photo of each: in the wearer's own pose and in another one.

    Args:
        folder: What ``scripts/build_wardrobe.py`` wrote; all garments, as there are too few that can be held out.
        models: "texture", "base", "lite", or folders of weights.
        people: Pairs for each of :data:`LENT`.
        size: Side of the pictures [px]: 256, 512 or 1024.
        out: A folder for ``transfer.json`` and a contact sheet for each of :data:`LENT`.
        device: Where to synthesize.
        seed: Of the people.

    Raises:
        SettingError: a model is not known, or no garments go together.
        MediaError: the folder lacks a file.
        WeightsNotFoundError: a model's weights are missing.
    """
    contenders = load_contenders(models, device)
    synthetic = replace(
        SyntheticConfig(),
        degrade=0.0,
        tones=0.0,
        upper_body=0.0,
        standing=1.0,
        similar_views=0.0,
        moving_background=0.0,
    )
    supply = PeopleInOthersClothes.load(Path(folder), "cpu", "all", seed + 20_011, synthetic)
    settled = SettledPeople(TrainConfig(size=size, synthetic=synthetic), supply)
    scorer, rows = Scorer.load("cpu"), []
    for lent in LENT:
        supply.lent = lent  # type: ignore[attr-defined]
        found: dict[str, list[Scores]] = {contender.name: [] for contender in contenders}
        sheet: list[list[UInt8[np.ndarray, "_ _ 3"]]] = []
        for pair in range(people):
            logger.info("%s: pair %d of %d", lent, pair + 1, people)
            rendered = supply.sample(3, 2, size, pair)
            bodies = settled.bodies(rendered)
            truth = Pictures(rendered.images[2], rendered.mattes[2])
            pictures = [rendered.images[0, 0], rendered.images[1, 0], *rendered.images[2]]
            for contender in contenders:
                made = _made(contender, settled.model, rendered, bodies, lent, torch.device(device))
                found[contender.name] += scorer(made, truth)
                pictures += list(made.images)
            sheet.append([to_pixels(picture) for picture in pictures])
        rows += [Row(lent, name, mean_scores(scores)) for name, scores in found.items()]
        if out is not None:
            titles = [*_TITLES, *(title for c in contenders for title in (c.name, f"{c.name}, moved"))]
            save_image(Path(out) / f"transfer_{lent}.png", contact_sheet(titles, sheet))
    report = TransferReport(people, tuple(sorted_rows(rows)))
    if out is not None:
        facts = [{"lent": row.group, "model": row.model} | asdict(row.scores) for row in report.rows]
        settings = {"people": people, "size": size, "seed": seed}
        text = json.dumps({"settings": settings, "rows": facts}, indent=2)
        (Path(out) / "transfer.json").write_text(text + "\n", encoding="utf-8")
    return report


@torch.no_grad()
def _made(
    contender: Contender, model: BodyModel, rendered: SyntheticBatch, bodies: Bodies, lent: str, device: torch.device
) -> Pictures:
    """The wearer in the giver's clothes, as the product makes it from the first picture of each."""
    config = SynthesisConfig(rendered.images.shape[-1])
    wearer, giver = (_person(contender, model, rendered, bodies[n], n, config, device) for n in range(2))
    dressed = dress(wearer, {lent: giver}, config)
    size = (rendered.images.shape[-2], rendered.images.shape[-1])
    targets, pictures = replace(bodies[0].to(device), betas=dressed.body.betas.to(device)), []
    for view in range(len(targets)):
        colours, opacity = dressed.renderer.render(targets[slice(view, view + 1)], size)
        background = rendered.backgrounds[0, view : view + 1].to(device)
        pictures.append((colours * opacity + background * (1 - opacity), opacity))
    images, mattes = (torch.cat(parts).cpu() for parts in zip(*pictures, strict=True))
    return Pictures(images, mattes)


def _person(
    contender: Contender,
    model: BodyModel,
    rendered: SyntheticBatch,
    bodies: BodyParams,
    number: int,
    config: SynthesisConfig,
    device: torch.device,
) -> SourceBank:
    """Somebody prepared from one picture whose body is known as well as a fit knows it."""
    images, mattes = rendered.images[number, :1], rendered.mattes[number, :1]
    photos = known_photos(f"person {number + 1}", images, mattes, bodies[slice(0, 1)], model)
    return prepare_bank(photos, model, config, contender.generator, photos.pictures[0], device)
