"""Everything that a person gives to learn from, prepared once: source sets, and the exam that is never learned."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from liquidwarp.body.model import BodyModel
from liquidwarp.config import SynthesisConfig
from liquidwarp.geometry.crop import Crop
from liquidwarp.learn.datasets import Faces
from liquidwarp.personal.background_work import Later, begin, begin_in_processes, can_fork, spare_threads
from liquidwarp.personal.checkup import check_views
from liquidwarp.personal.lessons import (
    Lesson,
    PlannedSet,
    SourceSet,
    chance_of_step,
    choose_set,
    make_lesson,
    prepare_set,
    turned_set,
)
from liquidwarp.personal.views import View, held_out_patches, views_of
from liquidwarp.personal_config import PersonalizeConfig
from liquidwarp.recover.photos import SourcePhotos

__all__ = ["FIRST_LESSONS", "PLANS", "Material", "Plan", "prepare_material"]

_PATCH_SHARE = 0.15
"""Share of the patches on the person that are held out where there are no further frames."""
_EXAM_FRAMES = 4
"""Further frames of a video that are never learned from."""
_MOST_EXAMS = 4
"""Photos that are drawn in an exam of patches, at most."""
_LONE = "One photo teaches little: two to four from different sides, or a short video, bring more."
FIRST_LESSONS = 32
"""With which learning begins before the sets that are made of others are there."""
_LOOK_AHEAD = 60
"""Lessons whose source sets are prepared in the order of their use."""


@dataclass(frozen=True)
class Plan:
    """What a quality setting means."""

    steps: int
    """On a CPU, each with a lesson of its own."""
    steps_on_gpu: int
    """On CUDA, of fewer lessons that come again: see :mod:`~liquidwarp.personal.curriculum`."""
    window: float
    """Side of the pictures drawn in a step, as a share of the working size."""
    disturbed: int
    """Source sets with wrong bodies and hidden parts."""
    turned: int
    """Source sets of the person warped to another side."""
    check_every: int
    """Steps between exams on a CPU; on a GPU there are as many exams."""

    def steps_on(self, device: torch.device) -> int:
        """Steps that are learned on a device."""
        return self.steps_on_gpu if device.type == "cuda" else self.steps

    def check_every_on(self, device: torch.device) -> int:
        """Steps between exams there."""
        return self.check_every * self.steps_on(device) // self.steps


PLANS = {
    "draft": Plan(150, 384, 0.625, 2, 1, 15),
    "good": Plan(200, 512, 0.75, 2, 1, 25),
    "best": Plan(900, 2304, 0.875, 8, 4, 40),
}


@dataclass(frozen=True)
class Material:
    """One person."""

    name: str
    views: tuple[View, ...]
    """Of the photos, then further frames of a video; held-out patches are not judged in them."""
    sets: tuple[SourceSet | PlannedSet, ...]
    planned_exam: tuple[Later[Lesson], ...]
    """Made when it is first sat: learning may begin before."""
    photos: int
    """How many of the views are sources at run time."""
    notes: tuple[str, ...] = ()
    """What the user should know of the photos."""

    @property
    def exam(self) -> tuple[Lesson, ...]:
        """What is never learned; waits for it, or prepares it."""
        return tuple(each.get() for each in self.planned_exam)


def prepare_material(
    photos: SourcePhotos,
    model: BodyModel,
    synthesis: SynthesisConfig,
    config: PersonalizeConfig,
    further: SourcePhotos | None = None,
    device: torch.device | str = "cpu",
    progress: Callable[[str, int, int], None] | None = None,
    threads: int | None = None,
) -> Material:
    """Prepare a person's lessons.

    Args:
        photos: The sources.
        model: The body, on the CPU.
        synthesis: Working size and what carries hair and clothes.
        config: Quality, leave-one-out, seed.
        further: More frames of the same video; the last ones make the exam.
        device: Where lessons are wanted.
        progress: Told of each step.
        threads: How many (for a GPU: processes) prepare source sets, while learning has begun already; None: as many
            as can be spared; 0: all sets are prepared now. The sets, and so all that is learned, are the same.

    Raises:
        SettingError: the photos seem to show different persons.
    """
    show = progress or (lambda text, done, total: None)
    chance = torch.Generator().manual_seed(config.seed)
    show("Looking at the photos", 0, 1)
    views = [*views_of(photos, model, synthesis), *(views_of(further, model, synthesis) if further else [])]
    count, place = len(photos), torch.device(device)
    found = check_views(views[:count], config.allow_mixed)
    sharp = [number for number in range(count) if number not in found.blurred]
    held = range(len(views) - min(_EXAM_FRAMES, (len(views) - count) // 3), len(views))
    further_learned = [number for number in range(count, len(views)) if number not in held]
    planned = _plan_sets(views[:count], sharp, further_learned, config, model, synthesis, chance, place)
    threads = spare_threads(place) if threads is None else threads
    values = [each.later for each in _by_first_use(planned, config.seed)]
    show("Preparing lessons", 0, len(planned))
    processes = threads > 0 and place.type != "cpu" and can_fork()
    if processes:
        begin_in_processes(values, threads, shared=(model,))
    else:
        begin(values, threads)
    # A GPU's learner mostly runs Python: beside threads that do as well it took twice as long.
    at_once = threads < 1 or (place.type != "cpu" and not processes)
    if at_once:
        for number, each in enumerate(planned):
            show("Preparing lessons", number, len(planned))
            if each.weight > 0:
                each.get()
    if len(held):
        plain = _plain(planned, count)
        exam = [_asked(plain.get, views[target], synthesis.size, place) for target in held]
    else:
        views, exam = _exam_of_patches(views, sharp, planned, model, synthesis, chance, place)
    if at_once:
        for number, each_exam in enumerate(exam):
            show("Preparing the exam", number, len(exam))
            each_exam.get()
    return Material(
        photos.name,
        tuple(view.to(place) for view in views),
        tuple(each.get() if at_once else each for each in planned if each.weight > 0),
        tuple(exam),
        count,
        (*found.notes, *([_LONE] if len(views) == 1 else [])),
    )


def _whole(view: View, size: int) -> Crop:
    return Crop(0, 0, view.size, size)


def _plan_sets(
    photos: Sequence[View],
    sharp: Sequence[int],
    further: Sequence[int],
    config: PersonalizeConfig,
    model: BodyModel,
    synthesis: SynthesisConfig,
    chance: torch.Generator,
    device: torch.device,
) -> list[PlannedSet]:
    """How each source set is made.

    First, with several photos, each of them left out, then all photos as they are: the others and the exam need these.
    """
    plan, count = PLANS[config.quality], len(photos)
    planned: list[PlannedSet] = []

    def add(
        targets: Sequence[int], weight: float, make: Callable[[torch.Generator], SourceSet], late: bool = False
    ) -> None:
        # Each has a chance of its own, so that it does not matter which is made first.
        own = torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=chance)))
        planned.append(PlannedSet(Later(lambda: make(own), lambda made: made.to(device)), tuple(targets), weight, late))

    for left in range(count if count > 1 else 0):
        others = [*photos[:left], *photos[left + 1 :]]
        weight = 1.0 if config.leave_one_out and left in sharp else 0.0
        add([left], weight, lambda _, others=others: prepare_set(others, model, synthesis))  # type: ignore[misc]
    may_copy = not config.leave_one_out or (count == 1 and not config.harder)
    weight = float(count * (may_copy + bool(further)))
    add([*(sharp if may_copy else ()), *further], weight, lambda _: prepare_set(photos, model, synthesis))
    if not config.harder:
        return planned
    share, plain = (1.0 if count == 1 else 0.5) * count, planned[-1]
    for _ in range(plan.disturbed):
        add(sharp, share / plan.disturbed, lambda own: prepare_set(photos, model, synthesis, generator=own))
    for number in range(plan.turned):
        view = photos[number % count]

        def turned(own: torch.Generator, view: View = view) -> SourceSet:
            return turned_set(plain.get().to("cpu"), model, synthesis, view, own)

        add(sharp, share / plan.turned / 2, turned, late=True)
    return planned


def _by_first_use(planned: Sequence[PlannedSet], seed: int) -> list[PlannedSet]:
    """In the order in which learning alone with this seed will ask for them."""
    used = [each for each in planned if each.weight > 0]
    order = dict.fromkeys(
        choose_set(used, chance_of_step(seed, number), first=number < FIRST_LESSONS) for number in range(_LOOK_AHEAD)
    )
    first = [used[number] for number in order]
    return [*first, *(each for each in planned if not any(each is other for other in first))]


def _plain(planned: Sequence[PlannedSet], count: int) -> PlannedSet:
    """The set of all photos as they are."""
    return planned[count if count > 1 else 0]


def _exam_of_patches(
    views: Sequence[View],
    sharp: Sequence[int],
    planned: Sequence[PlannedSet],
    model: BodyModel,
    synthesis: SynthesisConfig,
    chance: torch.Generator,
    device: torch.device,
) -> tuple[list[View], list[Later[Lesson]]]:
    """Take some patches away from the lessons and ask for them.

    Each photo is drawn from the others; if there is only one, from the person warped to either side. (A photo drawn
    from itself through a wrong body cannot tell: it is its own source, or its hidden parts are all that counts.)
    """
    patches = [held_out_patches(view, _PATCH_SHARE, chance) for view in views]
    asked = [replace(view, judged=view.judged * patch) for view, patch in zip(views, patches, strict=True)]
    if len(views) > 1:
        sources = [(asked[number], planned[number].get) for number in sharp[:_MOST_EXAMS]]
    else:
        plain = _plain(planned, 1)
        seeds = torch.randint(2**62, (2,), generator=chance).tolist()

        def turned(seed: int, side: int) -> SourceSet:
            own = torch.Generator().manual_seed(seed)
            return turned_set(plain.get().to("cpu"), model, synthesis, views[0], own, side)

        sources = [(asked[0], partial(turned, seed, side)) for seed, side in zip(seeds, (1, -1), strict=True)]
    exam = [_asked(make, view, synthesis.size, device) for view, make in sources]
    learned = [replace(view, judged=view.judged * ~patch) for view, patch in zip(views, patches, strict=True)]
    return learned, exam


def _asked(sources: Callable[[], SourceSet], view: View, size: int, device: torch.device) -> Later[Lesson]:
    """A whole view, drawn from some sources."""
    return Later(lambda: _moved(make_lesson(sources(), view, _whole(view, size)), device))


def _moved(lesson: Lesson, device: torch.device) -> Lesson:
    faces = Faces(*(getattr(lesson.faces, name).to(device) for name in Faces.__dataclass_fields__))
    names = ("images", "mattes", "backgrounds", "judged")
    pictures = {name: getattr(lesson, name).to(device) for name in names}
    return Lesson(lesson.sources.to(device), lesson.targets.to(device), **pictures, faces=faces)
