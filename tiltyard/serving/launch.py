"""Starts one process of a server: `python -m tiltyard.serving.launch MODULE SETTINGS`.

While its libraries are imported nothing becomes garbage, and looking for some again and again takes a sixth of the
time. What is there afterwards stays, so that no collection need ever look at it.
"""

import gc
import sys
from importlib import import_module


def main(module: str, *words: str) -> None:
    """Import a module, then run its `main`.

    Args:
        module: Name of the module.
        words: What its `main` is told.
    """
    gc.disable()
    work = import_module(module).main
    gc.freeze()
    gc.enable()
    work(list(words))


if __name__ == "__main__":
    main(*sys.argv[1:])
