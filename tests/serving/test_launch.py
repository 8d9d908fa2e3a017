"""Starting a process of a server: its imports leave nothing to look for, and garbage is looked for afterwards."""

import os
import subprocess
import sys
from pathlib import Path

_PROBE = """
import gc
importing = gc.isenabled()

def main(words):
    print(importing, gc.isenabled(), gc.get_freeze_count() > 0, *words)
"""


def test_garbage_is_looked_for_when_all_is_imported(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(_PROBE)
    code = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), code])}
    command = [sys.executable, "-P", "-m", "tiltyard.serving.launch", "probe", "a", "b"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "True", "a", "b"]
