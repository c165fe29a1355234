"""Folders, archives and .pdparams files of PaddlePaddle give the same arrays; bad ones are refused.

The two hexadecimal files of single variables are paddlepaddle 1.8.5's own.
"""

import io
import pickle
import re
import tarfile

import numpy as np
import pytest

from paddlex_maskrcnn.weights.paddle_files import (
    is_paddle,
    is_paddle_folder,
    read_paddle,
    read_variable,
)
from reference.paddle_format import variable, write_folder, write_pdparams

ARRAYS = {
    "conv1_weights": np.arange(8, dtype=np.float32).reshape(2, 4, 1, 1),
    "fc_0.w_0": np.ones((3, 2), np.float32),
}
OPTIMIZER = {
    "conv1_weights_velocity_0": np.zeros(2, np.float32),
    "learning_rate_0": np.zeros(1, np.float32),
    "@LR_DECAY_COUNTER@": np.zeros(1, np.int64),
}


def write_archive(path, files):
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def check(path):
    assert is_paddle(path)
    arrays = read_paddle(path)
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)


def test_folders_are_known_by_their_first_convolution(tmp_path):
    assert not is_paddle_folder(tmp_path)
    assert is_paddle_folder(write_folder(tmp_path / "a", ARRAYS))
    write_pdparams(tmp_path / "model.pdparams", ARRAYS)
    assert is_paddle_folder(tmp_path)


def test_folder_without_what_the_optimizer_left(tmp_path):
    folder = write_folder(tmp_path / "mask_rcnn", ARRAYS | OPTIMIZER)
    (folder / "README.md").write_text("no variable")
    (folder / ".DS_Store").write_bytes(b"neither")
    check(folder)


def test_pickle(tmp_path):
    names = {"StructuredToParameterName@@": {"a": "b"}}
    check(write_pdparams(tmp_path / "r50.pdparams", ARRAYS | OPTIMIZER | names))


def test_pickle_of_pairs_as_newer_versions_write_them(tmp_path):
    class Tensor:
        def __init__(self, name, array):
            self.pair = (name, array)

        def __reduce__(self):
            return (tuple, (self.pair,))

    pairs = {name: Tensor(name, array) for name, array in ARRAYS.items()}
    path = tmp_path / "r50.pdparams"
    path.write_bytes(pickle.dumps(pairs, protocol=2))
    check(path)


def test_folder_with_one_pickle(tmp_path):
    write_pdparams(tmp_path / "model.pdparams", ARRAYS)
    (tmp_path / "model.yml").write_text("Model: MaskRCNN")
    check(tmp_path)


@pytest.mark.parametrize("name", ["r50.tar", "r50.tgz", "r50.tar.gz"])
def test_archive(tmp_path, name):
    files = {f"r50/{key}": variable(array) for key, array in (ARRAYS | OPTIMIZER).items()}
    check(write_archive(tmp_path / name, files))
    files = {"r50/model.pdparams": pickle.dumps(ARRAYS, protocol=2)}
    check(write_archive(tmp_path / name, files))


def test_paths_of_an_archive_lead_nowhere(tmp_path):
    """Nothing is unpacked: a path that would leave the folder is only a name."""
    inside = tmp_path / "inside"
    inside.mkdir()
    files = {f"../../../{key}": variable(array) for key, array in ARRAYS.items()}
    check(write_archive(inside / "r50.tar", files))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["r50.tar"]


def test_links_in_an_archive_are_refused(tmp_path):
    with tarfile.open(tmp_path / "r50.tar", "w") as archive:
        member = tarfile.TarInfo("conv1_weights")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    with pytest.raises(ValueError, match="conv1_weights in it is a link or a device"):
        read_paddle(tmp_path / "r50.tar")


def test_a_name_twice_in_an_archive(tmp_path):
    content = variable(ARRAYS["conv1_weights"])
    path = write_archive(
        tmp_path / "r50.tar", {"a/conv1_weights": content, "b/conv1_weights": content}
    )
    with pytest.raises(ValueError, match="has conv1_weights twice"):
        read_paddle(path)


def test_exported_models_are_refused_with_what_to_give_instead(tmp_path):
    folder = write_folder(tmp_path / "inference", ARRAYS)
    (folder / "__model__").write_bytes(b"program")
    with pytest.raises(ValueError, match=r"exported for inference .* with model\.pdparams in it"):
        read_paddle(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("r50.tar", b"no archive", "cannot be read as a tar archive"),
        ("r50.tgz", b"no archive", "cannot be read as a tar archive"),
        ("r50.pdparams", b"", "is refused: it is damaged or no pickle"),
        ("r50.pdparams", pickle.dumps([1]), "holds list, not names and arrays"),
        ("r50.pdparams", pickle.dumps({"a": 1}), "has no PaddlePaddle parameters in it"),
    ],
)
def test_files_that_are_something_else(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_paddle(tmp_path / name)


def test_a_truncated_variable_is_named(tmp_path):
    folder = write_folder(tmp_path / "r50", ARRAYS)
    (folder / "fc_0.w_0").write_bytes(variable(ARRAYS["fc_0.w_0"])[:-4])
    with pytest.raises(ValueError, match=r"fc_0\.w_0 is damaged: it has 20 bytes of data, not 24"):
        read_paddle(folder)


# fluid.io.save_vars of a (2, 3) parameter 0 ... 5, and of the step counter of its optimizer
PARAMETER = bytes.fromhex(
    "0000000000000000000000000000000006000000080510021003"
    "000000000000803f0000004000004040000080400000a040"
)
COUNTER = bytes.fromhex("0000000000000000000000000000000004000000080310010000000000000000")


def read(content):
    return read_variable(io.BytesIO(content), "fc6_w")


def test_files_of_paddle_itself():
    expected = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(read(PARAMETER), expected)
    assert read(PARAMETER).dtype == np.float32
    assert read(COUNTER).tolist() == [0]
    assert read(COUNTER).dtype == np.int64
    assert variable(expected) == PARAMETER, "the writer of the other tests"


@pytest.mark.parametrize("dtype", ["int32", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(1,), (300,), (2, 3, 1, 130), ()])
def test_round_trip(dtype, shape):
    array = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    restored = read(variable(array, lod=((0, 2, 5), (0, 1))))
    np.testing.assert_array_equal(restored, array)
    assert restored.shape == shape
    assert restored.dtype == dtype


@pytest.mark.parametrize("end", [0, 3, 12, 17, 22, 26, len(PARAMETER) - 1])
def test_a_file_that_is_cut_off(end):
    with pytest.raises(ValueError, match=r"fc6_w is damaged: (it ends|it has .* bytes of data)"):
        read(PARAMETER[:end])


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (0, 7, "is no PaddlePaddle variable"),
        (4, 200, "is damaged: a length of 200"),
        (12, 1, "of a later version"),
        (19, 127, re.escape("is damaged: a length of 2130706438")),
        (20, 0x1A, "its description is not of a tensor"),
        (21, 7, "values of Paddle's type 7"),
        (23, 9, "it has 24 bytes of data, not 108"),
    ],
)
def test_damaged_bytes(offset, value, message):
    content = bytearray(PARAMETER)
    content[offset] = value
    with pytest.raises(ValueError, match=message):
        read(bytes(content))


def test_more_than_its_data():
    with pytest.raises(ValueError, match="it has 25 bytes of data, not 24"):
        read(PARAMETER + b"\0")
