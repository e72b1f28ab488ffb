"""Pictures of atoms by OVITO, drawn without a display."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from moalloy_md.analysis.ovito_support import load_ovito, refused_frame

#: Of the host and of all else, so that dopants stand out: red, green, blue from 0 to 1.
_HOST_COLOUR = (0.72, 0.76, 0.80)
_DOPANT_COLOUR = (0.75, 0.34, 0.18)
#: Part that is shown of the view that OVITO chooses: its margins are wide around a full cell, and
#: narrow around one that few particles are left in.
_VIEW, _WIDE_VIEW = 0.72, 1.05
#: Radii, Å: small enough to see dopants behind the host.
_HOST_RADIUS_ANGSTROM, _DOPANT_RADIUS_ANGSTROM = 0.65, 1.2


def draw_dopants(frame: Path, *, host: str, size: tuple[int, int] = (860, 740)) -> bytes:
    """Draw a frame in perspective, its dopants in colour.

    Parameters
    ----------
    frame
        LAMMPS dump file with the column ``element``; its last frame is drawn.
    host
        Chemical symbol of the host, which is drawn in grey.
    size
        Pixels, width and height.

    Returns
    -------
    bytes
        A PNG.

    Raises
    ------
    DataError
        If the file cannot be read.
    OvitoError
        If OVITO, or a system library that it needs, is missing.
    """
    ovito = load_ovito()
    with refused_frame(frame):
        pipeline = ovito.io.import_file(str(frame))
        pipeline.modifiers.append(ovito.modifiers.WrapPeriodicImagesModifier())
        pipeline.modifiers.append(_colouring(host))
        data = pipeline.compute(pipeline.source.num_frames - 1)
        _style_cell(data)
    return _render(pipeline, size)


def draw(data: Any, *, size: tuple[int, int] = (860, 740)) -> bytes:
    """Draw a frame in perspective, as its particles' colours and radii say.

    Parameters
    ----------
    data
        OVITO's DataCollection; its dislocation lines, if there are any, are drawn as well.
    size
        Pixels, width and height.

    Returns
    -------
    bytes
        A PNG.
    """
    load_ovito()
    from ovito.pipeline import Pipeline, StaticSource

    if data.cell is not None:
        _style_cell(data)
    return _render(Pipeline(source=StaticSource(data=data)), size, view_part=_WIDE_VIEW)


def _style_cell(data: Any) -> None:
    data.cell.vis.line_width = 0.009 * float(np.linalg.norm(data.cell[:, 0]))
    data.cell.vis.rendering_color = (0.35, 0.40, 0.46)


def _render(pipeline: Any, size: tuple[int, int], *, view_part: float = _VIEW) -> bytes:
    from ovito.vis import TachyonRenderer, Viewport

    pipeline.add_to_scene()
    try:
        view = Viewport(type=Viewport.Type.Perspective, camera_dir=(-2.2, 1.4, -0.8))
        view.zoom_all(size=size)
        view.fov *= view_part
        with tempfile.TemporaryDirectory(prefix="moalloy-picture-") as folder:
            file = Path(folder) / "picture.png"
            view.render_image(
                filename=str(file), size=size, renderer=TachyonRenderer(), background=(1, 1, 1)
            )
            return file.read_bytes()
    finally:
        pipeline.remove_from_scene()


def _colouring(host: str):  # type: ignore[no-untyped-def]  # noqa: ANN202  OVITO's own types
    def colour(_frame, data) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        particles = data.particles_
        types = particles.particle_types
        names = {kind.id: kind.name for kind in types.types}
        is_host = np.array([names[number] == host for number in types])
        colours = np.where(is_host[:, None], _HOST_COLOUR, _DOPANT_COLOUR)
        radii = np.where(is_host, _HOST_RADIUS_ANGSTROM, _DOPANT_RADIUS_ANGSTROM)
        particles.create_property("Color", data=colours)
        particles.create_property("Radius", data=radii)

    return colour
