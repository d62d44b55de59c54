"""Frames and files as base64: lossless where that is said, made once, and what cannot be sent said plainly."""

import asyncio
import base64
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from tests.endpoints import clip_at
from videval.errors import ModelFailure, VideoFailure
from videval.models.messages import unread
from videval.models.openai_api.media import Encoded, Encoder, Media, encoded_frames
from videval.types import Image, Part, Prompt, Remote
from videval.video.clips import load_frames


def media(prompt: Prompt, remote: Remote, *, exact: bool = True) -> Media:
    async def made() -> Media:
        encoder = Encoder(remote, exact=exact)
        try:
            return await encoder.media(prompt)
        finally:
            encoder.close()

    return asyncio.run(made())


def pixels(encoded: Encoded) -> list[np.ndarray]:
    pictures = (Picture.open(io.BytesIO(base64.b64decode(piece))) for piece in encoded.pieces)
    return [np.asarray(picture.convert("RGB")) for picture in pictures]


def test_png_and_webp_bring_every_pixel_and_jpeg_brings_its_quality(tmp_path: Path) -> None:
    clip = clip_at(tmp_path / "a.npy", 2)
    frames = load_frames(clip)
    for image in ("png", "webp"):
        encoded = encoded_frames(clip, Remote(endpoint="lab", image=image))
        assert encoded.mime == f"image/{image}"
        assert all(np.array_equal(ours, theirs) for ours, theirs in zip(frames, pixels(encoded), strict=True))
    good, bad = (encoded_frames(clip, Remote(endpoint="lab", image="jpeg", quality=q)) for q in (95, 20))
    assert good.size > bad.size and not np.array_equal(frames[0], pixels(good)[0])


SAVED: dict[str, Callable[[Picture.Image, Path], None]] = {
    "a.jpg": lambda picture, path: picture.save(path, "JPEG"),
    "a.bmp": lambda picture, path: picture.save(path, "BMP"),
}


@pytest.mark.parametrize(("name", "mime"), [("a.jpg", "image/jpeg"), ("a.bmp", "image/png")])
def test_an_image_file_goes_as_it_is_unless_not_every_server_takes_its_format(
    tmp_path: Path, name: str, mime: str
) -> None:
    path = tmp_path / name
    SAVED[name](Picture.new("RGB", (4, 3), "red"), path)
    shown: tuple[Part, ...] = (Image(path=str(path)),)
    encoded = media(Prompt(parts=shown), Remote(endpoint="lab")).images[str(path)]
    assert encoded.mime == mime
    assert (base64.b64decode(encoded.pieces[0]) == path.read_bytes()) == (name == "a.jpg")


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(VideoFailure, match=r"a\.png"):
        media(Prompt(parts=(Image(path=str(tmp_path / "a.png")),)), Remote(endpoint="lab"))


def test_a_file_goes_whole_where_the_server_samples_and_is_not_read_where_its_path_will_do(tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    path.write_bytes(b"a film")
    prompt = Prompt(parts=(), clips=(unread(str(path)),))
    inline = media(prompt, Remote(endpoint="lab", transport="inline"), exact=False).clips[0]
    assert (inline.mime, base64.b64decode(inline.pieces[0])) == ("video/webm", b"a film")
    assert media(prompt, Remote(endpoint="lab", transport="file"), exact=False).clips[0].pieces == ()


def test_a_folder_of_images_cannot_go_as_a_file(tmp_path: Path) -> None:
    prompt = Prompt(parts=(), clips=(unread(str(tmp_path)),))
    with pytest.raises(ModelFailure, match="folder of images"):
        media(prompt, Remote(endpoint="lab", transport="inline"), exact=False)


def test_a_file_that_is_gone_is_said(tmp_path: Path) -> None:
    prompt = Prompt(parts=(), clips=(unread(str(tmp_path / "gone.mp4")),))
    with pytest.raises(VideoFailure, match=r"gone\.mp4"):
        media(prompt, Remote(endpoint="lab", transport="inline"), exact=False)
