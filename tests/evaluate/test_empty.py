"""False persons are counted."""

from pathlib import Path

import numpy as np
import pytest

from liquidwarp.errors import MediaError
from liquidwarp.evaluate.empty import EmptyReport, evaluate_empty
from liquidwarp.media import read_image, save_image
from liquidwarp.weights import asset


def test_a_person_in_a_picture_that_should_be_empty_is_named(tmp_path: Path) -> None:
    save_image(tmp_path / "wall.png", np.full((160, 120, 3), 128, np.uint8))
    save_image(tmp_path / "somebody.png", read_image(asset("demo/front.jpg")).rgb)
    report = evaluate_empty(tmp_path)
    assert report == EmptyReport(2, ("somebody.png",))
    assert "1 of 2 pictures (50.0%): somebody.png" in str(report)
    assert evaluate_empty(tmp_path, count=1).pictures == 1


def test_a_folder_without_pictures_is_told(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="image"):
        evaluate_empty(tmp_path)
