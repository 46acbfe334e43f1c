"""An upload is cut a little above 10 MB, so that no file fills the disk; its form then refuses it by its size (F92)."""

from __future__ import annotations

from typing import Any

from django.core.files.uploadhandler import FileUploadHandler

KEPT = 10 * 1024 * 1024 + 64 * 1024


class CutLongFiles(FileUploadHandler):
    """First of the upload handlers: hands on the first 10 MB of each file and drops the rest."""

    def __init__(self, request: Any = None) -> None:
        super().__init__(request)
        self._seen = 0

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Each file counts anew."""
        super().new_file(*args, **kwargs)
        self._seen = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes | None:
        """None drops the piece."""
        self._seen += len(raw_data)
        return raw_data if self._seen <= KEPT + self.chunk_size else None

    def file_complete(self, file_size: int) -> None:
        """The next handler makes the file."""
        return
