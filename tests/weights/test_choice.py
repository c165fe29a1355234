"""Which starting weights a backbone gets, with and without network, and what is told when there are none."""

import logging
import pickle
import re
import subprocess
import sys
import time

import pytest
import timm
import torch
import torchvision

from paddlex_maskrcnn.weights import choice, download
from paddlex_maskrcnn.weights.catalogue import all_entries, find_entry, pattern_of_file
from paddlex_maskrcnn.weights.choice import choose_weights, misfit_of_layers
from paddlex_maskrcnn.weights.download import (
    FOLDER_VARIABLE,
    OFFLINE_VARIABLES,
    weights_folder,
    why_unreachable,
)
from paddlex_maskrcnn.weights.keys.backbones import map_timm_hrnet
from paddlex_maskrcnn.weights.keys.torchvision import map_torchvision_resnet
from support.flaky_site import CONTENT

CLOSED = "http://127.0.0.1:9"  # nobody listens on the port `discard`


@pytest.fixture
def catalogue(entry_of, monkeypatch, tmp_path):
    """Puts two rows into the place of the catalogue; addresses without a file are those of a closed port."""
    monkeypatch.chdir(tmp_path)

    def fill(coco=None, imagenet=None):
        rows = {"COCO": coco, "IMAGENET": imagenet}

        def find(backbone, kind, with_fpn=True):
            if rows[kind] is None:
                raise ValueError("none")
            return rows[kind]

        monkeypatch.setattr(choice, "find_entry", find)
        monkeypatch.setattr(choice, "pattern_of_file", lambda *row: find(*row).file_name)

    return fill


def row(entry_of, name, url=None, **fields):
    entry = entry_of(**({"url": url} if url else {}), **fields)
    return choice.CatalogueEntry(**{**vars(entry), "name": name, "file_name": f"{name}.pth"})


def state(network, mapped):
    """Tensors of the right channels, and of a single value in each, under Detectron2's names."""
    names = mapped(list(network))
    tensors = {names[name]: tensor for name, tensor in network.items() if names[name]}
    return {
        name: torch.zeros(tensor.shape[:1] + (1,) * (tensor.ndim - 1))
        for name, tensor in tensors.items()
    }


def resnet(name):
    with torch.device("meta"):
        return torchvision.models.get_model(name).state_dict()


def of_timm(name):
    with torch.device("meta"):
        return timm.create_model(name).state_dict()


def save_small(folder, name="resnet18.pth", model="resnet18"):
    """torchvision's names with a file of kilobytes."""
    small = {
        key: torch.zeros(tensor.shape[:1] + (1,) * (tensor.ndim - 1))
        for key, tensor in resnet(model).items()
    }
    folder.mkdir(exist_ok=True)
    torch.save(small, folder / name)
    return folder / name


# of the catalogue


def test_a_whole_detector_is_downloaded_and_nothing_else(site, folder, entry_of, catalogue):
    catalogue(row(entry_of, "coco"), row(entry_of, "imagenet"))
    chosen = choose_weights("ResNet18")
    assert chosen.value == "COCO"
    assert chosen.reason == f"coco, downloaded to {folder / 'coco.pth'}"
    assert (folder / "coco.pth").read_bytes() == CONTENT
    assert not (folder / "imagenet.pth").exists()
    requests = len(site.requests)
    assert choose_weights("ResNet18").reason == f"coco, on disk in {folder / 'coco.pth'}"
    assert len(site.requests) == requests


def test_a_backbone_where_no_detector_can_be_had(site, folder, entry_of, catalogue):
    catalogue(row(entry_of, "coco", f"{CLOSED}/coco.pth"), row(entry_of, "imagenet"))
    chosen = choose_weights("ResNet18")
    assert chosen.value == "IMAGENET"
    assert re.fullmatch(
        rf"imagenet, downloaded to {folder}/imagenet\.pth "
        r"\(not COCO: 127\.0\.0\.1:9 cannot be reached \(.*refused\)\)",
        chosen.reason,
    )


def test_better_weights_than_the_best_that_are_wanted_are_not_asked_for(
    site, folder, entry_of, catalogue
):
    catalogue(row(entry_of, "coco"), row(entry_of, "imagenet"))
    assert choose_weights("ResNet18", best="IMAGENET").value == "IMAGENET"
    assert not (folder / "coco.pth").exists()


def test_a_detector_whose_backbone_alone_fits_is_not_asked_for(site, folder, entry_of, catalogue):
    catalogue(row(entry_of, "coco", backbone_only=True), row(entry_of, "imagenet"))
    assert choose_weights("ResNet18", with_fpn=False).value == "IMAGENET"
    assert all(path == "/w.pth" for path, _ in site.requests)


def test_a_damaged_file_is_passed_over_and_named(site, folder, entry_of, catalogue):
    catalogue(row(entry_of, "coco", hash_prefix="abcdef"), row(entry_of, "imagenet"))
    folder.mkdir()
    (folder / "coco.pth").write_bytes(b"half")
    chosen = choose_weights("ResNet18")
    assert chosen.value == "IMAGENET"
    assert f"not COCO: {folder / 'coco.pth'} is damaged" in chosen.reason


# files at hand


@pytest.fixture
def nothing_published(catalogue, entry_of):
    catalogue(row(entry_of, "coco", f"{CLOSED}/c"), row(entry_of, "imagenet", f"{CLOSED}/i"))


@pytest.mark.usefixtures("nothing_published")
@pytest.mark.parametrize("where", ["weights", ".", "cache"])
def test_a_file_at_hand_with_the_layers_of_the_backbone(tmp_path, folder, monkeypatch, where):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "cache"))
    path = save_small(tmp_path / where)
    chosen = choose_weights("ResNet18")
    assert chosen.value == str(path)
    assert chosen.reason.startswith("a file at hand with all layers of ResNet18 (not COCO: ")
    assert "; not IMAGENET: 127.0.0.1:9 cannot be reached" in chosen.reason


@pytest.mark.usefixtures("nothing_published")
def test_files_with_names_of_a_zoo_come_first_and_others_are_passed_over(tmp_path, folder):
    save_small(tmp_path, "a.pth")
    (tmp_path / "R-50-other.pkl").write_bytes(pickle.dumps({"model": {}}))
    expected = save_small(tmp_path, "model_final_x.pth")
    assert choose_weights("ResNet18").value == str(expected)


@pytest.mark.usefixtures("nothing_published")
def test_when_there_is_nothing_it_says_what_was_tried_and_what_to_do(tmp_path, folder, monkeypatch):
    save_small(tmp_path, "other.pth", "resnet34")
    (tmp_path / "notes.pth").write_text("no weights")
    (tmp_path / "large.safetensors").touch()
    monkeypatch.setattr(choice, "_LARGEST_BYTES", 1e6)
    with (tmp_path / "large.safetensors").open("wb") as file:
        file.truncate(2_000_000)
    with pytest.raises(ValueError, match="no starting weights for ResNet18") as caught:
        choose_weights("ResNet18")
    text = str(caught.value)
    for what in (
        "COCO: 127.0.0.1:9 cannot be reached", "IMAGENET: 127.0.0.1:9 cannot be reached",
        f"{tmp_path / 'other.pth'}: has res2.2.conv1.weight, which ResNet18 does not have",
        f"{tmp_path / 'notes.pth'}: cannot be read as a weight file",
        f"{tmp_path / 'large.safetensors'}: larger than any detector here",
        f"no file in {folder}, {tmp_path} has all layers",
        f"save it as {folder / 'coco.pth'}", "pretrain_weights null", "train.pretrain_weights=PATH",
    ):  # fmt: skip
        assert what in text
    assert not folder.exists()


@pytest.mark.parametrize(
    ("model", "backbone"),
    [("resnet18", "ResNet18"), ("resnet50", "ResNet50"), ("resnet101", "ResNet101")],
)
def test_layers_of_torchvision_s_networks(model, backbone):
    own = state(resnet(model), map_torchvision_resnet)
    assert misfit_of_layers(own, backbone) == ""
    detector = {f"backbone.bottom_up.{name}": tensor for name, tensor in own.items()}
    assert misfit_of_layers(detector, backbone) == ""
    for other in {"ResNet18", "ResNet50", "ResNet101", "ResNet50_vd", "HRNet_W18"} - {backbone}:
        assert misfit_of_layers(own, other)


def test_layers_of_timm_s_networks_and_of_networks_that_nobody_has():
    deep = state(of_timm("resnet50d"), map_torchvision_resnet)
    assert misfit_of_layers(deep, "ResNet50_vd") == misfit_of_layers(deep, "ResNet50_vd_ssld") == ""
    assert misfit_of_layers(deep, "ResNet50")
    assert misfit_of_layers(state(of_timm("hrnet_w18"), map_timm_hrnet), "HRNet_W18") == ""
    assert misfit_of_layers(state(of_timm("hrnet_w30"), map_timm_hrnet), "HRNet_W18")
    wide = state(resnet("wide_resnet50_2"), map_torchvision_resnet)
    assert "channels, not" in misfit_of_layers(wide, "ResNet50")


# without network


@pytest.mark.parametrize("variable", OFFLINE_VARIABLES)
def test_forbidden_downloads_are_not_tried(site, folder, entry_of, monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    assert why_unreachable(entry_of()) == f"{variable}=1 forbids downloads"
    assert site.requests == []


def test_a_server_that_refuses_is_in_reach(site, folder, entry_of):
    """What it refuses, and whether to try again, is the download's to say."""
    site.plan = [{"status": 404}, {"status": 503}]
    assert [why_unreachable(entry_of()) for _ in range(3)] == ["", "", ""]


def test_a_server_that_says_nothing_is_given_up_soon(folder, entry_of, monkeypatch):
    monkeypatch.setattr(download, "PROBE_SECONDS", 0.05)

    def looks_up_forever(*_):
        time.sleep(0.7)
        raise download._DownloadError("at last")

    monkeypatch.setattr(download, "_open", looks_up_forever)
    started = time.monotonic()
    assert why_unreachable(entry_of()).endswith("cannot be reached (no answer in 0.1 s)")
    assert time.monotonic() - started < 0.6


def look(*row):
    return str(choose_weights(*row, without_network=True))


def test_looking_only_says_what_is_going_to_be_downloaded(folder, monkeypatch):
    assert look("ResNet50") == "COCO: about 178 MB will be downloaded when training starts"
    assert look("ResNet50", False).startswith("COCO: about 144 MB")
    assert look("ResNet18", False).startswith("IMAGENET: about 47 MB")
    monkeypatch.setenv(OFFLINE_VARIABLES[0], "1")
    assert look("ResNet50").startswith(f"COCO: not in {folder}, and {OFFLINE_VARIABLES[0]}=1 ")
    folder.mkdir()
    (folder / find_entry("ResNet50", "IMAGENET").file_name).touch()
    assert look("ResNet50") == "IMAGENET: on disk"
    (folder / find_entry("ResNet50", "COCO").file_name).touch()
    assert look("ResNet50") == "COCO: on disk"


def test_looking_only_needs_no_torch(folder):
    code = (
        "import sys; from paddlex_maskrcnn.weights.choice import choose_weights\n"
        "from paddlex_maskrcnn.weights.catalogue import all_entries\n"
        "print(choose_weights('ResNet18', without_network=True))\n"
        "assert not {'torch', 'torchvision', 'detectron2'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("COCO: about 125 MB")


def test_every_row_has_a_size_and_a_pattern(tmp_path):
    for backbone, kind, with_fpn, entry in all_entries():
        (tmp_path / entry.file_name).touch()
        pattern = pattern_of_file(backbone, kind, with_fpn is not False)
        assert tmp_path / entry.file_name in set(tmp_path.glob(pattern))
        assert entry.backbone_only or backbone in choice._MEGABYTES[kind]
    for backbone in ("ResNet18", "ResNet50", "ResNet101"):
        enum = getattr(torchvision.models, f"{backbone}_Weights").IMAGENET1K_V1
        size = enum.meta["_file_size"] * 2**20 / 1e6
        assert choice._MEGABYTES["IMAGENET"][backbone] == pytest.approx(size, rel=0.02)


def test_the_folder_is_torch_s_also_before_torch_is_imported(monkeypatch, tmp_path):
    for name in ("PADDLEX_MASKRCNN_WEIGHTS", "TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for variable, value in ((None, ""), ("XDG_CACHE_HOME", "~/x"), ("TORCH_HOME", str(tmp_path))):
        if variable:
            monkeypatch.setenv(variable, value)
        with_torch = weights_folder()
        with monkeypatch.context() as patch:
            patch.delitem(sys.modules, "torch")
            assert weights_folder() == with_torch


def test_nothing_is_logged_of_servers_out_of_reach(folder, entry_of, caplog):
    """The choice tells it, in one sentence."""
    with caplog.at_level(logging.INFO):
        why_unreachable(entry_of(url=f"{CLOSED}/x"))
    assert caplog.text == ""
