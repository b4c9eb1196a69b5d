import numpy as np
import torch

from liquidwarp.geometry.pictures import to_picture, to_tensor


def test_there_and_back_is_the_same_picture():
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    tensor = to_tensor(picture[:, ::-1])
    assert tensor.shape == (1, 3, 5, 7)
    assert torch.equal(tensor[0, :, 2, 1], torch.from_numpy(picture[2, 5].copy()).float() / 255)
    assert np.array_equal(to_picture(tensor[0]), picture[:, ::-1])


def test_what_no_picture_can_show_is_cut_off():
    image = torch.tensor([-0.3, 0.0, 0.999, 1.4]).view(1, 1, 4).requires_grad_()
    assert to_picture(image).ravel().tolist() == [0, 0, 255, 255]
