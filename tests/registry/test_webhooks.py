import pytest

from tiltyard.errors import RegistryError
from tiltyard.registry.client import Registry
from tiltyard.registry.webhooks import EVENTS, ensure_webhook

HERE = "http://127.0.0.1:9/v1/hooks/mlflow"


def test_a_webhook_is_made_once_and_follows_the_server(mlflow_server: str) -> None:
    registry = Registry(mlflow_server)
    made = [ensure_webhook(registry, url, "s", name="one") for url in (HERE, HERE, f"{HERE}x")]
    assert made == [True, False, True]
    ensure_webhook(registry, HERE, "s", name="another")
    found = {webhook.name: webhook for webhook in registry.client.list_webhooks()}
    assert (found["one"].url, found["another"].url) == (f"{HERE}x", HERE)
    assert {str(event) for event in found["one"].events} == set(EVENTS)
    for name in ("one", "another"):
        registry.client.delete_webhook(found[name].webhook_id)


def test_an_address_that_mlflow_does_not_call_is_named(mlflow_server: str) -> None:
    with pytest.raises(RegistryError, match="cannot have MLflow call ftp://"):
        ensure_webhook(Registry(mlflow_server), "ftp://somewhere", "s")
