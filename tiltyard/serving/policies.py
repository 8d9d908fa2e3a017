"""What projects say about moves by hand (`gates.by_hand`, `gates.copied`), followed while the server runs."""

import logging
from collections.abc import Mapping
from pathlib import Path

from tiltyard.errors import ProjectError
from tiltyard.project.gates import GatesSection
from tiltyard.project.loading import load_project

_log = logging.getLogger(__name__)

_Stamp = tuple[int, int] | None


class Policies:
    """The policies in force; a project file that has changed is read again.

    Args:
        gates: What each project said when the server was started.
        files: Project file of each; a project without one keeps what it said.
    """

    def __init__(self, gates: Mapping[str, GatesSection], files: Mapping[str, Path]) -> None:
        self._gates = dict(gates)
        self._files = dict(files)
        self._stamps = {name: _stamp(file) for name, file in files.items()}

    def of(self, name: str) -> GatesSection:
        """Return a project's policy; as it was, while its file is missing, wrong, or another project's."""
        file = self._files.get(name)
        if file is None or (stamp := _stamp(file)) == self._stamps[name]:
            return self._gates[name]
        self._stamps[name] = stamp
        try:
            project = load_project(file)
        except ProjectError as error:
            _log.warning("`%s`: its policy stays as it was: %s", name, error)
            return self._gates[name]
        if project.name != name:
            _log.warning("`%s`: its policy stays as it was: %s is now that of `%s`", name, file, project.name)
        elif project.gates != self._gates[name]:
            _log.info(
                "`%s`: gates.by_hand is %s, gates.copied is %s", name, project.gates.by_hand, project.gates.copied
            )
            self._gates[name] = project.gates
        return self._gates[name]


def _stamp(file: Path) -> _Stamp:
    """Tell one writing of a file from the next; None when it is not there."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
