"""Finding a model's files and telling what they are."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from pathlib import Path
from typing import Any

from tsbench.checks import one_of
from tsbench.drawing.quantization import COMPONENTS
from tsbench.errors import UserError, first_line
from tsbench.paths import ASSETS, expanded

HUB_PATIENCE_S = 12.0
PARTS = (*COMPONENTS, "tokenizer", "tokenizer_2", "scheduler")
GIVE_WHOLE = "give the folder of a whole model in diffusers' format by model.path=FOLDER"
WHOLE_BYTES, STRIDE_BYTES, SAMPLE_BYTES = 64 << 20, 4 << 20, 16 << 10
WEIGHTS = (  # of a part, in one file, or in several that NAME.index.json names
    "diffusion_pytorch_model.safetensors", "model.safetensors", "diffusion_pytorch_model.bin", "pytorch_model.bin",
)  # fmt: skip
LFS_POINTER = b"version https://git-lfs"
VOCABULARIES = {  # of a tokenizer, the files that have it, in one form or another
    "tokenizer": (("tokenizer.json",), ("vocab.json", "merges.txt")),
    "tokenizer_2": (("tokenizer.json",), ("spiece.model",)),
}


def find_model(path: str, architecture: str | None = None) -> Path:
    """The folder of a model in diffusers' format.

    Args:
        path: `embedded`, `architecture`, a folder, or a hub id, which is downloaded where it is not in the hub's cache.
        architecture: the name of carried configurations, for the path `architecture`.

    Raises:
        UserError: if it is none of these, or the hub does not answer, does not know it or does not let us in.
    """
    if path == "embedded":
        return ASSETS / "tiny"
    if path == "architecture":
        folder = find_architecture(str(architecture))
        if not (folder / "model_index.json").is_file():
            raise UserError(
                f"model.architecture is {architecture!r}, of which only the transformer is carried, for plan; "
                "try model.architecture=flux1-dev, or a folder of configurations by model.path=FOLDER."
            )
        return folder
    return model_folder(path) or _from_hub(path)


def model_folder(path: str) -> Path | None:
    """The folder that `model.path` names; None if it is a hub id.

    Raises:
        UserError: if it is neither.
    """
    folder = expanded(path)
    if (folder / "model_index.json").is_file():
        return folder
    if folder.exists():
        raise UserError(
            f"model.path is {path!r}, which has no model_index.json; give the folder of a model in diffusers' format."
        )
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", path) or path.startswith((".", "/")):
        raise UserError(
            f"model.path is {path!r}, which is neither a folder nor a hub id; "
            "give an existing folder, or an id such as model.path=black-forest-labs/FLUX.1-dev."
        )
    return None


def find_architecture(name: str) -> Path:
    """The folder of carried configurations.

    Raises:
        UserError: if there is none of that name.
    """
    folders = ASSETS / "architectures"
    one_of("model.architecture", name, tuple(sorted(path.name for path in folders.iterdir())))
    return folders / name


def _from_hub(name: str) -> Path:
    from diffusers import FluxPipeline
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        cached = Path(FluxPipeline.download(name, local_files_only=True))
        if lacking(cached) is None:
            return cached
    except (LocalEntryNotFoundError, OSError, ValueError):
        pass
    if refusal := hub_refusal(name):
        raise UserError(_unreachable(name, refusal))
    try:
        return Path(FluxPipeline.download(name))
    except Exception as error:  # of several libraries below the hub's
        reason = f"the download stopped ({first_line(error)}), and the same command goes on from there"
        raise UserError(_unreachable(name, reason)) from error


def in_hub_cache(model: str, name: str) -> Path | None:
    """A file of a hub model, where the hub's cache has it; None also for what is no hub id."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(model, name)
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None


def configuration(folder: Path, name: str) -> dict[str, Any]:
    """A configuration of a model's folder.

    Raises:
        UserError: if it is missing or damaged.
    """
    try:
        value = json.loads((folder / name).read_text())
        if not isinstance(value, dict):
            raise ValueError("it is no JSON object")
        return value
    except (OSError, ValueError) as error:
        raise UserError(
            f"The model in {str(folder)!r} has no readable {name} ({first_line(error)}); {GIVE_WHOLE}."
        ) from error


def check_is_whole(folder: Path) -> None:
    """Raise `UserError` if a model lacks anything that it is drawn with."""
    if wrong := lacking(folder):
        raise UserError(f"The model in {str(folder)!r} {wrong} {GIVE_WHOLE}.")


def lacking(folder: Path) -> str | None:
    """What keeps a folder from being a whole model, before what to do about it; None if nothing does.

    An interrupted download leaves parts out. transformers makes up a tokenizer that is not there, and one without its
    vocabulary knows no word.
    """
    index = configuration(folder, "model_index.json")
    if missing := [part for part in PARTS if not (index.get(part) and any((folder / part).glob("*.json")))]:
        return f"lacks its {missing[0]};"
    for part, vocabularies in VOCABULARIES.items():
        if not any(all((folder / part / name).is_file() for name in names) for names in vocabularies):
            return f"lacks the vocabulary of its {part} ({' or '.join(' with '.join(n) for n in vocabularies)});"
    for part in COMPONENTS:
        if not _part_has_weights(folder / part):
            if variants := sorted(path.name for path in (folder / part).glob("*.*.safetensors")):
                return f"has its {part} only as a variant ({variants[0]}); save it without one, or"
            return f"lacks weights of its {part};"
        for file in (folder / part).glob("*.safetensors"):
            if file.stat().st_size < SAMPLE_BYTES and file.read_bytes().startswith(LFS_POINTER):
                return f"has a pointer of Git LFS in the place of {part}/{file.name}; type git lfs pull there, or"
    return None


def _part_has_weights(part: Path) -> bool:
    indices = [name for path in WEIGHTS if (part / (name := f"{path}.index.json")).is_file()]
    shards = [configuration(part, name).get("weight_map") for name in indices]
    named = [[name] for name in WEIGHTS] + [[*files.values()] for files in shards if files]
    return any(all((part / name).is_file() for name in names) for names in named)


def hub_refusal(name: str) -> str | None:
    """Why the hub does not give a model, asked for no longer than `HUB_PATIENCE_S`; None if it does."""
    from huggingface_hub import HfApi

    answer: list[str | None] = []

    def ask() -> None:
        try:
            HfApi().auth_check(name)
            answer.append(None)
        except Exception as error:
            answer.append(_reason(error))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(HUB_PATIENCE_S)
    return answer[0] if answer else "the hub does not answer"


def _reason(error: BaseException) -> str:
    from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled, RepositoryNotFoundError

    if isinstance(error, GatedRepoError):
        return "it is gated and this machine is not allowed in: accept its licence on the hub and run `hf auth login`"
    if isinstance(error, RepositoryNotFoundError):
        return "the hub has no model of that name, or it is private: check the name, or run `hf auth login`"
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set"
    return f"the hub cannot be reached ({error.__class__.__name__})"


def _unreachable(name: str, reason: str) -> str:
    return (
        f"There is no folder {name!r}, and the hub's model of that name is not in the local cache and cannot be "
        f"downloaded: {reason}; "
        "or give a folder that has it: model.path=FOLDER."
    )


def identity(folder: Path) -> str:
    """What a model is, wherever it lies: 16 hexadecimal digits over the names, sizes and contents of its parts' files.

    Of a file larger than 64 MiB 16 KiB are read every 4 MiB, the first and the last of it among them: fewer bytes than
    the weights have, and enough to reach every large matrix, so that merging an adapter changes the identity. A change
    of a few numbers may not.
    """
    index = configuration(folder, "model_index.json")
    parts = [folder / name for name in index if "/" not in name and (folder / name).is_dir()]
    files = [folder / "model_index.json", *(path for part in parts for path in part.rglob("*") if path.is_file())]
    digest = hashlib.sha256()
    for path in sorted(files, key=lambda path: path.relative_to(folder).as_posix()):
        if path.suffix in (".json", ".safetensors", ".txt", ".model", ".xml", ".bin"):
            digest.update(path.relative_to(folder).as_posix().encode())
            digest.update(path.stat().st_size.to_bytes(8, "little"))
            _add_contents(digest, path)
    return digest.hexdigest()[:16]


def _add_contents(digest: Any, path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= WHOLE_BYTES:
            digest.update(file.read())
            return
        for start in [*range(0, size - SAMPLE_BYTES, STRIDE_BYTES), size - SAMPLE_BYTES]:
            file.seek(start)
            digest.update(file.read(SAMPLE_BYTES))


def check_is_flux(folder: Path) -> None:
    """Raise `UserError` if the folder holds another kind of pipeline than `FluxPipeline`."""
    index = configuration(folder, "model_index.json")
    if index.get("_class_name") not in ("FluxPipeline", "OVFluxPipeline"):
        raise UserError(
            f"The model in {str(folder)!r} is a {index.get('_class_name')}, but tsbench draws with FluxPipeline; "
            "try model=flux1-dev."
        )
