"""What the parts are told: commands, environment, secrets."""

import base64
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltyard.errors import StackError
from tiltyard.stack.keys import Keys, keys_of
from tiltyard.stack.parts import Layout, commands, environment, mlflow_start
from tiltyard.stack.ports import Ports

PORTS = Ports(prefect=4200, mlflow=5000, server=8080)
KEYS = Keys(webhook="whisper", fernet="murmur")


def layout(home: Path = Path("/yard"), host: str = "127.0.0.1") -> Layout:
    """Return a stack of one project."""
    return Layout(home, (home / "tiltyard.yaml",), host, PORTS)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_commands_survive_every_path(name: str) -> None:
    words = shlex.split(commands(layout(Path("/yard") / name))["server"])
    assert words[-1] == str(Path("/yard") / name / "tiltyard.yaml")


def test_the_parts_find_each_other_and_no_others() -> None:
    outer = {"PREFECT_API_URL": "https://elsewhere/api", "MLFLOW_TRACKING_URI": "https://elsewhere", "NO_PROXY": "corp"}
    told = environment(layout(), KEYS, {**outer, "TILTYARD_PROTECT_KEY": "key"})
    assert told["PREFECT_API_URL"] == told["PREFECT_UI_API_URL"] == "http://127.0.0.1:4200/api"
    assert told["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:5000"
    assert told["MLFLOW_BACKEND_STORE_URI"] == "sqlite:////yard/mlflow.db"
    assert (told["TILTYARD_HOME"], told["TILTYARD_STACK"]) == ("/yard", "/yard")
    assert told["NO_PROXY"].split(",")[:2] == ["corp", "127.0.0.1"]
    assert told["TILTYARD_PROTECT_KEY"] == "key"


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:8080"), ("::", "http://[::1]:8080"), ("10.0.0.7", "http://10.0.0.7:8080")],
)
def test_addresses_are_ones_that_can_be_called(host: str, url: str) -> None:
    assert layout(host=host).url("server") == url


def test_the_model_server_is_called_by_https_where_it_has_a_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    secure = replace(layout(), certificate=tmp_path / "cert.pem")
    assert (secure.url("server"), secure.url("mlflow")) == ("https://127.0.0.1:8080", "http://127.0.0.1:5000")
    told = environment(secure, KEYS, {"TILTYARD_SERVE_TLS_CERT": "cert.pem", "TILTYARD_SERVE_TLS_KEY": "/k/key.pem"})
    assert told["TILTYARD_SERVE_TLS_CERT"] == str(tmp_path / "cert.pem")
    assert told["TILTYARD_SERVE_TLS_KEY"] == "/k/key.pem"
    assert "TILTYARD_TOKENS_FILE" not in told


def test_the_start_of_mlflow_is_found_in_a_checkout_and_in_a_package(tmp_path: Path) -> None:
    assert mlflow_start().name == "start"
    packed = tmp_path / "mlflow_server" / "start"
    packed.parent.mkdir()
    packed.touch()
    assert mlflow_start((tmp_path / "mlflow" / "start", packed)) == packed
    with pytest.raises(StackError, match="looked for"):
        mlflow_start((tmp_path / "nowhere",))


def test_secrets_are_made_once_and_are_the_owners_alone(tmp_path: Path) -> None:
    keys = keys_of(tmp_path)
    assert keys_of(tmp_path) == keys
    assert keys.webhook not in repr(keys)
    assert len(base64.urlsafe_b64decode(keys.fernet)) == 32
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    (tmp_path / "secrets.json").write_text("{}")
    with pytest.raises(StackError, match="is damaged"):
        keys_of(tmp_path)
