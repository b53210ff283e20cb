"""Make the embedded model from nothing and a seed: `python -m tsbench.models.tiny.train WORK`.

Four stages, each resumed where it stopped: `autoencoder`, `latents` (the pictures encoded once), `transformer`
(with its two text encoders, by flow matching), `guided` (the same, distilled from classifier-free guidance, as
FLUX.1-dev was). `--export` writes the result in diffusers' folder format. Step i draws all its random numbers from
(seed, i), so a run that was interrupted ends in the same bits as one that was not. `--start` goes on from an exported
folder instead of from nothing: more steps for the transformer, which is then distilled again.
"""

from __future__ import annotations

import argparse
import copy
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import FluxPipeline
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from tsbench.models.tiny import build
from tsbench.models.tiny.pictures import picture, scene_of

TRAIN, HELD_OUT = 1, 2  # seeds of the two collections of pictures

AUTOENCODER_BATCH = {64: 9, 96: 4, 128: 3, 192: 1}  # picture size -> pictures a step, of about equal cost
TRANSFORMER_BATCH = {128: 32, 160: 20, 192: 14}
SHARES = {  # from a step on, how often a step is of a size
    0: {128: 0.6, 192: 0.4},
    14000: {128: 0.5, 192: 0.5},
    30000: {128: 0.3, 160: 0.4, 192: 0.3},  # a size between: its shapes are soft where only the others were seen
}
HARD_STEPS = 14000  # from here on every other picture shows what is learnt last: a star or a line
CACHED_PICTURES = {128: 16384, 160: 6144, 192: 6144}
SHARD = 1024  # pictures a file
TOKENIZED = 20_000  # captions whose words the tokenizers know
CODE_NOISE = 0.1
CODE_PENALTY = 1e-3
EARLY = 0.2  # some samples are this close to noise, where it is decided what stands where: at first every other one
EARLY_STEPS = 2500  # then every fourth, and the others further from noise, where edges become sharp
PLAIN_STEPS = 1500  # at first no lines and small pictures: it is learnt soonest which word stands for what
GUIDED = 100_000  # the number, in the draws of random numbers, of the first step with guidance
GUIDANCE = (1.0, 4.0)  # the scales that are distilled; before, the model has seen a scale of 1 only: no guidance
CLIP_TOKENS = 40  # the longest caption has fewer
WARM_UP_STEPS = 100  # of the learning rate
TOLD_EVERY = 200  # steps: what is printed and saved
EMPTY_CAPTION = 0.1  # share of captions replaced by the empty one


class Trainer:
    """Modules, their optimiser and a moving average of their weights, kept in one checkpoint file."""

    def __init__(self, path: Path, modules: dict[str, nn.Module], learning_rate: float, average: float) -> None:
        self.path, self.average, self.learning_rate, self.step = path, average, learning_rate, 0
        self.began = 0  # the step at which the optimiser was new
        self.modules = nn.ModuleDict(modules)
        self.averaged = copy.deepcopy(self.modules).requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            self.modules.parameters(), lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.01
        )
        if path.exists():
            state = torch.load(path, weights_only=True)
            self.modules.load_state_dict(state["modules"])
            self.averaged.load_state_dict(state["averaged"])
            if state["optimiser"] is not None:
                self.optimiser.load_state_dict(state["optimiser"])
            self.step, self.began = state["step"], state["began"]

    def load_averaged(self, path: Path) -> None:
        """Start from the moving average that another trainer has saved."""
        averaged = torch.load(path, weights_only=True)["averaged"]
        self.modules.load_state_dict(averaged)
        self.averaged.load_state_dict(averaged)

    def save(self) -> None:
        state = {
            "modules": self.modules.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "began": self.began,
        }
        partial = self.path.with_suffix(".partial")
        torch.save(state, partial)
        partial.rename(self.path)

    def descend(self, loss: Tensor, rate: float) -> None:
        """One optimiser step at `rate` times the learning rate, then the moving average."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate * rate
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.modules.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        decay = min(self.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.averaged.parameters()), list(self.modules.parameters()), 1 - decay)


def learning_rate_at(trainer: Trainer, total: int) -> float:
    """Linear warm-up of a new optimiser, then constant, then linear to zero over the last fifth."""
    return min(1.0, (trainer.step - trainer.began + 1) / WARM_UP_STEPS, max(0.0, 5 * (1 - trainer.step / total)))


def steps_of(trainer: Trainer, total: int, stop: int | None) -> Iterator[int]:
    """Count the steps still to do, printing and saving on the way."""
    started, first = time.perf_counter(), trainer.step
    for step in range(trainer.step, min(total, stop or total)):
        yield step
        if trainer.step % TOLD_EVERY == 0:
            pace = (time.perf_counter() - started) / (trainer.step - first)
            print(f"{trainer.path.stem} {trainer.step}/{total}, {pace:.3f} s a step", flush=True)
            trainer.save()
    trainer.save()


def pictures(collection: int, indices: range, size: int) -> Tensor:
    """float32 [n, 3, size, size] in [-1, 1]."""
    drawn = np.stack([picture(collection, index, size) for index in indices])
    return torch.from_numpy(drawn).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def autocast() -> torch.autocast:
    return torch.autocast(device(), torch.bfloat16)


def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def train_autoencoder(work: Path, total: int, stop: int | None = None) -> None:
    """Squared error on a deterministic code with a little noise added to it."""
    torch.manual_seed(TRAIN)
    model = build.autoencoder().to(device(), memory_format=torch.channels_last)
    trainer = Trainer(work / "autoencoder.pt", {"vae": model}, learning_rate=4e-4, average=0.998)
    for step in steps_of(trainer, total, stop):
        sizes = [64] if step < 0.75 * total else list(AUTOENCODER_BATCH)  # small pictures learn several times faster
        size = sizes[int(np.random.default_rng((TRAIN, step)).integers(len(sizes)))]
        images = pictures(TRAIN, range(step * 9, step * 9 + AUTOENCODER_BATCH[size]), size).to(device())
        images = images.contiguous(memory_format=torch.channels_last)
        generator = torch.Generator().manual_seed(step)
        with autocast():
            code = model.encode(images).latent_dist.mode()
            noise = torch.randn(code.shape, generator=generator).to(code) * CODE_NOISE * min(1.0, step / 300)
            restored = model.decode(code + noise).sample
        error = restored.float() - images
        loss = error.square().mean() + 0.05 * error.abs().mean() + CODE_PENALTY * code.float().square().mean()
        trainer.descend(loss, learning_rate_at(trainer, total))
        if trainer.step % 100 == 0:
            print(f"loss {loss.item():.4f}", flush=True)
        if trainer.step % 1000 == 0:
            print(autoencoder_psnr(trainer.averaged["vae"], 16), flush=True)


@torch.no_grad()
def autoencoder_psnr(model: Any, count: int) -> dict[int, float]:
    """Mean PSNR in dB of unseen pictures after encoding and decoding, by picture size."""
    result = {}
    for size in TRANSFORMER_BATCH:
        images = pictures(HELD_OUT, range(count), size).to(device())
        restored = torch.cat([model.decode(model.encode(image[None]).latent_dist.mode()).sample for image in images])
        error = ((restored.clamp(-1, 1) - images) / 2).square().mean(dim=(1, 2, 3))
        result[size] = float((-10 * error.log10()).mean())
    return result


@torch.no_grad()
def encode_pictures(work: Path) -> None:
    """Codes of the training pictures, float16 [n, 16, size / 8, size / 8], and the factors that normalise them."""
    vae = build.autoencoder().to(device(), memory_format=torch.channels_last)
    vae.load_state_dict(Trainer(work / "autoencoder.pt", {"vae": vae}, 0, 0).averaged["vae"].state_dict())
    (work / "latents").mkdir(exist_ok=True)
    for size, count in CACHED_PICTURES.items():
        for start in range(0, count, SHARD):
            path = work / "latents" / f"{size}-{start:06d}.safetensors"
            if path.exists():
                continue
            codes = []
            for first in range(start, start + SHARD, 16):
                images = pictures(TRAIN, range(first, first + 16), size).to(device())
                with autocast():
                    codes.append(vae.encode(images).latent_dist.mode().float().cpu())
            partial = path.with_suffix(".partial")
            save_file({"codes": torch.cat(codes).half().contiguous()}, partial)
            partial.rename(path)
            print(path.name, flush=True)
    statistics = work / "latents" / "statistics.json"
    if not statistics.exists():
        code = load_file(work / "latents" / "128-000000.safetensors")["codes"].float()
        statistics.write_text(json.dumps({"shift_factor": code.mean().item(), "scaling_factor": 1 / code.std().item()}))


def pack(codes: Tensor) -> Tensor:
    """[n, 16, h, w] -> [n, h/2 * w/2, 64], as FluxPipeline packs its latents."""
    n, channels, height, width = codes.shape
    codes = codes.view(n, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return codes.reshape(n, height // 2 * (width // 2), channels * 4)


def image_ids(side: int) -> Tensor:
    """[side * side, 3]: 0, row, column of each image token, as FluxPipeline numbers them."""
    ids = torch.zeros(side, side, 3)
    ids[..., 1] += torch.arange(side)[:, None]
    ids[..., 2] += torch.arange(side)[None]
    return ids.view(-1, 3)


def noised(batch: dict[str, Tensor], step: int) -> tuple[Tensor, Tensor, Tensor]:
    """x_t = (1 - t) x + t noise, t and the noise (Lipman et al., 2023; FLUX's direction of time)."""
    generator = torch.Generator().manual_seed(step)
    shift, every = (3.0, 2) if step < EARLY_STEPS else (2.0, 4)
    latents = batch["latents"]
    noise = torch.randn(latents.shape, generator=generator).to(latents)
    t = torch.randn(len(latents), generator=generator).sigmoid().to(latents)
    t = shift * t / (1 + (shift - 1) * t)
    t[::every] = 1 - EARLY * torch.rand(t[::every].shape, generator=generator).to(latents)
    return (1 - t[:, None, None]) * latents + t[:, None, None] * noise, t, noise


def velocity(
    model: dict[str, Any], x_t: Tensor, t: Tensor, ids: tuple[Tensor, Tensor], guidance: Tensor | None = None
) -> Tensor:
    """The transformer's output, float32 [n, tokens, 64]; `ids` are CLIP's and T5's. No guidance is a scale of 1."""
    text = model["text_encoder_2"](ids[1])[0]
    return model["transformer"](
        hidden_states=x_t,
        timestep=t,
        guidance=torch.ones_like(t) if guidance is None else guidance,
        pooled_projections=model["text_encoder"](ids[0]).pooler_output,
        encoder_hidden_states=text,
        txt_ids=torch.zeros(text.shape[1], 3, device=t.device),
        img_ids=image_ids(round(x_t.shape[1] ** 0.5)).to(t.device),
        return_dict=False,
    )[0].float()


def flow_matching_loss(model: dict[str, Any], batch: dict[str, Tensor], step: int) -> Tensor:
    """|v(x_t, t) - (noise - x)|^2 (Lipman et al., 2023)."""
    x_t, t, noise = noised(batch, step)
    return F.mse_loss(velocity(model, x_t, t, (batch["clip_ids"], batch["t5_ids"])), noise - batch["latents"])


def guidance_loss(model: dict[str, Any], teacher: dict[str, Any], batch: dict[str, Tensor], step: int) -> Tensor:
    """|v(x_t, t, w) - (u + w (c - u))|^2, the teacher's answers with and without the caption (Meng et al., 2023)."""
    x_t, t, _ = noised(batch, step)
    low, high = GUIDANCE
    scale = low + (high - low) * torch.rand(t.shape, generator=torch.Generator().manual_seed(step)).to(t)
    ids = batch["clip_ids"], batch["t5_ids"]
    both = torch.cat([ids[0], batch["no_clip_ids"]]), torch.cat([ids[1], batch["no_t5_ids"]])
    with torch.no_grad():
        with_caption, without = velocity(teacher, torch.cat([x_t, x_t]), torch.cat([t, t]), both).chunk(2)
    wanted = without + scale[:, None, None] * (with_caption - without)
    return F.mse_loss(velocity(model, x_t, t, ids, scale), wanted)


class Latents:
    """The encoded pictures with their captions' token ids, a batch for every step."""

    def __init__(self, work: Path) -> None:
        statistics = json.loads((work / "latents" / "statistics.json").read_text())
        self.codes, self.ids, self.plain, self.hard = {}, {}, {}, {}
        clip, t5 = build.tokenizers(work)
        for size in CACHED_PICTURES:
            shards = sorted((work / "latents").glob(f"{size}-*.safetensors"))
            codes = torch.cat([load_file(path)["codes"] for path in shards])
            self.codes[size] = pack((codes.float() - statistics["shift_factor"]) * statistics["scaling_factor"]).half()
            scenes = [scene_of(TRAIN, index)[0] for index in range(len(codes))]
            self.ids[size] = self._tokens(clip, t5, [str(scene) for scene in scenes])
            self.plain[size] = torch.tensor([i for i, scene in enumerate(scenes) if scene.line is None])
            self.hard[size] = torch.tensor(
                [i for i, scene in enumerate(scenes) if scene.line or scene.thing.shape == "star"]
            )
        self.empty = self._tokens(clip, t5, [""])

    def _tokens(self, clip: Any, t5: Any, captions: list[str]) -> tuple[Tensor, Tensor]:
        """Token ids, CLIP's without most of the padding: its attention is causal, so padding changes nothing."""
        clip_ids, t5_ids = build.tokenize(clip, t5, captions)
        return clip_ids[:, :CLIP_TOKENS], t5_ids

    def batch(self, step: int) -> dict[str, Tensor]:
        """What a step learns from."""
        rng = np.random.default_rng((TRAIN, step))
        share = SHARES[max(first for first in SHARES if first <= step)]
        size = int(rng.choice(list(share), p=list(share.values())))
        size = min(share) if step < PLAIN_STEPS else size
        chosen = torch.from_numpy(rng.integers(CACHED_PICTURES[size], size=TRANSFORMER_BATCH[size]))
        if step < PLAIN_STEPS:
            chosen = self.plain[size][chosen % len(self.plain[size])]
        elif step >= HARD_STEPS:
            chosen[::2] = self.hard[size][chosen[::2] % len(self.hard[size])]
        dropped = torch.from_numpy(rng.random(len(chosen)) < EMPTY_CAPTION)[:, None]
        ids = [torch.where(dropped, empty, all_ids[chosen]) for empty, all_ids in zip(self.empty, self.ids[size])]
        batch = {"latents": self.codes[size][chosen].float(), "clip_ids": ids[0], "t5_ids": ids[1]}
        batch |= {f"no_{name}_ids": ids.expand(len(chosen), -1) for name, ids in zip(("clip", "t5"), self.empty)}
        return {name: value.to(device()) for name, value in batch.items()}


def transformer_trainer(path: Path, learning_rate: float) -> Trainer:
    torch.manual_seed(TRAIN)
    modules: dict[str, nn.Module] = {
        "transformer": build.transformer(),
        "text_encoder": build.clip(),
        "text_encoder_2": build.t5(),
    }
    for module in modules.values():
        module.to(device())
    return Trainer(path, modules, learning_rate=learning_rate, average=0.999)


def train_transformer(work: Path, total: int, stop: int | None = None, compiled: bool = False) -> None:
    build.make_tokenizers(work, (str(scene_of(TRAIN, index)[0]) for index in range(TOKENIZED)))
    trainer = transformer_trainer(work / "transformer.pt", 1e-3)
    data = Latents(work)
    model = dict(trainer.modules.items())
    _train(
        trainer, total, stop, [model] if compiled else [],
        lambda step: flow_matching_loss(model, data.batch(step), step),
    )  # fmt: skip


def train_guided(work: Path, total: int, stop: int | None = None, compiled: bool = False) -> None:
    trainer = transformer_trainer(work / "guided.pt", 4e-4)
    teacher = dict(Trainer(work / "transformer.pt", dict(copy.deepcopy(trainer.modules)), 0, 0).averaged.items())
    if trainer.step == 0:
        trainer.load_averaged(work / "transformer.pt")
    data = Latents(work)
    model = dict(trainer.modules.items())
    _train(
        trainer, total, stop, [model, teacher] if compiled else [],
        lambda step: guidance_loss(model, teacher, data.batch(GUIDED + step), GUIDED + step),
    )  # fmt: skip


def _train(
    trainer: Trainer,
    total: int,
    stop: int | None,
    to_compile: list[dict[str, Any]],
    loss_of: Callable[[int], Tensor],
) -> None:
    """Steps of a stage. On two cores, compiled blocks and plain attention are nearly twice as fast."""
    torch._dynamo.config.recompile_limit = 8 * len(SHARES)  # a graph a size, a batch, with gradients and without
    for modules in to_compile:
        modules["transformer"].compile_repeated_blocks(dynamic=False)
    losses = []
    for step in steps_of(trainer, total, stop):
        with sdpa_kernel(SDPBackend.MATH):
            with autocast():
                loss = loss_of(step)
            trainer.descend(loss, learning_rate_at(trainer, total))
        losses.append(loss.item())
        if trainer.step % TOLD_EVERY == 0:
            print(f"mean loss {np.mean(losses[-TOLD_EVERY:]):.4f}", flush=True)


def start_from(folder: Path, work: Path) -> None:
    """Put an exported model where the stages `autoencoder` and `transformer` leave theirs, with new optimisers."""
    steps = json.loads((folder / "training.json").read_text())
    pipeline = FluxPipeline.from_pretrained(folder, dtype=torch.float32)
    for name in ("tokenizer", "tokenizer_2"):
        shutil.copytree(folder / name, work / name, dirs_exist_ok=True)
    stages = {"autoencoder": ("vae",), "transformer": ("transformer", "text_encoder", "text_encoder_2")}
    for stage, parts in stages.items():
        weights = nn.ModuleDict({part: getattr(pipeline, part) for part in parts}).state_dict()
        step = steps[stage]
        state = {"modules": weights, "averaged": weights, "optimiser": None, "step": step, "began": step}
        torch.save(state, work / f"{stage}.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="folder of checkpoints and encoded pictures")
    parser.add_argument("--autoencoder-steps", type=int, default=3000, help="default: 3000")
    parser.add_argument("--transformer-steps", type=int, default=33000, help="default: 33000")
    parser.add_argument("--guided-steps", type=int, default=600, help="default: 600")
    parser.add_argument("--start", type=Path, metavar="FOLDER", help="an exported folder to go on from, in a new WORK")
    parser.add_argument("--export", type=Path, metavar="FOLDER", help="write what there is now as a diffusers folder")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    if arguments.export:
        stages = [arguments.work / f"{stage}.pt" for stage in ("guided", "transformer")]
        trainer = transformer_trainer(next(path for path in stages if path.exists()), 0)
        vae = Trainer(arguments.work / "autoencoder.pt", {"vae": build.autoencoder()}, 0, 0).averaged["vae"]
        statistics = json.loads((arguments.work / "latents" / "statistics.json").read_text())
        build.export(arguments.export, arguments.work, dict(trainer.averaged.items()), vae, statistics)
        steps = {path.stem: torch.load(path, weights_only=True)["step"] for path in sorted(arguments.work.glob("*.pt"))}
        (arguments.export / "training.json").write_text(json.dumps(steps, indent=1) + "\n")
        return
    if arguments.start and not (arguments.work / "transformer.pt").exists():
        start_from(arguments.start, arguments.work)
    train_autoencoder(arguments.work, arguments.autoencoder_steps)
    encode_pictures(arguments.work)
    train_transformer(arguments.work, arguments.transformer_steps, compiled=True)
    train_guided(arguments.work, arguments.guided_steps, compiled=True)


if __name__ == "__main__":
    main()
