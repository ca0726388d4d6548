"""``run-suite guest``: build or list the guests that machines can start."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping

from vmsuite.cli.tables import show
from vmsuite.errors import UsageError
from vmsuite.findings import nearest
from vmsuite.locations import cache_dir
from vmsuite.model import Json
from vmsuite.ports import GuestRecipe
from vmsuite.registry import load_registry


def run(options: argparse.Namespace) -> int:
    """Return 0; what cannot be built is an error of its own."""
    recipes = _chosen(load_registry().guests, options.names)
    if options.what == "build":
        for recipe in recipes:
            image = recipe.build(cache_dir(), lambda text: print(text, file=sys.stderr))
            print(f"{recipe.name}: {image.kernel and image.kernel.parent}")
        return 0
    show([_row(recipe) for recipe in recipes], options.output, empty="no guests")
    return 0


def _chosen(recipes: Mapping[str, GuestRecipe], names: list[str]) -> list[GuestRecipe]:
    for name in names:
        if name not in recipes:
            raise UsageError(
                f"no guest is called {name!r}",
                hint=nearest(name, recipes) or f"there are: {', '.join(recipes)}",
            )
    return [recipes[name] for name in names or sorted(recipes)]


def _row(recipe: GuestRecipe) -> dict[str, Json]:
    image = recipe.built(cache_dir())
    return {
        "guest": recipe.name,
        "built": image is not None,
        "kernel": image.facts.get("kernel", "") if image else "",
        "missing": list(recipe.missing()),
        "description": recipe.description,
    }
