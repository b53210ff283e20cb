"""`python -m tsbench export model=tiny`: make the OpenVINO IR of a model, as a sweep with backend=openvino does."""

from __future__ import annotations

from tsbench.errors import UserError
from tsbench.grid import expand

USAGE = """\
usage: python -m tsbench export [model=NAME] [model.path=FOLDER]

Makes the OpenVINO IR of a model, once, in $TSBENCH_CACHE (else tsbench/ in the user's cache folder), and prints the
folder."""


def main(arguments: list[str]) -> int:
    """The verb `export`."""
    if any(not argument.startswith("model") for argument in arguments):
        raise UserError("export takes the overrides of a model only: python -m tsbench export model=tiny.")
    from tsbench.drawing.openvino_export import check_installed, exported
    from tsbench.models.source import check_is_flux, find_model

    check_installed()
    for point in expand(["backend=openvino", "method=none", *arguments]):
        model = point.config.model
        folder = find_model(model.path, model.architecture)
        check_is_flux(folder)
        print(exported(folder))
    return 0
