"""A cache folder, and catalogue rows of a web site that misbehaves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from paddlex_maskrcnn.weights import download
from paddlex_maskrcnn.weights.catalogue import CatalogueEntry
from paddlex_maskrcnn.weights.download import FOLDER_VARIABLE, OFFLINE_VARIABLES
from paddlex_maskrcnn.weights.input_format import IMAGENET_RGB
from support.flaky_site import CONTENT, Site

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A running site; pauses between tries are left out, proxies of this machine too."""
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.0)
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    site = Site()
    yield site
    site.close()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "weights"))
    for name in (*OFFLINE_VARIABLES, "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "weights"


@pytest.fixture
def entry_of(site, folder):
    """Makes the catalogue's row of a file the site has."""

    def build(**fields):
        site.files["/w.pth"] = CONTENT
        fields = {"url": f"{site.address}/w.pth", "licence": "MIT", **fields}
        return CatalogueEntry("our w", file_name="w.pth", input_format=IMAGENET_RGB, **fields)

    return build


@pytest.fixture
def entry(entry_of):
    """A row without a hash, so that nothing but the transfer itself can notice wrong bytes."""
    return entry_of()


@pytest.fixture
def one_attempt(monkeypatch):
    """A download gives up at the first break."""
    monkeypatch.setattr(download, "ATTEMPTS", 1)
