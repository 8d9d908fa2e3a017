"""Proxies before some servers, configured as the guide says: they know all of them, and are told of no restart."""

import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from tests.conftest import free_port
from tests.serving.servers import eventually

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"
_PLACES = "/usr/sbin:/usr/local/sbin"

_NGINX = """\
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
{body}}}
"""


class Front(ABC):
    """A proxy, with the guide's own configuration.

    Args:
        folder: Its files.

    Attributes:
        name: Of the program, and of its configuration in the guide.
        listens: What says there where it listens.
        port: Where it listens.
    """

    name: str
    listens: str

    def __init__(self, folder: Path) -> None:
        program = shutil.which(self.name) or shutil.which(self.name, path=_PLACES)
        if program is None:
            pytest.skip(f"{self.name} is not installed")
        self.port = free_port()
        self._program = program
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir()

    def start(self, ports: Sequence[int]) -> None:
        """Start it before two servers, on ports of this machine."""
        file = self._folder / self.name
        hosts = {f"yard-{number}:8080": f"127.0.0.1:{port}" for number, port in enumerate(ports, 1)}
        body = snippet(self.name, hosts | {self.listens: f"{self.listens.split()[0]} 127.0.0.1:{self.port}"})
        file.write_text(self._whole(body))
        with (self._folder / "output").open("wb") as output:
            self._process = subprocess.Popen([self._program, *self._arguments(file)], stdout=output, stderr=output)
        eventually(self._answers)

    def stop(self) -> None:
        """Stop it, if it was started."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)

    @abstractmethod
    def _whole(self, body: str) -> str:
        """Return a whole configuration around the guide's."""

    @abstractmethod
    def _arguments(self, file: Path) -> list[str]:
        """Return the arguments that name a configuration."""

    def _answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/health/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False


class Nginx(Front):
    """nginx."""

    name = "nginx"
    listens = "listen 80"

    def _whole(self, body: str) -> str:
        return _NGINX.format(folder=self._folder, body=body)

    def _arguments(self, file: Path) -> list[str]:
        return ["-c", str(file), "-p", str(self._folder)]


class Haproxy(Front):
    """HAProxy."""

    name = "haproxy"
    listens = "bind :80"

    def _whole(self, body: str) -> str:
        return body

    def _arguments(self, file: Path) -> list[str]:
        return ["-f", str(file)]


def snippet(name: str, here: dict[str, str]) -> str:
    """Return the guide's configuration of a proxy.

    Args:
        name: Language of its block.
        here: What stands on this machine in place of the guide's words.
    """
    found = GUIDE.read_text(encoding="utf-8").split(f"```{name}\n")[1].split("```")[0]
    for word, other in here.items():
        assert word in found
        found = found.replace(word, other)
    return found
