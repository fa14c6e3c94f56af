"""Folders of images by class."""

import numpy as np
import pytest
from fuzzing import image_files
from PIL import Image

from kernas.errors import ConfigurationError, DataError
from kernas.kernels import load
from kernas.kernels.data import image_folder
from kernas.kernels.data.known import read_source


def write(path, mode="RGB", size=(5, 6), seed=0):
    """An image of random pixels, size (width, height) as Pillow has it; returns its pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = {"L": (), "RGB": (3,), "RGBA": (4,), "P": ()}[mode]
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], *channels), np.uint8)
    image = Image.fromarray(pixels)
    (image.convert("P") if mode == "P" else image).save(path)
    return pixels


def message(folder):
    with pytest.raises(DataError) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 1)])
def test_classes_are_numbered_by_name(mode, channels, tmp_path):
    folder = tmp_path / "pets"
    pixels = {
        (name, i): write(folder / name / f"{i}.png", mode, seed=10 * i + len(name))
        for name in ("dog", "cat", "horse")
        for i in range(4)
    }
    source = read_source(folder)
    assert source.class_names == ("cat", "dog", "horse")
    assert source.x.shape == (12, 6, 5, channels)
    assert source.y.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    np.testing.assert_array_equal(source.x[5], pixels["dog", 1].reshape(6, 5, channels))
    train, test = load(folder, n_train=6, n_test=6, image_size=(3, 5))
    assert train.name == "pets"
    assert train.classes == ("cat", "dog", "horse")
    assert train.x.shape == (6, 3, 5, channels)
    assert np.bincount(test.y).tolist() == [2, 2, 2]


def test_parts(tmp_path):
    for part, n in (("train", 3), ("test", 2)):
        for name in ("a", "b"):
            for i in range(n):
                write(tmp_path / part / name / f"{i}.png", seed=i + 10 * n)
    (tmp_path / "test" / "b" / "0.png").unlink()
    source = read_source(tmp_path)
    assert source.y.tolist() == [0, 0, 0, 1, 1, 1]
    assert source.y_test is not None
    assert source.y_test.tolist() == [0, 0, 1]
    assert source.x_test is not None
    np.testing.assert_array_equal(source.x_test[2], write(tmp_path / "again.png", seed=21))


def test_classes_may_be_called_train_and_test(tmp_path):
    for name in ("train", "test"):
        write(tmp_path / name / "1.png")
    assert read_source(tmp_path).class_names == ("test", "train")


def test_what_is_hidden_and_files_beside_the_classes_are_passed_over(tmp_path):
    write(tmp_path / "a" / "1.png")
    write(tmp_path / "b" / "1.png")
    write(tmp_path / ".thumbnails" / "1.png")
    (tmp_path / "b" / ".DS_Store").write_bytes(b"")
    (tmp_path / "README").write_text("pets")
    assert len(read_source(tmp_path).y) == 2


def test_lossy_images_and_any_name(tmp_path):
    write(tmp_path / "a" / "1.JPEG")
    write(tmp_path / "b" / "one.bmp")
    assert read_source(tmp_path).x.shape == (2, 6, 5, 3)


@pytest.mark.parametrize(
    ("odd", "expected"),
    [
        ({"size": (6, 5)}, r"b/2.png is 5×6 in mode RGB: expected 6×5 in mode RGB, like .*a/1.png"),
        ({"mode": "L"}, r"b/2.png is 6×5 in mode L: expected 6×5 in mode RGB, like .*a/1.png"),
        ({"mode": "RGBA"}, r"b/2.png is an image of mode RGBA: expected L or RGB; convert it"),
        ({"mode": "P"}, r"b/2.png is an image of mode P: expected L or RGB"),
    ],
)
def test_an_image_unlike_the_others_is_named(odd, expected, tmp_path):
    write(tmp_path / "a" / "1.png")
    write(tmp_path / "b" / "1.png")
    write(tmp_path / "b" / "2.png", **odd)
    with pytest.raises(DataError, match=expected):
        load(tmp_path)


def test_test_images_are_compared_with_those_of_training(tmp_path):
    for part in ("train", "test"):
        for name in ("a", "b"):
            write(tmp_path / part / name / "1.png", size=(5, 6) if part == "train" else (5, 7))
    assert "test/a/1.png is 7×5 in mode RGB: expected 6×5" in message(tmp_path)


def test_damaged_files_and_those_that_are_no_images(tmp_path):
    write(tmp_path / "a" / "1.png")
    write(tmp_path / "b" / "1.png", size=(50, 60))
    path = tmp_path / "b" / "1.png"
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"text", whole[:8] + bytes(100)):
        path.write_bytes(content)
        assert f"{path} cannot be read as an image" in message(tmp_path)


def test_folders_of_another_form(tmp_path):
    flat = tmp_path / "flat"
    write(flat / "1.png")
    assert f"{flat} holds no folders: expected one for each class" in message(flat)
    empty = tmp_path / "empty"
    write(empty / "a" / "1.png")
    (empty / "b").mkdir()
    assert f"{empty / 'b'} is empty" in message(empty)
    (empty / "b" / "c").mkdir()
    assert f"{empty / 'b' / 'c'} is a folder inside a class" in message(empty)


def test_parts_of_another_form(tmp_path):
    for place in ("train/a", "train/b", "test/a", "test/c"):
        write(tmp_path / place / "1.png")
    text = message(tmp_path)
    assert f"{tmp_path / 'test' / 'c'} is a class that training lacks: expected a, b" in text
    write(tmp_path / "validation" / "a" / "1.png")
    assert "holds the folder 'validation' beside train and test" in message(tmp_path)


def test_one_class_is_none(tmp_path):
    write(tmp_path / "a" / "1.png")
    assert "expected at least two classes" in message(tmp_path)


def test_a_folder_that_is_not_there_is_an_unknown_name(tmp_path):
    with pytest.raises(ConfigurationError, match="or of a folder of images by class"):
        load(tmp_path / "pets")


def pets(folder, content):
    """A folder of images one of which has this content."""
    write(folder / "a" / "1.png")
    write(folder / "b" / "1.png")
    path = folder / "b" / "2.img"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["animated GIF", "animated PNG", "animated TIFF", "animated WEBP"])
def test_several_images_in_one_file(name, tmp_path):
    path = pets(tmp_path, image_files.images()[name])
    text = message(tmp_path)
    assert f"{path} has several images" in text or f"{path} is an image of mode" in text


@pytest.mark.parametrize("side", [20_000, 60_000, 2**31 - 1])
def test_more_pixels_than_the_file_can_have(side, tmp_path):
    path = pets(tmp_path, image_files.images()[f"png that claims {side}"])
    assert str(path) in message(tmp_path)


def test_many_pixels_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    path = pets(tmp_path, image_files.images()["png that claims 20000"])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    text = message(tmp_path)
    assert f"{path} claims 20000×20000 pixels in {path.stat().st_size:,} bytes" in text


def test_a_folder_beyond_the_memory_of_the_machine(tmp_path, monkeypatch):
    write(tmp_path / "a" / "1.png")
    write(tmp_path / "b" / "1.png")
    monkeypatch.setattr(image_folder, "memory_bytes", lambda: 100)
    assert "take 180 bytes: expected fewer than the 100 of memory" in message(tmp_path)


@pytest.mark.parametrize("name", ["eps", "svg", "TGA RGB", "ICO RGBA"])
def test_formats_that_are_not_of_pixels_or_rare(name, tmp_path):
    path = pets(tmp_path, image_files.images()[name])
    assert f"{path} cannot be read as an image" in message(tmp_path)


@pytest.mark.parametrize("name", ["bad exif jpeg", "exif jpeg", "exif png", "lzw tiff", "text png"])
def test_metadata_is_not_looked_at(name, tmp_path):
    pets(tmp_path, image_files.images()[name])
    assert read_source(tmp_path).x.shape == (3, 6, 5, 3)


def test_a_class_whose_name_is_not_utf8(tmp_path):
    write(tmp_path / "a" / "1.png")
    try:
        write(tmp_path / "\udcff" / "1.png")
    except OSError:
        pytest.skip("the file system has names in UTF-8 only")
    with pytest.raises(ConfigurationError, match=r"\\udcff' is not in UTF-8"):
        load(tmp_path)
