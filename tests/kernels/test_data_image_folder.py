"""Folders of images by class."""

import numpy as np
import pytest
from fuzzing import image_files
from PIL import Image

from kernas.errors import ConfigurationError, DataError
from kernas.kernels import load
from kernas.kernels.data import area_resize, image_folder, load_unseen
from kernas.kernels.data.known import read_source
from kernas.kernels.data.preprocessing import framed_sides, resized


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


# --- images of different sizes ------------------------------------------------------------


def mixed(folder, *, classes=("a", "b"), n=3):
    """Images of different sizes by class; returns the pixels of the tall and of the wide ones."""
    sizes = ((6, 9), (10, 6), (8, 8))
    return [
        [write(folder / name / f"{i}.png", size=sizes[i % 3], seed=i) for i in range(n)]
        for name in classes
    ]


def area_mean(pixels, side):
    """Means over squares, of sides that ``side`` divides."""
    height, width = (n // side for n in pixels.shape[:2])
    blocks = pixels.reshape(side, height, side, width, -1) / 255
    return blocks.mean(axis=(1, 3))


def test_different_sizes_need_one_that_is_given(tmp_path):
    mixed(tmp_path)
    text = message(tmp_path)
    assert "a/1.png is 6×10 in mode RGB: expected 9×6 in mode RGB" in text
    assert "give image_size" in text


@pytest.mark.parametrize("resize", [None, "crop", "pad", "stretch"])
def test_different_sizes_become_one(resize, tmp_path):
    (tall, wide, square), _ = mixed(tmp_path)
    train, test = load(tmp_path, image_size=2, resize=resize, standardize=False)
    x = {image.tobytes() for part in (train, test) for image in part.x}
    if resize == "pad":
        # 9×6 between black columns becomes 9×9, whose quarters are not whole pixels: 10×6 and 8×8.
        wide = np.pad(wide, ((2, 2), (0, 0), (0, 0)))
        expected = [wide, square]
    elif resize == "stretch":
        expected = [wide, square]
    else:
        expected = [tall[1:7], wide[:, 2:8], square]
    for pixels in expected:
        assert area_mean(pixels, 2).astype(np.float32).tobytes() in x
    assert train.info.get("resize", "stretch") == (resize or "crop")


def test_cropping_scales_the_shorter_side_and_takes_the_middle():
    """In another order: both sides are scaled, then the ends of the longer one are cut off."""
    x = np.random.default_rng(0).random((2, 12, 4, 3))
    scaled = area_resize(x, (6, 2))
    np.testing.assert_allclose(resized(x, (2, 2), "crop"), scaled[:, 2:4], rtol=1e-12)
    turned = np.swapaxes(x, 1, 2)
    np.testing.assert_allclose(
        resized(turned, (2, 2), "crop"), np.swapaxes(scaled, 1, 2)[:, :, 2:4], rtol=1e-12
    )


@pytest.mark.parametrize("sides", [(7, 3), (3, 7), (5, 5), (11, 4)])
@pytest.mark.parametrize("size", [(2, 2), (3, 2), (1, 3)])
def test_padding_keeps_what_is_there_and_cropping_adds_nothing(sides, size):
    ones = np.ones((1, *sides, 1))
    np.testing.assert_allclose(resized(ones, size, "crop"), 1)
    padded = resized(ones, size, "pad")
    height, width = framed_sides(sides, size, "pad")
    np.testing.assert_allclose(padded.mean(), sides[0] * sides[1] / (height * width), rtol=1e-12)
    np.testing.assert_allclose(resized(ones, size, "stretch"), 1)


def test_images_of_one_size_are_stretched_unless_told(tmp_path):
    for name in ("a", "b"):
        for i in range(2):
            write(tmp_path / name / f"{i}.png", size=(6, 4), seed=i)
    first, _ = load(tmp_path, image_size=2, n_train=2, n_test=2)
    told, _ = load(tmp_path, image_size=2, n_train=2, n_test=2, resize="stretch")
    cropped, _ = load(tmp_path, image_size=2, n_train=2, n_test=2, resize="crop")
    assert first.fingerprint == told.fingerprint != cropped.fingerprint
    assert "resize" not in first.info
    assert cropped.info["resize"] == "crop"
    seen = load_unseen(tmp_path, image_size=2, resize="crop")
    assert seen.info["resize"] == "crop"


def test_resizing_that_cannot_be(tmp_path):
    mixed(tmp_path)
    with pytest.raises(ConfigurationError, match="resize='zoom': expected one of crop, pad"):
        load(tmp_path, image_size=2, resize="zoom")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigurationError, match="resize='pad' without a size"):
        load(tmp_path, resize="pad")
    with pytest.raises(ConfigurationError, match=r"a/0\.png: image_size=.* of 9×6 pixels"):
        load(tmp_path, image_size=7)
    write(tmp_path / "b" / "9.png", "L")
    with pytest.raises(DataError, match=r"b/9\.png is 6×5 in mode L: expected 9×6 in mode RGB"):
        load(tmp_path, image_size=2)


# --- ImageNet's layout --------------------------------------------------------------------


def test_the_layout_of_imagenet(tmp_path):
    folder = tmp_path / "imagenet"
    for part, n in (("train", 4), ("val", 2)):
        for synset in ("n01440764", "n01443537", "n15075141"):
            for i in range(n):
                write(folder / part / synset / f"{synset}_{i}.JPEG", size=(24 + 8 * (i % 2), 24))
    train, test = load(folder, image_size=16, n_train=6)
    assert train.classes == ("n01440764", "n01443537", "n15075141")
    assert train.x.shape == (6, 16, 16, 3)
    assert len(test) == 6
    assert load(folder / "train", image_size=16, n_train=6)[0].classes == train.classes


def test_validation_images_of_imagenet_without_classes(tmp_path):
    write(tmp_path / "train" / "n01440764" / "n01440764_10026.JPEG")
    write(tmp_path / "train" / "n01443537" / "n01443537_10007.JPEG")
    write(tmp_path / "val" / "ILSVRC2012_val_00000001.JPEG")
    expected = tmp_path / "val" / "n01440764" / "ILSVRC2012_val_00000001.JPEG"
    text = message(tmp_path)
    assert f"such as {expected}; sort the images into folders by their labels" in text


def test_only_one_second_part(tmp_path):
    for part in ("train", "test", "val"):
        for name in ("a", "b"):
            write(tmp_path / part / name / "1.png")
    assert "holds the folder 'val' beside train and test" in message(tmp_path)


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


def test_images_of_different_sizes_have_a_largest_side_too(tmp_path):
    for i in range(4):
        write(tmp_path / "a" / f"{i}.png", size=(20, 12 + i), seed=i)
        write(tmp_path / "b" / f"{i}.png", size=(20, 12 + i), seed=9 + i)
    train, _ = load(tmp_path, n_train=4, n_test=1, largest_side=8)
    assert (train.input_shape, train.info["resized_from"]) == ((8, 8, 3), None)
    asked, _ = load(tmp_path, n_train=4, n_test=1, image_size=8)
    np.testing.assert_array_equal(train.x, asked.x)
