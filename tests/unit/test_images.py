import threading

import numpy as np
import pytest
from PIL import Image

from storage.images import UnreadableImage, image_size, read_image, write_image


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)


@pytest.fixture
def smooth():
    y, x = np.mgrid[:48, :64]
    return np.stack([4 * x, 5 * y, 255 - 2 * x], axis=-1).clip(0, 255).astype(np.uint8)


def test_png_gives_back_what_was_written(tmp_path, noise):
    write_image(tmp_path / "a.png", noise)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), noise)


def test_jpeg_keeps_the_order_of_the_colours(tmp_path, smooth):
    write_image(tmp_path / "a.jpg", smooth)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - smooth).max() < 8


def test_lower_quality_is_smaller_and_worse(tmp_path, noise):
    errors, sizes = [], []
    for quality in (100, 95, 50, 1):
        path = tmp_path / f"{quality}.jpg"
        write_image(path, noise, quality=quality)
        sizes.append(path.stat().st_size)
        errors.append(np.abs(read_image(path).astype(float) - noise).mean())
    assert sizes == sorted(sizes, reverse=True)
    assert errors == sorted(errors)


@pytest.mark.parametrize(
    ("subsampling", "factors"), [("4:4:4", (1, 1)), ("4:2:2", (2, 1)), ("4:2:0", (2, 2))]
)
def test_colour_is_subsampled_as_asked(tmp_path, noise, subsampling, factors):
    path = tmp_path / "a.jpg"
    write_image(path, noise, subsampling=subsampling)
    with Image.open(path) as image:
        assert image.layer[0][1:3] == factors  # of luma, in units of chroma


def test_what_is_no_rgb_or_no_known_format_is_not_written(tmp_path, noise):
    for name, image in [("a.gif", noise), ("a.png", noise[..., 0]), ("a.png", noise.astype(float))]:
        with pytest.raises(ValueError, match=name):
            write_image(tmp_path / name, image)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_a_camera_is_applied(tmp_path, smooth, orientation):
    turned = {
        1: lambda image: image,
        2: lambda image: image[:, ::-1],
        3: lambda image: image[::-1, ::-1],
        4: lambda image: image[::-1],
        5: lambda image: image.swapaxes(0, 1),
        6: lambda image: np.rot90(image),
        7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
        8: lambda image: np.rot90(image, -1),
    }  # how a camera that is held so stores the scene
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(turned[orientation](smooth))
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), smooth)


def test_grey_palette_and_transparent_images_become_rgb(tmp_path, smooth):
    image = Image.fromarray(smooth)
    grey = np.asarray(image.convert("L"))
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), np.stack([grey] * 3, axis=-1))

    alpha = np.dstack([smooth, np.full(smooth.shape[:2], 7, np.uint8)])
    Image.fromarray(alpha).save(tmp_path / "alpha.png")
    np.testing.assert_array_equal(read_image(tmp_path / "alpha.png"), smooth)

    palette = image.quantize(16)
    palette.save(tmp_path / "palette.png", transparency=bytes(range(16)))
    np.testing.assert_array_equal(read_image(tmp_path / "palette.png"), np.asarray(palette.convert("RGB")))

    image.convert("CMYK").save(tmp_path / "print.tif")
    assert np.abs(read_image(tmp_path / "print.tif").astype(int) - smooth).max() <= 1


def test_sixteen_bits_are_reduced_to_eight(tmp_path):
    deep = np.array([[0, 128, 257, 32896, 65535]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png")[0, :, 1], [0, 0, 1, 128, 255])


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_truncated_image_is_unreadable_and_named(tmp_path, noise, suffix):
    path = tmp_path / f"half{suffix}"
    write_image(path, noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnreadableImage, match=f"half{suffix}"):
        read_image(path)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_what_is_no_image_is_unreadable(tmp_path, content):
    (tmp_path / "odd.jpg").write_bytes(content)
    with pytest.raises(UnreadableImage, match=r"odd\.jpg"):
        read_image(tmp_path / "odd.jpg")


@pytest.mark.parametrize("read", [read_image, image_size])
@pytest.mark.parametrize(
    "content",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(/etc/passwd) (r) file\n",
        b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        b'/* XPM */\nstatic char *a[] = {\n"1 1 1 1",\n"a c #000000",\n"a"\n};\n',
    ],
    ids=["a program", "a drawing", "text"],
)
def test_what_another_program_draws_is_no_image_whatever_it_is_called(tmp_path, read, content):
    (tmp_path / "odd.png").write_bytes(content)
    with pytest.raises(UnreadableImage, match="is no image of a known format"):
        read(tmp_path / "odd.png")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of odd tags
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp", ".gif"])
def test_damage_gives_an_image_or_a_clear_error(tmp_path, smooth, suffix):
    path = tmp_path / f"whole{suffix}"
    Image.fromarray(smooth).save(path)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    for seed in range(60):
        generator = np.random.default_rng(seed)
        content = whole.copy()
        content[generator.integers(0, min(len(whole), 400), 3)] = generator.integers(0, 256, 3)
        path.write_bytes(content.tobytes())
        try:
            assert read_image(path).dtype == np.uint8
        except UnreadableImage:
            continue


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb_is_refused(tmp_path):
    Image.new("1", (20_000, 6_000)).save(tmp_path / "bomb.png")
    with pytest.raises(UnreadableImage, match=r"bomb\.png"):
        read_image(tmp_path / "bomb.png")


def test_a_missing_image_is_no_matter_of_content(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "missing.png")


def test_images_are_written_by_many_threads(tmp_path, noise):
    threads = [
        threading.Thread(target=write_image, args=(tmp_path / f"{number}.png", noise)) for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(8):
        np.testing.assert_array_equal(read_image(tmp_path / f"{number}.png"), noise)
