"""The parts of the embedded model: a Flux of FLUX.1-dev's kinds of parts, each as small as it can be."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from tokenizers import pre_tokenizers
from torch import Tensor, nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

WIDTH = 128  # of the transformer and of both text encoders
TEXT_TOKENS = 32
CLIP_TOKENS = 77
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"

SCHEDULER = {  # FLUX.1-dev's
    "num_train_timesteps": 1000,
    "shift": 3.0,
    "use_dynamic_shifting": True,
    "base_shift": 0.5,
    "max_shift": 1.15,
    "base_image_seq_len": 256,
    "max_image_seq_len": 4096,
}


def autoencoder(**factors: float) -> AutoencoderKL:
    model = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32, 64, 96, 128),
        layers_per_block=1,
        latent_channels=16,
        norm_num_groups=8,
        sample_size=128,
        mid_block_add_attention=False,
        use_quant_conv=False,
        use_post_quant_conv=False,
        force_upcast=False,
        **factors,
    )
    with torch.no_grad():  # the code is trained as a point: its variance stays small and constant
        model.encoder.conv_out.weight[16:].zero_()
        model.encoder.conv_out.bias[16:].fill_(-6.0)
    return model


def transformer() -> FluxTransformer2DModel:
    model = FluxTransformer2DModel(
        patch_size=1,
        in_channels=64,
        num_layers=4,
        num_single_layers=8,
        attention_head_dim=32,
        num_attention_heads=WIDTH // 32,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=WIDTH,
        guidance_embeds=True,
        axes_dims_rope=(8, 12, 12),
    )
    for name, module in model.named_modules():  # adaLN-zero, as in DiT: blocks start as the identity
        if isinstance(module, nn.Linear) and (name.endswith("norm.linear") or "norm1" in name or name == "proj_out"):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    return model


def clip() -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=512,
            hidden_size=WIDTH,
            projection_dim=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=CLIP_TOKENS,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    )


def t5() -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(
            vocab_size=128,
            d_model=WIDTH,
            d_kv=32,
            d_ff=2 * WIDTH,
            num_layers=2,
            num_heads=4,
            feed_forward_proj="gated-gelu",
            dropout_rate=0.0,
            is_encoder_decoder=False,
            use_cache=False,
        )
    )


def make_tokenizers(folder: Path, captions: Iterable[str]) -> None:
    """Make a CLIP byte-pair and a T5 unigram tokenizer of the captions' words: `tokenizer`, `tokenizer_2`."""
    if (folder / "tokenizer_2").exists():
        return
    words = Counter(word for caption in captions for word in re.findall(r"[^\s,]+", caption))
    parts = {part for word in words for part in word.split("-")}  # the CLIP tokenizer splits at hyphens
    vocabulary, merges = byte_pairs([",", "-", *sorted(parts)])
    CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=CLIP_TOKENS).save_pretrained(folder / "tokenizer")

    total = sum(words.values())
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), (",", math.log(0.2))]
    pieces += [(f"▁{word}", math.log(count / total)) for word, count in sorted(words.items())]
    pieces += [(letter, -20.0) for letter in "▁" + LETTERS]
    T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=TEXT_TOKENS).save_pretrained(folder / "tokenizer_2")


def byte_pairs(words: Iterable[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The vocabulary and the merges of a byte-pair encoding in which each of the words is one token.

    The library's trainer breaks ties at random, and the same captions have to give the same tokens: each word in
    turn is encoded by the merges so far, and what remains is merged from left to right.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = ["<|startoftext|>", "<|endoftext|>", *alphabet, *(f"{letter}</w>" for letter in ",-" + LETTERS)]
    merges: list[tuple[str, str]] = []
    for word in words:
        pieces = [*word[:-1], f"{word[-1]}</w>"]
        for pair in merges:
            pieces = _merged(pieces, pair)
        while len(pieces) > 1:
            merges.append((pieces[0], pieces[1]))
            pieces = _merged(pieces, merges[-1])
    tokens += dict.fromkeys(first + second for first, second in merges)
    return {token: number for number, token in enumerate(tokens)}, merges


def _merged(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    result: list[str] = []
    for piece in pieces:
        if result and (result[-1], piece) == pair:
            result[-1] += piece
        else:
            result.append(piece)
    return result


def tokenizers(folder: Path) -> tuple[Any, Any]:
    return CLIPTokenizer.from_pretrained(folder / "tokenizer"), T5Tokenizer.from_pretrained(folder / "tokenizer_2")


def tokenize(clip: Any, t5: Any, captions: list[str]) -> tuple[Tensor, Tensor]:
    """Token ids [n, 77] and [n, 32], padded as FluxPipeline pads them."""
    padded = {"padding": "max_length", "truncation": True, "return_tensors": "pt"}
    return (
        clip(captions, max_length=CLIP_TOKENS, **padded).input_ids,
        t5(captions, max_length=TEXT_TOKENS, **padded).input_ids,
    )


def export(
    folder: Path, tokenizer_folder: Path, modules: dict[str, nn.Module], vae: nn.Module, statistics: dict[str, float]
) -> None:
    """Write a pipeline that `FluxPipeline.from_pretrained(folder)` loads, in bfloat16 safetensors."""
    clip_tokenizer, t5_tokenizer = tokenizers(tokenizer_folder)
    scaled = autoencoder(**statistics)
    scaled.load_state_dict(vae.state_dict())
    pipeline = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**SCHEDULER),
        vae=scaled,
        tokenizer=clip_tokenizer,
        tokenizer_2=t5_tokenizer,
        **modules,
    )
    pipeline.to(dtype=torch.bfloat16).save_pretrained(folder)
