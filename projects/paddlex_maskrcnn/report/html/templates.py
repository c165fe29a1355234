"""Pages from Jinja templates: one HTML file that needs nothing else, for a browser, a mail, a CI.

No script, no font, no picture from elsewhere. Templates and style sheets lie beside this file;
`chart.html.j2` is the card of a chart on every page.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

STYLE = "style.css"  # what all pages share


def render_template(
    name: str,
    *,
    styles: Sequence[str] = (STYLE,),
    filters: Mapping[str, Callable[..., Any]] | None = None,
    **values: Any,
) -> str:
    """The HTML text of a page; values are escaped unless they are `Markup`.

    Args:
        name: file name of the template.
        styles: file names of style sheets; the template gets them as `style`.
        filters: of the template, by name.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= dict(filters or {})
    folder = resources.files(__package__)
    style = Markup("".join((folder / sheet).read_text(encoding="utf-8") for sheet in styles))
    return environment.get_template(name).render(style=style, **values)
