"""Work that depends on the body model alone is done once per model."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

import torch

from liquidwarp.body.model import BodyModel

__all__ = ["once_per_model"]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def once_per_model(
    work: Callable[Concatenate[BodyModel, Arguments], Result],
) -> Callable[Concatenate[BodyModel, Arguments], Result]:
    """Remember the last answer for each model, as long as the model lives: models are immutable, and so are answers.

    Args:
        work: What is asked of a model, by position; its answer must not hold the model.
    """
    answers: WeakKeyDictionary[BodyModel, tuple[object, Result]] = WeakKeyDictionary()

    @wraps(work)
    def remembered(model: BodyModel, /, *args: Arguments.args, **named: Arguments.kwargs) -> Result:
        asked, found = (args, named), answers.get(model)
        if found is None or found[0] != asked:
            # Who asks next may need gradients through other things.
            with torch.inference_mode(False), torch.no_grad():
                found = answers[model] = (asked, work(model, *args, **named))
        return found[1]

    return remembered
