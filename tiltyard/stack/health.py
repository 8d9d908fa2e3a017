"""How the parts of a stack are: asked over HTTP, and of the supervisor."""

import http.client
import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import psutil

from tiltyard.errors import StackError
from tiltyard.project.addresses import Addresses
from tiltyard.stack import supervisor
from tiltyard.stack.parts import PARTS, POOL

State = Literal["up", "starting", "down"]

_TIMEOUT = 3.0
_STARTING_SECONDS = 60.0
_ANY_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME."""

_near = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Health:
    """How one part is.

    Attributes:
        part: Its name.
        title: What people call it.
        state: `up` when it answers, `starting` when it was started a moment ago, else `down`.
        url: Its address; empty for the worker.
        pid: Its process id; 0 when it does not run or nobody knows.
        note: Why it is not up; empty when it is.
    """

    part: str
    title: str
    state: State
    url: str
    pid: int
    note: str


def health(addresses: Addresses) -> tuple[Health, ...]:
    """Ask every part of a stack how it is.

    Args:
        addresses: Addresses of the stack.
    """
    try:
        children = supervisor.children(psutil.Process(addresses.supervisor))
    except (StackError, psutil.Error):
        children = {}
    return tuple(_health(name, addresses, children.get(name)) for name in PARTS)


def _health(name: str, addresses: Addresses, child: supervisor.Child | None) -> Health:
    """Ask one part."""
    url = {"prefect": addresses.prefect.removesuffix("/api"), "mlflow": addresses.mlflow, "server": addresses.server}
    pid = child.pid if child else 0
    trouble = _trouble(name, addresses, pid)
    state: State = "up"
    if trouble:
        young = child is not None and _age(child.pid) < _STARTING_SECONDS
        state = "starting" if young else "down"
        trouble = (child.trouble if child else "the supervisor does not answer") or trouble
    return Health(name, PARTS[name], state, url.get(name, ""), pid, trouble)


def _trouble(name: str, addresses: Addresses, pid: int) -> str:
    """Return why a part does not answer; empty when it does."""
    if name == "worker":
        return _worker_trouble(addresses.prefect, pid)
    pages = {
        "prefect": f"{addresses.prefect}/health",
        "mlflow": f"{addresses.mlflow}/health",
        "server": f"{addresses.server}/health/live",
    }
    try:
        fetch(pages[name], read=False, certificate=addresses.certificate)
    except StackError as error:
        return error.what
    return ""


def _worker_trouble(api: str, pid: int) -> str:
    """Return why there is no worker that Prefect has heard of since its process began; empty when there is one."""
    if not pid:
        return "does not run"
    try:
        began = psutil.Process(pid).create_time()
        found = fetch(f"{api}/work_pools/{POOL}/workers/filter", {})
    except psutil.Error:
        return "does not run"
    except StackError as error:
        return error.what
    heard = [datetime.fromisoformat(worker["last_heartbeat_time"]) for worker in found if worker["status"] == "ONLINE"]
    return "" if any(moment.timestamp() > began for moment in heard) else "Prefect has not heard of it yet"


def _age(pid: int) -> float:
    """Return how long a process has run, seconds; a very long time when it does not."""
    try:
        return datetime.now().timestamp() - psutil.Process(pid).create_time()  # noqa: DTZ005  # a difference of two
    except (psutil.Error, ValueError):
        return float("inf")


def fetch(
    url: str, content: object = None, *, read: bool = True, token: str | None = None, certificate: str = ""
) -> Any:
    """Ask a server of this machine, around any proxy; return its answer read as JSON.

    Args:
        url: What to ask.
        content: Body of a POST, made JSON; a GET when None.
        read: Whether the answer is wanted.
        token: For a server that wants one.
        certificate: Path of the certificate that a server is known by, over HTTPS.

    Raises:
        StackError: It does not answer, refuses, or answers with something else than JSON.
    """
    body = None if content is None else json.dumps(content).encode()
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url, body, headers)  # noqa: S310  # a stack's address
    try:
        with _opener(certificate).open(request, timeout=_TIMEOUT) as answer:
            return json.load(answer) if read else None
    except urllib.error.HTTPError as error:
        raise StackError(f"answers with status {error.code}", where=url, cure="See `tiltyard logs`.") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise StackError(f"does not answer ({reason})", where=url, cure="See `tiltyard logs`.") from None


def _opener(certificate: str) -> urllib.request.OpenerDirector:
    """Return what opens addresses of this machine.

    Args:
        certificate: What a server must show over HTTPS, whatever name and dates are in it: the server has warned of
            them. Empty for none.

    Raises:
        OSError: It cannot be read, or is none.
    """
    if not certificate:
        return _near
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VerifyFlags(ssl.VERIFY_X509_PARTIAL_CHAIN | _ANY_TIME)
    context.load_verify_locations(certificate)
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
