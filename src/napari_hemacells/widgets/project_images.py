"""Opening of projects with their images; asks for files that were moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hemacells.core.errors import HemaCellsError, ImageError, ProjectError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_hemacells.core.store.project import Project
    from napari_hemacells.core.store.schema import StoredImage
    from napari_hemacells.core.types import Cells, SmearImage
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.canvas.layer_catalog import PlaneChoice
    from napari_hemacells.widgets.canvas.sight import Seen
    from napari_hemacells.widgets.canvas.viewer_bridge import ViewerBridge


def open_project_images(
    session: Session, bridge: ViewerBridge, folder: Path, ask: Callable[[str], Path | None]
) -> list[str]:
    """Open a project with all its images, show the first, and return the images that failed.

    Parameters
    ----------
    ask
        Asks the user for the file of an image that was moved or changed: given the reason, it
        returns the file, or ``None`` to continue without the image.

    Raises
    ------
    HemaCellsError
        Where the folder is no project, or none of its images is there.
    """
    from napari_hemacells.core.store.project import Project

    project = Project.open(folder)
    images: list[SmearImage] = []
    missing: list[str] = []
    frames: dict[str, PlaneChoice] = {}  # of stacks that are open, by the image's key
    for stored in project.images:
        try:
            images.append(load_stored_image(project, stored, bridge, ask, frames))
        except HemaCellsError as error:
            missing.append(str(error))
    if project.images and not images:
        raise ProjectError(missing[0])
    session.use_project(project)
    for image in reversed(images):
        if image.key not in frames:
            bridge.show_image(image)
    if images:
        frame = frames.get(images[0].key)
        if frame is not None:
            bridge.show_plane(frame.key, frame.place)
        select_image(session, bridge, images[0], "" if frame is None else frame.key)
    return missing


def select_image(
    session: Session,
    bridge: ViewerBridge,
    image: SmearImage,
    key: str = "",
    seen: Seen | None = None,
    *,
    saved: Cells | None = None,
) -> None:
    """Use this image, which is shown by the layer with this key.

    Parameters
    ----------
    seen
        What the layer showed when the image was read; what it shows now if not given.
    saved
        The image's cells, where they were read already.
    """
    key = key or bridge.show_image(image)
    bridge.claim_image(key, image.key)
    bridge.follow(key, seen)
    session.open_image(image, saved)


def load_stored_image(
    project: Project,
    stored: StoredImage,
    bridge: ViewerBridge,
    ask: Callable[[str], Path | None],
    frames: dict[str, PlaneChoice] | None = None,
) -> SmearImage:
    """Return an image of a project: of the layer that shows it, otherwise from its file.

    Parameters
    ----------
    frames
        Takes where the image is, if it is a frame of a stack that is not in sight.

    Raises
    ------
    HemaCellsError
        It is neither shown nor found; with the reason.
    """
    from napari_hemacells.core.store.project_images import read_stored_image

    shown = find_shown(bridge, stored)
    if shown is not None:
        return shown[1]
    frame = bridge.find_plane(stored.name, stored.shape, stored.key)
    if frame is not None:
        if frames is not None:
            frames[stored.key] = frame[0]
        return frame[1]
    try:
        project.locate(stored.key)
    except ProjectError as error:
        new_path = ask(str(error))
        if new_path is None:
            raise
        project.relink(stored.key, new_path)
    return read_stored_image(project, stored.key)


def find_shown(bridge: ViewerBridge, stored: StoredImage) -> tuple[str, SmearImage] | None:
    """Return the key of the layer that shows an image of a project, and the image."""
    for choice in bridge.images():
        if bridge.shape_of(choice.key) != stored.shape:
            continue
        try:
            image = bridge.read_image(choice.key)
        except ImageError:
            continue  # another layer, which is no smear
        if image is not None and image.key == stored.key:
            return choice.key, image
    return None
