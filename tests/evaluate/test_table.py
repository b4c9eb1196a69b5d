from dataclasses import replace

from liquidwarp.evaluate.table import Row, format_table, sorted_rows
from liquidwarp.learn.scores import Scores

SCORES = Scores(20.0, 18.0, 0.5, 0.3, 0.9, None)


def row(group: str, model: str, perceptual: float | None) -> Row:
    return Row(group, model, replace(SCORES, perceptual=perceptual), ("none",), (0.01,))


ROWS = [row("8", "worse", 0.4), row("1", "good", 0.1), row("8", "better", 0.2), row("1", "unknown", None)]


def test_best_perceptual_distance_first_within_groups_in_their_order() -> None:
    assert [(r.group, r.model) for r in sorted_rows(ROWS)] == [
        ("8", "better"),
        ("8", "worse"),
        ("1", "good"),
        ("1", "unknown"),
    ]


def test_table_is_aligned_markdown() -> None:
    lines = format_table("sources", ROWS, ["fusion"], ["temporal"]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[0].split("|")[1:5] == [" sources ", " model   ", " fusion ", " PSNR dB "]
    assert lines[0].rstrip("| ").endswith("temporal")
    assert set(lines[1]) <= set("|-:")
    cells = [cell.strip() for cell in lines[2].split("|")[1:-1]]
    assert cells == ["8", "better", "none", "20.00", "18.00", "0.500", "0.2000", "0.900", "-", "0.0100"]
    assert [cell.strip() for cell in lines[5].split("|")][7] == "-"
