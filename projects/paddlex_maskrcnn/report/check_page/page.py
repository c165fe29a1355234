"""The page of `check`: one file that needs nothing else, for a browser, a mail or a CI artefact."""

from collections.abc import Sequence
from html import escape

import numpy as np

from ...data.check.anchor_findings import AnchorReport
from ...data.check.collecting import Part
from ...data.check.findings import LEVELS, Finding, Place
from ...data.check.inspection import Inspection
from . import text
from .charts import histogram
from .crops import embedded, object_picture, side_by_side, whole_picture
from .style import style

_SAMPLES = 12
_PICTURES = 8  # of each finding
_LISTED = 200  # places of each finding; json has all
_MOST_SIDE_BY_SIDE = 3


def as_page(found: Inspection, parts: Sequence[Part], seed: int = 0) -> str:
    """The page as HTML.

    Args:
        parts: the data sets, for pictures.
        seed: which images are shown as samples.
    """
    album = _Album(parts)
    sections = [
        ("findings", "Findings", _findings(found, album)),
        ("samples", "Samples", album.samples(seed)),
        ("numbers", "What is there", _numbers(found)),
        ("classes", "Classes", _classes(found)),
        ("distributions", "Distributions", _charts(found)),
    ]
    if found.anchors:
        sections.append(("anchors", "Anchors", _anchors(found.anchors, found.plan.resizing)))
    links = "".join(f'<a href="#{key}">{name}</a>' for key, name, _ in sections)
    body = "".join(f'<h2 id="{key}">{name}</h2>{html}' for key, name, html in sections)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Data check</title><style>{style()}</style></head><body><main>"
        f"{_head(found)}<nav>{links}</nav>{body}</main></body></html>\n"
    )


class _Album:
    """Pictures of the data sets' images."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = {part.name: part.dataset for part in parts}

    def samples(self, seed: int) -> str:
        """Images with their masks, drawn at random, those with objects first."""
        rng, figures = np.random.default_rng(seed), []
        share = -(-_SAMPLES // len(self.parts))
        for name, dataset in self.parts.items():
            order = rng.permutation(len(dataset.records))
            has_objects = dataset.records.num_objects[order] > 0
            for image in order[np.argsort(~has_objects, kind="stable")][:share]:
                record = dataset.records[int(image)]
                picture = whole_picture(record, dataset.labels, 480)
                count = len(record["annotations"])
                words = f"{name} image {record['image_id']}: {count} object{'s' * (count != 1)}"
                if picture is not None:
                    figures.append(_figure(picture, words))
        return f'<div class="pictures samples">{"".join(figures)}</div>'

    def of(self, place: Place) -> str:
        """The picture of a place; empty without one."""
        if place.part not in self.parts:
            return ""
        dataset = self.parts[place.part]
        record = dataset.records[place.image]
        if place.others:
            shown = [(place.part, place.image), *place.others][:_MOST_SIDE_BY_SIDE]
            picture = side_by_side([self.parts[name].records[image] for name, image in shown])
        elif place.objects:
            picture = object_picture(record, dataset.labels, place.objects)
        else:
            picture = whole_picture(record, dataset.labels, 320)
        return "" if picture is None else _figure(picture, _short(place.text))


def _short(words: str) -> str:
    """A place without the folders of its files."""
    return "'".join(
        piece.rsplit("/", 1)[-1] if k % 2 else piece for k, piece in enumerate(words.split("'"))
    )


def _figure(picture: np.ndarray, words: str) -> str:
    height, width = picture.shape[:2]
    return (
        f'<figure><img src="{embedded(picture)}" width="{width}" height="{height}" '
        f'loading="lazy" alt="{escape(words)}"><figcaption>{escape(words)}</figcaption></figure>'
    )


def _head(found: Inspection) -> str:
    counts = "".join(
        f'<div class="card is-{level if found.count(level) else "none"}">'
        f"<b>{found.count(level)}</b>"
        f"{level}{'' if found.count(level) == 1 else 's'}</div>"
        for level in LEVELS
    )
    sources = "".join(
        f'<p class="muted source">{escape(one.part)}: {escape(one.source)}</p>'
        for one in found.summaries
    )
    return f'<h1>Data check</h1>{sources}<div class="counts">{counts}</div>'


def _findings(found: Inspection, album: _Album) -> str:
    if not found.findings:
        return '<p class="card">Nothing to complain about.</p>'
    return "".join(_finding(one, album) for one in found.findings)


def _finding(one: Finding, album: _Album) -> str:
    shown = [html for html in map(album.of, one.places[:_PICTURES]) if html]
    pairs = " pairs" if any(place.others for place in one.places) else ""
    pictures = f'<div class="pictures{pairs}">{"".join(shown)}</div>' if shown else ""
    items = "".join(f"<li>{escape(place.text)}</li>" for place in one.places[:_LISTED])
    more = len(one.places) - _LISTED
    items += f"<li>and {more} more: --json lists all</li>" if more > 0 else ""
    places = f'<ul class="places">{items}</ul>' if items else ""
    part = f'<span class="muted">{escape(one.part)}</span>' if one.part else ""
    is_open = " open" if one.level != LEVELS[-1] else ""
    return (
        f'<details{is_open}><summary><span class="level is-{one.level}">{one.level}</span>'
        f'<span class="what">{escape(one.headline())}</span>{part}</summary><div>'
        f'<p class="remedy">{escape(_sentence(one.remedy))}</p>{pictures}'
        f"{places}</div></details>"
    )


def _sentence(words: str) -> str:
    is_name = "." in words.split(":")[0].split()[0]  # of a setting
    return (words if is_name else words[0].upper() + words[1:]) + "."


def _numbers(found: Inspection) -> str:
    rows = [["", *(one.part for one in found.summaries)]]
    rows += [[name, *values] for name, values in text.summary_rows(found.summaries)]
    return f'<div class="card scroll">{_table(rows)}</div>'


def _classes(found: Inspection) -> str:
    header = text.class_header([one.part for one in found.summaries])
    ordered = sorted(found.classes, key=lambda row: -sum(row.objects))
    most = max((share for row in ordered for share in row.share), default=0) or 1
    body = "".join(
        _row(
            text.class_cells(row), f'<i class="meter" style="width:{row.share[0] / most:.1%}"></i>'
        )
        for row in ordered
    )
    return (
        f'<div class="card scroll tall"><table class="wide">{_head_row(header)}{body}</table></div>'
    )


def _charts(found: Inspection) -> str:
    names = [one.part for one in found.summaries]
    legend = "".join(
        f'<span><i class="part{k}"></i>{escape(name)}</span>' for k, name in enumerate(names)
    )
    cards = "".join(
        f'<div class="card"><h3>{escape(one.title)}</h3>{histogram(one)}</div>'
        for one in found.histograms
    )
    words = '<p class="muted">Share of all; dashed lines are the anchors in use.</p>'
    return f'{words}<div class="parts">{legend}</div><div class="charts">{cards}</div>'


def _anchors(report: AnchorReport, resizing: str) -> str:
    words = (
        f"Share of objects that some anchor overlaps this well, after <code>{escape(resizing)}"
        f"</code>. The RPN learns an object as a positive from IoU 0.7 on, or from its best anchor."
    )
    lines = [f"<p>{words}</p>", f"<p>In use: <code>{text.anchors_in_words(report.used)}</code></p>"]
    if report.better:
        named = text.anchors_in_words(report.better)
        lines.append(f"<p>Better: <code>{named}</code></p>")
    rows = [text.anchor_header(report), *text.anchor_cells(report)]
    return f'<div class="card scroll">{"".join(lines)}{_table(rows)}</div>'


def _table(rows: Sequence[Sequence[str]]) -> str:
    return (
        '<table class="wide">'
        + f"{_head_row(rows[0])}{''.join(_row(row) for row in rows[1:])}</table>"
    )


def _head_row(cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in cells) + "</tr>"


def _row(cells: Sequence[str], after_first: str = "") -> str:
    first = f"<td>{escape(cells[0])}{after_first}</td>"
    return "<tr>" + first + "".join(f"<td>{escape(cell)}</td>" for cell in cells[1:]) + "</tr>"
