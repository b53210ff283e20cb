"""Writes lpips_values.json: LPIPS (alex) of the pictures beside it, by the `lpips` package itself.

In a throw-away environment, without torchvision:
    pip install torch==2.13.0 scipy tqdm pillow safetensors numpy && pip install --no-deps lpips==0.1.4
    python tests/reference/lpips_values.py

The package takes nothing from torchvision but the AlexNet network, so a stand-in module with the five convolutions
and the carried weights is enough; the heads are those in the package's own wheel.
"""

import json
import sys
import types
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

HERE = Path(__file__).parent
WEIGHTS = load_file(HERE.parent.parent / "tsbench" / "assets" / "lpips_alex.safetensors")


def alexnet(pretrained: bool = False, **_: object) -> nn.Module:
    features = nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
    )  # fmt: skip
    prefix = "features."
    features.load_state_dict({k.removeprefix(prefix): v for k, v in WEIGHTS.items() if k.startswith(prefix)})
    network = nn.Module()
    network.features = features
    return network


torchvision = types.ModuleType("torchvision")
torchvision.models = types.ModuleType("torchvision.models")
torchvision.models.alexnet = alexnet
sys.modules |= {"torchvision": torchvision, "torchvision.models": torchvision.models}

import lpips  # noqa: E402


def tensor(name: str) -> torch.Tensor:
    return torch.from_numpy(np.asarray(Image.open(HERE / name)).astype(np.float32)).permute(2, 0, 1)[None] / 127.5 - 1


model = lpips.LPIPS(net="alex", verbose=False).eval()
pairs = [("a.png", "a_shifted.png"), ("a.png", "a_noisy.png"), ("a.png", "b.png"), ("b.png", "b.png")]
with torch.no_grad():
    values = [[one, other, float(model(tensor(one), tensor(other)))] for one, other in pairs]
made_with = {"lpips": version("lpips"), "torch": torch.__version__}
(HERE / "lpips_values.json").write_text(json.dumps({"made_with": made_with, "pairs": values}, indent=1) + "\n")
print(values)
