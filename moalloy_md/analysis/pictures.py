"""Pictures of atoms by OVITO, drawn without a display."""

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

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

#: Where fewer atoms than this have a number, they are drawn larger.
_FEW = 0.1
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


def draw_values(
    atoms: Atoms,
    values: ArrayLike,
    *,
    label: str,
    is_flat: bool,
    size: tuple[int, int] = (1000, 560),
) -> bytes:
    """Draw atoms coloured by a number of theirs: blue below zero, white at zero, red above.

    Parameters
    ----------
    atoms
        Any cell.
    values
        ``(n_atoms,)``; atoms with nan are grey and small.
    label
        What the values are, for the colour bar.
    is_flat
        Whether they are seen along the first cell vector, in parallel, third vector to the right:
        boundaries. Otherwise in perspective.
    size
        Pixels, width and height.

    Returns
    -------
    bytes
        A PNG.

    Raises
    ------
    OvitoError
        If OVITO, or a system library that it needs, is missing.
    """
    load_ovito()
    from ovito.io.ase import ase_to_ovito

    numbers = np.asarray(values, dtype=np.float64)
    known = np.isfinite(numbers)
    reach = max(float(np.abs(numbers[known]).max(initial=0.0)), 1e-6)
    data = ase_to_ovito(
        Atoms(atoms.numbers, atoms.get_positions(wrap=True), cell=atoms.cell.array, pbc=atoms.pbc)
    )
    colours = np.where(
        known[:, None], _blue_white_red(np.nan_to_num(numbers) / reach), np.array(HOST_COLOUR)
    )
    data.particles_.create_property("Color", data=colours)
    # few among many would not be seen
    radius = DOPANT_RADIUS_ANGSTROM * (1.0 if known.mean() > _FEW else 2.0)
    data.particles_.create_property(
        "Radius", data=np.where(known, radius, 0.6 * HOST_RADIUS_ANGSTROM)
    )
    picture = draw(data, size=size, direction=(1.0, 0.0, 0.0) if is_flat else None)
    return _with_colour_bar(picture, reach, label)


def _blue_white_red(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Colours of numbers from -1 to 1, ``(n, 3)``."""
    blue, white, red = (np.array(c) for c in ((0.10, 0.28, 0.70), (0.96,) * 3, (0.75, 0.16, 0.10)))
    weight = np.clip(x, -1.0, 1.0)[:, None]
    mixed: NDArray[np.float64] = np.where(
        weight < 0, white + weight * (white - blue), white + weight * (red - white)
    )
    return mixed


def _with_colour_bar(picture: bytes, reach: float, label: str) -> bytes:
    """Put a scale from -reach to reach below a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.image import imread

    image = imread(io.BytesIO(picture))
    height, width = image.shape[:2]
    dpi, band = 144, 0.75
    figure = Figure(figsize=(width / dpi, height / dpi + band), dpi=dpi)
    FigureCanvasAgg(figure)
    share = band / (height / dpi + band)
    above = figure.add_axes((0, share, 1, 1 - share))
    above.imshow(image, aspect="auto")
    above.set_axis_off()
    below = figure.add_axes((0.25, 0.62 * share, 0.5, 0.2 * share))
    scale = np.linspace(-1.0, 1.0, 200)
    below.imshow(_blue_white_red(scale)[None], aspect="auto", extent=(-reach, reach, 0.0, 1.0))
    below.set_yticks([])
    below.tick_params(labelsize=8)
    below.set_xlabel(label, fontsize=9)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def draw(
    data: Any,
    *,
    size: tuple[int, int] = (860, 740),
    direction: tuple[float, float, float] | None = None,
) -> bytes:
    """Draw a frame, as its particles' colours and radii say.

    Parameters
    ----------
    data
        OVITO's DataCollection; its dislocation lines, if there are any, are drawn as well.
    size
        Pixels, width and height.
    direction
        Where the camera looks, in parallel, with z to the right; in perspective where None.

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
        if direction is None:
            view = Viewport(type=Viewport.Type.Perspective, camera_dir=(-2.2, 1.4, -0.8))
            view.zoom_all(size=size)
            view.fov = _angle_of_view(data, view, size)
        else:
            view = Viewport(
                type=Viewport.Type.Ortho, camera_dir=direction, camera_up=(0.0, 1.0, 0.0)
            )
            view.zoom_all(size=size)
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
