"""Images and videos in and out: always upright, eight bits, RGB, at a constant frame rate."""

from liquidwarp.media.frames import FrameSource, open_frames
from liquidwarp.media.images import IMAGE_SUFFIXES, Photo, find_images, read_image, save_image
from liquidwarp.media.writer import FrameWriter, ImageSequenceWriter, VideoWriter, check_output, open_writer

__all__ = [
    "IMAGE_SUFFIXES",
    "FrameSource",
    "FrameWriter",
    "ImageSequenceWriter",
    "Photo",
    "VideoWriter",
    "check_output",
    "find_images",
    "open_frames",
    "open_writer",
    "read_image",
    "save_image",
]
