"""What depends on a model alone is worked out once per model."""

import gc

import torch
from tests.body.test_linear import small_body

from liquidwarp.body.remembered import once_per_model


def test_each_model_is_asked_once():
    asked = []

    @once_per_model
    def answer(model, size):
        asked.append((model.name, size))
        return model.lbs_weights * size

    one, other = small_body(), small_body()
    assert answer(one, 2) is answer(one, 2)
    assert torch.equal(answer(other, 3), 3 * other.lbs_weights)
    assert answer(one, 2) is answer(one, 2)
    assert asked == [("small", 2), ("small", 3)]
    assert torch.equal(answer(one, 4), 4 * one.lbs_weights)  # another question of the same model
    assert asked[2:] == [("small", 4)]


def test_answers_go_with_the_model():
    alive = []

    class Answer:
        def __del__(self):
            alive.remove(self.number)

        def __init__(self, number):
            self.number = number
            alive.append(number)

    ask = once_per_model(lambda model: Answer(len(alive)))
    body = small_body()
    ask(body)
    assert alive == [0]
    del body
    gc.collect()
    assert alive == []


def test_an_answer_found_without_gradients_serves_with_them():
    @once_per_model
    def doubled(model):
        return model.lbs_weights * 2

    body, scale = small_body(), torch.tensor(3.0, requires_grad=True)
    with torch.inference_mode():
        doubled(body)
    (doubled(body) * scale).sum().backward()
    assert float(scale.grad) == float(2 * body.lbs_weights.sum())
