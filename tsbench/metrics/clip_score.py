"""CLIP score (Hessel et al., 2021): how well an image fits its prompt, by a CLIP model that the user names.

100 times the cosine between the model's embeddings of image and prompt, and no less than 0. Figures of different
models cannot be compared, so the model stands in the row; nor are those of other prompts: what a method costs is the
difference to the reference's own score.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tsbench.errors import UserError, first_line
from tsbench.metrics.base import Metric, Score
from tsbench.models.source import hub_refusal
from tsbench.paths import expanded


def load(checkpoint: str) -> Score:
    """Scores of an image, uint8 [height, width, 3], and its prompt, which is cut where the model's text ends.

    Args:
        checkpoint: a folder or a name on the Hugging Face hub.

    Raises:
        UserError: if there is no CLIP model, or not the whole of it.
    """
    import torch

    checkpoint = str(expanded(checkpoint))
    try:
        model, found, processor = _loaded(checkpoint)
    except (OSError, ValueError) as error:
        raise UserError(
            f"There is no CLIP model {checkpoint!r} here ({first_line(error)}); name a folder or a model of "
            "the hub: metrics=[clip_score:openai/clip-vit-large-patch14]."
        ) from error
    if missing := found["missing_keys"]:  # which transformers draws at random
        raise UserError(
            f"The CLIP model {checkpoint!r} lacks {len(missing)} of its weights, such as {min(missing)}; name a whole "
            "one: metrics=[clip_score:openai/clip-vit-large-patch14]."
        )
    model.eval()

    @torch.no_grad()
    def score(image: np.ndarray, prompt: str) -> float:
        inputs = processor(text=[prompt], images=[image], return_tensors="pt", truncation=True)
        embedded = model(**inputs)
        return max(0.0, 100 * float(torch.cosine_similarity(embedded.image_embeds, embedded.text_embeds)))

    return score


def _loaded(checkpoint: str) -> tuple[Any, dict[str, Any], Any]:
    """The model, what transformers says of loading it, and its processor; the hub is asked for what is not here."""
    from transformers import CLIPModel, CLIPProcessor

    def from_pretrained(**options: Any) -> tuple[Any, dict[str, Any], Any]:
        model, found = CLIPModel.from_pretrained(checkpoint, output_loading_info=True, **options)
        return model, found, CLIPProcessor.from_pretrained(checkpoint, **options)

    try:
        return from_pretrained(local_files_only=True)
    except (OSError, ValueError) as error:
        if Path(checkpoint).is_dir():
            raise
        if refusal := hub_refusal(checkpoint):
            raise ValueError(refusal) from error
    return from_pretrained()


METRIC = Metric(
    "clip_score", "clip_score", "CLIP score", "", higher_is_better=True, range=(0, 100), digits=2, example=30,
    load=load, against="prompt",
)  # fmt: skip
