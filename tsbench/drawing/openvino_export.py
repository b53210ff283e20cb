"""A Flux in diffusers' format becomes OpenVINO IR, once, in a cache folder."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

from tsbench.cell import Settings, digest
from tsbench.errors import UserError, first_line
from tsbench.models.source import identity
from tsbench.packages import installed_version, needs_package

LIBRARIES = ("openvino", "openvino-genai", "openvino-tokenizers")


def missing() -> str | None:
    """The first library of the extra that is not installed, and how it is; None if all are there."""
    return next(filter(None, (needs_package(library, "openvino") for library in LIBRARIES)), None)


def check_installed() -> None:
    """Raise `UserError` if a library of the extra is missing."""
    if reason := missing():
        raise UserError(f"backend=openvino cannot draw here: {reason}.")


def cache_folder() -> Path:
    """Where exported models are kept: $TSBENCH_CACHE, else tsbench/ in the user's cache folder."""
    own = os.environ.get("TSBENCH_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tsbench"


def is_exported(folder: Path) -> bool:
    """Whether a folder holds OpenVINO IR, as optimum-intel or `export` writes it."""
    return (folder / "transformer" / "openvino_model.xml").is_file()


def exported(folder: Path) -> Path:
    """The folder of a model's IR, made where it is not in the cache.

    A folder that is IR already is taken as it is, but for the scheduler's configuration, which is mended in a copy.

    Args:
        folder: a model in diffusers' format, or its IR.

    Raises:
        UserError: if OpenVINO is not installed, or the cache cannot be written to.
    """
    check_installed()
    versions = [installed_version(library) for library in (*LIBRARIES, "torch", "transformers", "diffusers")]
    linked_to = str(folder.resolve()) if is_exported(folder) else None  # elsewhere, links are to other files
    code = Path(__file__).read_text(encoding="utf-8")
    key = digest([identity(folder), linked_to, versions, code])[:16]
    place = cache_folder() / "openvino" / key
    if place.is_dir():
        return place
    partial = place.with_name(f".{key}.{os.getpid()}")
    for left in place.parent.glob(f".{key}.*"):  # by an export that was killed
        if left == partial or not _is_running(left.suffix[1:]):
            shutil.rmtree(left, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise UserError(
            f"{place.parent}, where exported models are kept, cannot be written to ({error.strerror}); choose another "
            "folder by the environment variable TSBENCH_CACHE."
        ) from error
    try:
        if is_exported(folder):
            _linked(folder, partial)
        else:
            _export(folder, partial)
        _write_scheduler(folder, partial)
        try:
            partial.rename(place)
        except OSError:
            if not place.is_dir():  # else another process has put the same there meanwhile
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return place


def _is_running(process: str) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        return True
    return True


def _linked(folder: Path, target: Path) -> None:
    """The user's files by links, so that none of them is touched."""
    for source in folder.iterdir():
        if source.name != "scheduler":
            (target / source.name).symlink_to(source.resolve())


def _write_scheduler(folder: Path, target: Path) -> None:
    """Without `time_shift_type`: OpenVINO GenAI takes "exponential", which diffusers writes, for FLUX.2's shift."""
    config = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    config.pop("time_shift_type", None)
    (target / "scheduler").mkdir()
    (target / "scheduler" / "scheduler_config.json").write_text(json.dumps(config, indent=1))


def _export(folder: Path, target: Path) -> None:
    import openvino
    import openvino_tokenizers
    import torch

    from tsbench.drawing.diffusers import load_pipeline

    try:
        pipeline = load_pipeline(folder, Settings("float32", "none", False, ""), torch.device("cpu"))
    except UserError:
        raise
    except Exception as error:  # of several libraries
        raise UserError(f"The model in {str(folder)!r} cannot be loaded: {first_line(error)}.") from error
    for name, (module, example, config) in _submodels(pipeline).items():
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", torch.jit.TracerWarning)  # of branches that are the same for every input
            model = openvino.convert_model(module.eval(), example_input=example)
        for port, text in zip(model.inputs, example, strict=True):
            port.get_tensor().set_names({text})
        (target / name).mkdir()
        _save(model, target / name / "openvino_model.xml")
        (target / name / "config.json").write_text(json.dumps(config, indent=1, default=str))
    for name in ("tokenizer", "tokenizer_2"):
        (target / name).mkdir()
        model = openvino_tokenizers.convert_tokenizer(getattr(pipeline, name))
        _save(model, target / name / "openvino_tokenizer.xml")
    shutil.copy(folder / "model_index.json", target)


def _save(model: Any, file: Path) -> None:
    import openvino

    try:
        openvino.save_model(model, file, compress_to_fp16=False)
    except RuntimeError as error:  # which does not say what is wrong with the disk
        free = shutil.disk_usage(file.parent).free / 2**30
        raise UserError(
            f"{file} could not be written ({first_line(error)}), with {free:.1f} GiB free there; TSBENCH_CACHE=FOLDER "
            "keeps exported models elsewhere."
        ) from error


def _submodels(pipeline: Any) -> dict[str, tuple[Any, dict[str, Any], dict[str, Any]]]:
    """By name: what is exported, example inputs by name, and its configuration."""
    import torch
    from torch import nn

    class Clip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = pipeline.text_encoder

        def forward(self, input_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            output = self.model(input_ids)
            return output.last_hidden_state, output.pooler_output

    class T5(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = pipeline.text_encoder_2

        def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
            return self.model(input_ids).last_hidden_state

    class Transformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = pipeline.transformer

        def forward(
            self,
            hidden_states: torch.Tensor,
            timestep: torch.Tensor,
            pooled_projections: torch.Tensor,
            encoder_hidden_states: torch.Tensor,
            txt_ids: torch.Tensor,
            img_ids: torch.Tensor,
            guidance: torch.Tensor | None = None,
        ) -> torch.Tensor:
            return self.model(
                hidden_states=hidden_states,
                timestep=timestep,
                pooled_projections=pooled_projections,
                encoder_hidden_states=encoder_hidden_states,
                txt_ids=txt_ids,
                img_ids=img_ids,
                guidance=guidance,
                return_dict=False,
            )[0]

    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = pipeline.vae

        def forward(self, latent_sample: torch.Tensor) -> torch.Tensor:
            return self.model.decode(latent_sample, return_dict=False)[0]

    config = pipeline.transformer.config
    text, image, channels = 8, 16, pipeline.vae.config.latent_channels
    inputs = {
        "hidden_states": torch.randn(1, image, config.in_channels),
        "timestep": torch.ones(1),
        "pooled_projections": torch.randn(1, config.pooled_projection_dim),
        "encoder_hidden_states": torch.randn(1, text, config.joint_attention_dim),
        "txt_ids": torch.zeros(text, 3),
        "img_ids": torch.rand(image, 3),
    }
    if config.guidance_embeds:
        inputs["guidance"] = torch.ones(1)
    ids = {"input_ids": torch.ones(1, 77, dtype=torch.long)}
    ids_2 = {"input_ids": torch.ones(1, 16, dtype=torch.long)}
    return {
        "text_encoder": (Clip(), ids, pipeline.text_encoder.config.to_dict()),
        "text_encoder_2": (T5(), ids_2, pipeline.text_encoder_2.config.to_dict()),
        "transformer": (Transformer(), inputs, dict(config)),
        "vae_decoder": (Decoder(), {"latent_sample": torch.randn(1, channels, 8, 8)}, dict(pipeline.vae.config)),
    }
