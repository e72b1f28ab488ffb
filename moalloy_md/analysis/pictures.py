"""Pictures of atoms by OVITO, drawn without a display."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from moalloy_md.analysis.ovito_support import (
    compute_frame,
    load_ovito,
    open_frames,
    refused_frame,
)
from moalloy_md.analysis.topics.base import (
    DOPANT_COLOURS,
    DOPANT_RADIUS_ANGSTROM,
    HOST_COLOUR,
    HOST_RADIUS_ANGSTROM,
)

#: Width and height of a picture over those of what is in it, so that no sphere is cut.
_MARGIN = 1.08


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
    wrapping = load_ovito().modifiers.WrapPeriodicImagesModifier()
    with refused_frame(frame):
        pipeline = open_frames(frame)
        pipeline.modifiers.append(wrapping)
        data = compute_frame(pipeline, pipeline.source.num_frames - 1)
    particles = data.particles_
    types = particles.particle_types
    names = {kind.id: kind.name for kind in types.types}
    is_host = np.array([names[number] == host for number in types])
    particles.create_property(
        "Color", data=np.where(is_host[:, None], HOST_COLOUR, DOPANT_COLOURS[0])
    )
    particles.create_property(
        "Radius", data=np.where(is_host, HOST_RADIUS_ANGSTROM, DOPANT_RADIUS_ANGSTROM)
    )
    return draw(data, size=size)


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
    from ovito.vis import TachyonRenderer, Viewport

    if data.cell is not None:
        data.cell.vis.line_width = 0.009 * float(np.linalg.norm(data.cell[:, 0]))
        data.cell.vis.rendering_color = (0.35, 0.40, 0.46)
    pipeline = Pipeline(source=StaticSource(data=data))
    pipeline.add_to_scene()
    try:
        view = Viewport(type=Viewport.Type.Perspective, camera_dir=(-2.2, 1.4, -0.8))
        view.zoom_all(size=size)
        view.fov = _angle_of_view(data, view, size)
        with tempfile.TemporaryDirectory(prefix="moalloy-picture-") as folder:
            file = Path(folder) / "picture.png"
            view.render_image(
                filename=str(file), size=size, renderer=TachyonRenderer(), background=(1, 1, 1)
            )
            return file.read_bytes()
    finally:
        pipeline.remove_from_scene()


def _angle_of_view(data: Any, view: Any, size: tuple[int, int]) -> float:
    """Vertical angle, radians, that shows all atoms and the cell; OVITO's own leaves wide margins."""
    points = np.array(data.particles.positions)
    if data.cell is not None:
        corners = np.stack(np.meshgrid(*3 * [[0.0, 1.0]]), axis=-1).reshape(-1, 3)
        cell = np.array(data.cell[...])
        points = np.concatenate([points, corners @ cell[:, :3].T + cell[:, 3]])
    forward = np.array(view.camera_dir) / np.linalg.norm(view.camera_dir)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    seen = points - view.camera_pos
    across, up = np.abs(seen @ right), np.abs(seen @ np.cross(right, forward))
    tangent = np.maximum(up, across * size[1] / size[0]) / (seen @ forward)
    return 2.0 * float(np.arctan(_MARGIN * tangent.max()))
