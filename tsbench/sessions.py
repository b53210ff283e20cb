"""The models of a sweep: found beforehand, loaded when a cell needs them, one in memory at a time."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tsbench.cell import Cell, Settings
from tsbench.drawing.diffusers import DiffusersBackend
from tsbench.drawing.generate import Backend, Session
from tsbench.drawing.measure import release_memory
from tsbench.drawing.openvino import OpenVinoBackend
from tsbench.drawing.quantization import check_installed
from tsbench.environment import environment
from tsbench.errors import first_line
from tsbench.models.source import check_is_flux, configuration, find_model, identity
from tsbench.point import Point


@dataclass(frozen=True)
class NotLoaded:
    """Why there is no model for a cell."""

    reason: str
    traceback: str


class Sessions:
    """What draws the cells of a sweep.

    Attributes:
        identities: of the models, by source.
        paths: of the models as the user gave them, by identity.
    """

    def __init__(self, points: Sequence[Point]) -> None:
        """Choose the devices, set torch's number of threads, and find the models' files.

        Raises:
            UserError: for a device that is not there, or a model that is not found or no Flux.
        """
        runtime = points[0].config.runtime
        backends = {point.config.backend for point in points}
        self.threads = runtime.threads
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        self.backends: dict[str, Backend] = {}
        if "openvino" in backends:
            self.backends["openvino"] = OpenVinoBackend(runtime.device, self.threads)
        if "diffusers" in backends:
            offloads = {point.config.runtime.offload for point in points}
            self.backends["diffusers"] = DiffusersBackend(runtime.device, offloads)
        for quantized in dict.fromkeys(point.config.runtime.quantization.backend for point in points):
            if quantized is not None:
                check_installed(quantized)
        self.identities: dict[tuple[str, str | None], str] = {}
        self.paths: dict[str, str] = {}
        self._folders = {}
        for path, architecture in dict.fromkeys(point.config.model.source for point in points):
            folder = find_model(path, architecture)
            check_is_flux(folder)
            known = self.identities[path, architecture] = identity(folder)
            self.paths[known], self._folders[known] = path, folder
        self._loading: tuple[Any, ...] | None = None  # that the present session is for
        self._session: Session | NotLoaded | None = None
        self._closed_s = 0.0  # spent inside the pipelines of sessions that are closed

    def of(self, cell: Cell) -> Session | NotLoaded:
        """The model that a cell needs, or why there is none; another one is given up for it."""
        if cell.loading != self._loading or self._session is None:
            self.close()
            self._loading, self._session = cell.loading, self._loaded(cell)
        return self._session

    def close(self) -> None:
        """Give the memory back."""
        if self._session is not None and not isinstance(self._session, NotLoaded):
            self._closed_s += self._session.pipeline_s
            self._session.close()
        self._session = None

    @property
    def pipeline_s(self) -> float:
        """Seconds spent inside pipelines so far."""
        return self._closed_s + getattr(self._session, "pipeline_s", 0.0)

    def environment(self) -> dict[str, Any]:
        """What figures made here depend on."""
        devices = {name: backend.device for name, backend in self.backends.items()}
        return environment(torch.device(devices.get("diffusers", "cpu")), devices.get("openvino"))

    def hardware(self, cell: Cell) -> str:
        """The name of the device that draws a cell."""
        return self.backends[cell.backend].hardware

    def device_of(self, cell: Cell) -> str:
        """The device that draws a cell, as its backend calls it."""
        return self.backends[cell.backend].device

    def architecture(self, cell: Cell) -> dict[str, Any]:
        """The configuration of the transformer that draws a cell."""
        return configuration(self._folders[cell.workload.model], "transformer/config.json")

    def _loaded(self, cell: Cell) -> Session | NotLoaded:
        try:
            return self.backends[cell.backend].load(self._folders[cell.workload.model], cell)
        except Exception as error:
            failure = NotLoaded(
                f"The model {cell.workload.model_name!r} could not be loaded with {described(cell.settings)}: "
                f"{first_line(error)}.",
                traceback.format_exc(),
            )
        release_memory()  # which the exception held until here
        return failure


def described(settings: Settings) -> str:
    """Settings as they are written in a sentence."""
    compiled = ", compiled" if settings.compile else ""
    quantized = f", quantization {settings.quantization}" if settings.quantization else ""
    return f"dtype {settings.dtype}, offload {settings.offload}{quantized}{compiled}"
