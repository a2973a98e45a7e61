"""Make ``docs/images/thermogram-regions-{dark,light}.png``: regions and a hot spot.

A real viewer of 1280 by 800 pixels with the dock, on the synthetic thermogram. Needs a display,
or::

    xvfb-run -s "-screen 0 1280x800x24" python docs/screenshots_regions.py [dark] [light]
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from screenshots import THEMES, take, wait_until, window

if TYPE_CHECKING:
    import napari

SEED = 3


def add_thermogram(viewer: napari.Viewer) -> None:
    """Show the thermogram as a file of it would be."""
    from napari_hemacells.samples.thermogram import synthetic_thermogram
    from napari_hemacells.thermal import thermal_layer

    celsius, about, _ = thermal_layer(
        synthetic_thermogram(SEED, hot_spot="left").celsius, "Synthetic thermogram"
    )
    viewer.add_image(celsius, **about)


def shoot(theme: str) -> None:
    """The picture of one theme."""
    viewer, dock = window(theme)
    add_thermogram(viewer)
    panel = dock.thermogram
    wait_until(panel.find_button.isEnabled)
    panel.find_button.click()
    wait_until(panel.export_button.isEnabled)
    viewer.reset_view()
    take(viewer, "thermogram-regions", theme)
    viewer.close()


def main() -> None:
    """All themes asked for."""
    for theme in [one for one in THEMES if one in sys.argv[1:]] or THEMES:
        shoot(theme)


if __name__ == "__main__":
    main()
