"""A Flux of given configurations with seeded random weights: true in speed, memory and FLOPs, not in its images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tsbench.models.source import configuration
from tsbench.paths import ASSETS

SEED = 0


def random_pipeline(folder: Path, dtype: torch.dtype, device: torch.device, text_encoders: bool) -> Any:
    """A `FluxPipeline` with weights drawn on the device.

    Args:
        folder: configurations in diffusers' format, without weights and without tokenizers. Prompts are cut into
            tokens by the embedded model's tokenizers, to the full length: the encoders do the same work for any ids.
        dtype: of all weights.
        device: where they are drawn; the same seed gives other weights on another kind of device.
        text_encoders: False leaves both out; prompts are then drawn with random embeddings.
    """
    import diffusers
    import transformers

    def config(part: str, name: str = "config.json") -> dict[str, Any]:
        return configuration(folder, f"{part}/{name}")

    torch.manual_seed(SEED)
    parts: dict[str, Any] = dict.fromkeys(("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"))
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            parts["transformer"] = diffusers.FluxTransformer2DModel.from_config(config("transformer")).eval()
            parts["vae"] = diffusers.AutoencoderKL.from_config(config("vae")).eval()
            if text_encoders:
                clip = transformers.CLIPTextConfig(**config("text_encoder"))
                t5 = transformers.T5Config(**config("text_encoder_2"))
                parts["text_encoder"] = transformers.CLIPTextModel(clip).eval()
                parts["text_encoder_2"] = transformers.T5EncoderModel(t5).eval()
    finally:
        torch.set_default_dtype(before)
    if text_encoders:
        embedded = ASSETS / "tiny"
        parts["tokenizer"] = transformers.CLIPTokenizer.from_pretrained(embedded / "tokenizer")
        parts["tokenizer_2"] = transformers.T5Tokenizer.from_pretrained(embedded / "tokenizer_2")
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler.from_config(config("scheduler", "scheduler_config.json"))
    return diffusers.FluxPipeline(scheduler=scheduler, **parts).to(dtype)


def random_embeddings(pipeline: Any, count: int, text_tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What stands for the encoded prompts: [count, text_tokens, joint_attention_dim] and [count, pooled dimension]."""
    config, dtype = pipeline.transformer.config, pipeline.transformer.dtype
    generator = torch.Generator().manual_seed(SEED)
    embeddings = torch.randn(count, text_tokens, config.joint_attention_dim, generator=generator)
    return embeddings.to(dtype), torch.randn(count, config.pooled_projection_dim, generator=generator).to(dtype)
