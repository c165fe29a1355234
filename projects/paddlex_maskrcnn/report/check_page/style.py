"""The look of the page: the style sheet of the analysis' page, and what only this one has."""

from importlib import resources

from .. import html

_OWN = """
:root{--error:#c6262e;--warning:#a86500;--hint:#4a6076}
@media(prefers-color-scheme:dark){:root{--error:#ff7b80;--warning:#f0b04c;--hint:#a9bccf}}
h2{margin:34px 0 10px}p{margin:4px 0}a{color:var(--s1)}.source{overflow-wrap:anywhere}
nav{display:flex;flex-wrap:wrap;gap:4px 16px;margin-top:12px}
.counts{display:flex;flex-wrap:wrap;gap:10px;margin:14px 0 6px}
.counts b{font-size:24px;display:block;line-height:1.2}.counts .card{min-width:104px}
.is-error{color:var(--error)}.is-warning{color:var(--warning)}.is-note{color:var(--hint)}
.is-none{color:var(--muted)}
details{background:var(--card);border:1px solid var(--rule);border-radius:10px;margin:8px 0}
details>div{padding:0 16px 14px}
summary{cursor:pointer;padding:11px 16px;display:flex;gap:4px 12px;align-items:baseline;
flex-wrap:wrap;list-style:none}
summary::-webkit-details-marker{display:none}
summary::before{content:"\\25B8";color:var(--muted)}details[open]>summary::before{content:"\\25BE"}
summary .level{font-weight:700;min-width:66px}summary .what{flex:1 1 240px;font-weight:600}
.remedy{margin:0 0 10px}
ul.places{margin:10px 0 0;padding-left:18px;font-size:13px;max-height:220px;overflow:auto;
overflow-wrap:anywhere}
td:first-child{text-align:left;white-space:normal}tr:last-child td{border-bottom:0}
.meter{display:block;height:4px;border-radius:2px;background:var(--s1);margin-top:2px;min-width:1px}
.tall{max-height:560px;overflow:auto}
.pictures{display:grid;gap:12px;grid-template-columns:repeat(auto-fill,minmax(min(100%,220px),1fr))}
.samples{grid-template-columns:repeat(auto-fill,minmax(min(100%,270px),1fr))}
.pairs{grid-template-columns:repeat(auto-fill,minmax(min(100%,420px),1fr))}
.pictures figure{margin:0}
.pictures img{width:100%;max-height:340px;object-fit:contain;display:block;height:auto;
background:color-mix(in srgb,var(--rule) 55%,transparent);border-radius:6px}
figcaption{font-size:12px;overflow-wrap:anywhere;margin-top:3px}
svg text{font:11px system-ui,sans-serif;fill:var(--muted)}svg .tick,svg .unit{text-anchor:middle}
svg .left{text-anchor:end}svg .rule{stroke:var(--rule);fill:none}
svg .mark{stroke:var(--muted);stroke-dasharray:3 3;fill:none}
svg .part0{fill:var(--s1)}svg .part1{fill:var(--s2)}
.parts{display:flex;gap:16px;font-size:13px;margin:0 0 8px}
.parts i{display:inline-block;width:11px;height:11px;border-radius:2px;margin-right:6px}
.parts .part0{background:var(--s1)}.parts .part1{background:var(--s2)}
code{font:13px ui-monospace,SFMono-Regular,Menlo,monospace;overflow-wrap:anywhere}
@media(max-width:520px){th,td{padding:5px 7px}
.pictures{grid-template-columns:repeat(auto-fill,minmax(min(100%,150px),1fr))}
.pairs,.samples{grid-template-columns:1fr}}
"""


def style() -> str:
    """The style sheet: light and dark, from phone to desktop."""
    shared = resources.files(html) / "style.css"
    return shared.read_text(encoding="utf-8") + _OWN
