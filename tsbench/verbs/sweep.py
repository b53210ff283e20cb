"""`python -m tsbench sweep [overrides]`: draw, time, score and plot a grid of settings."""

from __future__ import annotations

from omegaconf import OmegaConf

from tsbench.config import composed
from tsbench.errors import UserError
from tsbench.flags import Arguments
from tsbench.grid import expand
from tsbench.methods.registry import METHODS, PLUGINS
from tsbench.paths import carried
from tsbench.progress import output
from tsbench.schema import GROUPS, SweepConfig
from tsbench.sweep import Sweep

HELP = """\
usage: python -m tsbench sweep [overrides] [--cfg job]
  python -m tsbench sweep experiment=quick
  python -m tsbench sweep method.cache_interval=2,3,4 method.use_lite_mode=true,false
  python -m tsbench sweep model=flux1-dev size=512,1024 prompts.file=prompts.txt prompts.limit=20

Draws, times, scores and plots a grid of settings. Results go to results/NAME/; the same command again goes on where it
stopped. --cfg job shows the configuration that overrides compose to, and stops. Experiments: see experiments/. Captions
that the embedded model draws: python -m tsbench.models.tiny.pictures

choices, overridden as model=flux1-dev:
{choices}

the configuration without overrides, overridden as key=value and method.key=value:

{configuration}"""


def main(arguments: list[str]) -> int:
    """The verb `sweep`."""
    if {"-h", "--help"} & set(arguments):
        print(help_text())
        return 0
    parser = Arguments(f"{HELP.splitlines()[0]}; --help shows all of them")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--cfg", "-c", choices=["job"])
    parser.add_argument("--multirun", "-m", action="store_true")  # as Hydra has it; here every sweep is one
    given = parser.parse_intermixed_args(arguments)
    if given.cfg is None:
        return Sweep(given.overrides).run(output())
    points = expand(given.overrides)
    if len(points) > 1:
        raise UserError(f"--cfg shows one configuration, but these are {len(points)}; give every key a single value.")
    print(_yaml(points[0].config))
    return 0


def help_text() -> str:
    """What can be chosen, and the configuration as it is without overrides."""
    choices = {group: [file.stem for file in (carried("conf") / group).glob("*.yaml")] for group in GROUPS}
    choices["method"] += PLUGINS
    listed = [f"  {group}: {', '.join(sorted(names))}" for group, names in choices.items()]
    listed.append(f"  method with backend=openvino: {', '.join(sorted(METHODS['openvino']))}")
    return HELP.format(choices="\n".join(listed), configuration=_yaml(composed(())))


def _yaml(config: SweepConfig) -> str:
    return OmegaConf.to_yaml(OmegaConf.structured(config))
