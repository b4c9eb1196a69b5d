"""What a user may name as training data, from a single video to a dataset laid out like iPER."""

from pathlib import Path

import pytest

from liquidwarp.errors import MediaError
from liquidwarp.learn.clip_sources import ClipSource, find_sources


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def frames(folder: Path, count: int = 20) -> Path:
    touch(*(folder / f"frame_{index:04d}.jpg" for index in range(count)))
    return folder


def found(*paths: Path, folders: str = "auto") -> list[tuple[str, str, str, str]]:
    root = paths[0].parent if paths[0].is_file() else paths[0]
    sources = find_sources(list(paths), folders)
    return [(s.name, s.path.relative_to(root).as_posix(), s.kind, s.split) for s in sources]


def test_videos_and_photos(tmp_path: Path) -> None:
    touch(tmp_path / "a.mp4", tmp_path / "b.MOV", tmp_path / "me.jpg")
    assert found(tmp_path / "a.mp4", tmp_path / "b.MOV", tmp_path / "me.jpg") == [
        ("a", "a.mp4", "video", ""),
        ("b", "b.MOV", "video", ""),
        ("me", "me.jpg", "photos", ""),
    ]


def test_folders_of_photos_and_of_frames(tmp_path: Path) -> None:
    frames(tmp_path / "walk")
    touch(tmp_path / "alice" / "front.jpg", tmp_path / "alice" / "back.jpg")
    assert [source.kind for source in find_sources([tmp_path / "walk", tmp_path / "alice"])] == ["video", "photos"]
    assert [source.kind for source in find_sources([tmp_path / "walk"], "photos")] == ["photos"]
    assert [source.kind for source in find_sources([tmp_path / "alice"], "frames")] == ["video"]


def test_a_tree_of_clips(tmp_path: Path) -> None:
    frames(tmp_path / "001" / "1" / "2")
    frames(tmp_path / "001" / "1" / "10")
    touch(tmp_path / "002" / "turn.mp4", tmp_path / "notes.txt", tmp_path / ".hidden" / "x.mp4")
    root = tmp_path.name
    assert found(tmp_path) == [
        (f"{root}_001_1_2", "001/1/2", "video", ""),
        (f"{root}_001_1_10", "001/1/10", "video", ""),
        (f"{root}_002_turn", "002/turn.mp4", "video", ""),
    ]


def test_lists_of_iper(tmp_path: Path) -> None:
    """Frames of every clip lie three folders deep; a list has one clip a line."""
    frames(tmp_path / "images_HD" / "001" / "1" / "1", count=3)
    frames(tmp_path / "images_HD" / "002" / "1" / "2")
    (tmp_path / "train.txt").write_text("001/1/1\n\n")
    (tmp_path / "val.txt").write_text("\ufeff002\\1\\2\r\n")
    assert found(tmp_path) == [
        ("001_1_1", "images_HD/001/1/1", "video", "train"),
        ("002_1_2", "images_HD/002/1/2", "video", "test"),
    ]


def test_lists_beside_videos_and_beside_processed_folders(tmp_path: Path) -> None:
    touch(tmp_path / "videos" / "001_1_1.mp4")
    frames(tmp_path / "primitives" / "alice" / "processed" / "orig_images")
    frames(tmp_path / "primitives" / "alice" / "processed" / "parse")
    (tmp_path / "train.txt").write_text("001/1/1\nalice\n")
    assert found(tmp_path) == [
        ("001_1_1", "videos/001_1_1.mp4", "video", "train"),
        ("alice", "primitives/alice/processed/orig_images", "video", "train"),
    ]


def test_primitives_of_the_reference_without_a_list(tmp_path: Path) -> None:
    frames(tmp_path / "alice" / "processed" / "orig_images")
    frames(tmp_path / "alice" / "processed" / "parse")
    assert found(tmp_path) == [(f"{tmp_path.name}_alice", "alice/processed/orig_images", "video", "")]


def test_names_are_made_different(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "clip 1.mp4", tmp_path / "b" / "Clip 1.mp4")
    sources = find_sources([tmp_path / "a" / "clip 1.mp4", tmp_path / "b" / "Clip 1.mp4"])
    assert [source.name for source in sources] == ["clip_1", "Clip_1_2"]
    assert isinstance(sources[0], ClipSource)


def test_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file or folder"):
        find_sources([tmp_path / "nothing.mp4"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(MediaError, match="found none"):
        find_sources([tmp_path / "empty"])
    (tmp_path / "train.txt").write_text("001/1/1\n")
    with pytest.raises(MediaError, match=r"train\.txt: names '001/1/1'"):
        find_sources([tmp_path])
