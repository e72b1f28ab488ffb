"""What every report has in common: pictures inside the page, the look, the number filters."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moalloy_md.report import plots
from moalloy_md.report.numbers import significant, with_error
from moalloy_md.rundir import replacing

_CSS_PIXELS_PER_PIXEL = 96 / plots.DPI


@dataclass(frozen=True)
class Picture:
    """A picture in a report.

    Attributes
    ----------
    png
        The file's bytes.
    caption
        What is to be seen, in a sentence; also the text for those who cannot see it.
    """

    png: bytes
    caption: str

    @property
    def uri(self) -> str:
        """The picture as text that an HTML file can hold."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()

    @property
    def width(self) -> int:
        """Width on the page, in CSS pixels, at which its letters are as large as the text."""
        return round(int.from_bytes(self.png[16:20], "big") * _CSS_PIXELS_PER_PIXEL)


def write_page(out: Path, template: str, **content: Any) -> None:
    """Fill a template of this folder and write the page, whole or not at all."""
    page = _environment().get_template(template).render(**content)
    with replacing(out) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _environment() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["sig"] = significant
    environment.filters["pm"] = with_error
    return environment
