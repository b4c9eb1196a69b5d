"""Tables of figures, as text that is also Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass

from liquidwarp.learn.scores import Scores

__all__ = ["Row", "format_table", "sorted_rows"]

_HEADINGS = ("PSNR dB", "person dB", "SSIM", "perceptual", "mask IoU", "face")
_FORMATS = ("{:.2f}", "{:.2f}", "{:.3f}", "{:.4f}", "{:.3f}", "{:.3f}")
_MISSING = "-"


@dataclass(frozen=True)
class Row:
    """Figures of one model on one thing."""

    group: str
    """The thing: rows of one group belong together."""
    model: str
    scores: Scores
    facts: tuple[str, ...] = ()
    """What else the table says of the model."""
    more: tuple[float | None, ...] = ()
    """Further figures."""


def sorted_rows(rows: Sequence[Row]) -> list[Row]:
    """Groups in the order in which they came, and in each the best perceptual distance first."""
    groups = list(dict.fromkeys(row.group for row in rows))

    def place(row: Row) -> tuple[int, float]:
        distance = row.scores.perceptual
        return groups.index(row.group), float("inf") if distance is None else distance

    return sorted(rows, key=place)


def format_table(group: str, rows: Sequence[Row], facts: Sequence[str] = (), more: Sequence[str] = ()) -> str:
    """A table whose columns are aligned, its rows in the order of :func:`sorted_rows`.

    Args:
        group: Heading of the groups.
        rows: At least one.
        facts: Headings of the facts.
        more: Headings of the further figures, which are printed with four places.

    Example:
        >>> print(format_table("sources", [Row("2", "texture", Scores(20.0, 18.0, 0.5, 0.25, 0.9, None))]))
        | sources | model   | PSNR dB | person dB |  SSIM | perceptual | mask IoU | face |
        |---------|---------|--------:|----------:|------:|-----------:|---------:|-----:|
        | 2       | texture |   20.00 |     18.00 | 0.500 |     0.2500 |    0.900 |    - |
    """
    formats = (*_FORMATS, *["{:.4f}"] * len(more))
    words = [group, "model", *facts]
    cells = [[*words, *_HEADINGS, *more]]
    for row in sorted_rows(rows):
        scores = row.scores
        figures = (scores.psnr, scores.psnr_person, scores.ssim, scores.perceptual, scores.mask_iou, scores.face)
        pairs = zip(formats, (*figures, *row.more), strict=True)
        cells.append(
            [row.group, row.model, *row.facts, *(_MISSING if f is None else form.format(f) for form, f in pairs)]
        )
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for line in cells:
        padded = [
            text.ljust(width) if place < len(words) else text.rjust(width)
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        lines.append(f"| {' | '.join(padded)} |")
    rule = ["-" * (width + 2) if place < len(words) else "-" * (width + 1) + ":" for place, width in enumerate(widths)]
    return "\n".join([lines[0], f"|{'|'.join(rule)}|", *lines[1:]])
