"""The store of an OME-Zarr folder that reads regular files only.

A pipe in place of a chunk would be waited for without end. This module imports zarr, and is
imported only where an image is opened.
"""

from __future__ import annotations

from typing import Any

from zarr.storage import LocalStore

from napari_hemacells.core.files.safe_files import check_readable


class RegularFileStore(LocalStore):
    """A folder whose pipes and devices are refused with a :class:`StorageError`."""

    async def get(self, key: str, *args: Any, **options: Any) -> Any:
        """Return the content of a file; ``None`` where there is none."""
        check_readable(self.root / key)
        return await super().get(key, *args, **options)

    def get_sync(self, key: str, **options: Any) -> Any:
        """Return the content as :meth:`get` does; zarr uses it from 3.2 on."""
        check_readable(self.root / key)
        return super().get_sync(key, **options)
