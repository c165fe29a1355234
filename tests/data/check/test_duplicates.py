import hashlib

import cv2
import numpy as np
import pytest

from paddlex_maskrcnn.data.check import duplicates
from paddlex_maskrcnn.data.check.scan import Fingerprint, difference_hash, fingerprint
from support.flawed_coco import pattern


def of_pixels(pixels):
    """The fingerprint of a picture in memory."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    thumbnail = cv2.resize(grey, (16, 16), interpolation=cv2.INTER_AREA)
    digest = hashlib.md5(pixels.tobytes()).hexdigest()
    return Fingerprint(digest, difference_hash(grey), thumbnail, "colour 8 bits")


def test_near_pairs_equal_brute_force():
    """Hashes with up to five flipped bits: exactly the pairs within three are found."""
    rng = np.random.default_rng(0)
    base = rng.integers(0, 2**63, 60, dtype=np.uint64)
    flipped = []
    for look in base:
        bits = rng.choice(64, rng.integers(0, 6), replace=False)
        flipped.append(look ^ np.uint64(sum(1 << int(bit) for bit in bits)))
    looks = np.concatenate([base, np.array(flipped, np.uint64), base[:5]])
    pairs = {
        (min(a, b), max(a, b))
        for first, second in duplicates._near(looks)
        for a, b in zip(first.tolist(), second.tolist(), strict=True)
    }
    expected = {
        (a, b)
        for a in range(len(looks))
        for b in range(a + 1, len(looks))
        if bin(int(looks[a] ^ looks[b])).count("1") <= duplicates.MOST_BITS
    }
    assert pairs <= expected
    assert _components(pairs) == _components(expected)  # equal hashes are tied by one pair only
    assert len(expected) > 30


def _components(pairs):
    groups = []
    for pair in sorted(pairs):
        touching = [group for group in groups if group & set(pair)]
        groups = [group for group in groups if group not in touching]
        groups.append(set(pair).union(*touching))
    return sorted(map(sorted, groups))


def test_hamming_equals_counting():
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 2**64, (2, 50), dtype=np.uint64)
    expected = [bin(int(x) ^ int(y)).count("1") for x, y in zip(a, b, strict=True)]
    assert duplicates.hamming(a, b).tolist() == expected


def test_changes_that_leave_the_look(tmp_path):
    """Other compression, size and brightness are alike; other pictures are not."""
    large = cv2.resize(pattern(0), (960, 720), interpolation=cv2.INTER_CUBIC)
    variants = {
        "original.png": large,
        "half.png": cv2.resize(large, (480, 360), interpolation=cv2.INTER_AREA),
        "compressed.jpg": large,
        "darker.png": (large * 0.8).astype(np.uint8),
        "other.png": cv2.resize(pattern(1), (960, 720), interpolation=cv2.INTER_CUBIC),
    }
    prints = []
    for name, pixels in variants.items():
        cv2.imwrite(str(tmp_path / name), pixels, [cv2.IMWRITE_JPEG_QUALITY, 60])
        prints.append(fingerprint(str(tmp_path / name), pixels.shape[:2]))
    assert duplicates.alike(prints) == [[0, 1, 2, 3]]
    assert duplicates.identical(prints) == []


def test_pictures_without_contrast_are_not_alike():
    """A black picture and a grey one have the same hash, which says nothing."""
    prints = [of_pixels(np.full((48, 64, 3), level, np.uint8)) for level in (0, 3, 120)]
    assert prints[0].look == prints[1].look
    assert duplicates.alike(prints) == []
    assert duplicates.identical([*prints, prints[0]]) == [[0, 3]]


def test_nothing_to_compare():
    assert duplicates.alike([]) == []
    assert duplicates.alike([Fingerprint(fault="missing")] * 2) == []


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_orientation_does_not_hide_a_copy(tmp_path, suffix):
    from PIL import Image

    pixels = pattern(3)
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(pixels).save(tmp_path / f"upright{suffix}", quality=95)
    turned = Image.fromarray(np.rot90(pixels).copy())
    turned.save(tmp_path / f"turned{suffix}", quality=95, exif=exif)
    prints = [
        fingerprint(str(tmp_path / f"{name}{suffix}"), pixels.shape[:2])
        for name in ("upright", "turned")
    ]
    assert prints[1].orientation == 6
    assert duplicates.alike(prints) == [[0, 1]]
