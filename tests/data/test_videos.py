"""Videos: frames go in and come out in order; a file bears its name only when it is complete."""

import numpy as np
import pytest

from paddlex_maskrcnn.data.videos import Video, VideoFile, is_video


def frames(count, height=48, width=64):
    """Grey pictures that grow brighter."""
    levels = np.linspace(20, 220, count).astype(np.uint8)
    return [np.full((height, width, 3), level, np.uint8) for level in levels]


def test_frames_come_back_in_order(tmp_path):
    written = frames(6)
    file = VideoFile(tmp_path / "folder" / "a.avi", pace=10)
    for frame in written:
        file.add(frame)
    assert not (tmp_path / "folder" / "a.mp4").exists()
    file.finish()
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["a.mp4"]
    video = Video(tmp_path / "folder" / "a.mp4")
    assert video.pace == pytest.approx(10)
    assert video.num_frames == 6
    read = list(video)
    assert [frame.shape for frame in read] == [(48, 64, 3)] * 6
    brightness = [float(frame.mean()) for frame in read]
    assert brightness == pytest.approx([float(frame.mean()) for frame in written], abs=6)


def test_without_frames_there_is_no_file(tmp_path):
    VideoFile(tmp_path / "a.mp4", pace=10).finish()
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_videos(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        Video(tmp_path / "none.mp4")
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(ValueError, match="cannot be opened"):
        Video(tmp_path / "text.mp4")


@pytest.mark.parametrize(
    ("name", "expected"), [("a.mp4", True), ("b/A.MOV", True), ("a.jpg", False), ("mp4", False)]
)
def test_names_of_videos(name, expected):
    assert is_video(name) is expected
