"""The webhook by which MLflow tells a model server at once that an alias or a version has changed.

It is a hint and no more: MLflow keeps deliveries in memory and loses them when it ends, so that the servers look at the
registry by themselves as well.
"""

from mlflow.entities.webhook import Webhook, WebhookEvent, WebhookEventStr

from tiltyard.registry.client import Registry

WEBHOOK = "tiltyard"
"""Name of the webhook of a local stack, which has one model server."""

EVENTS: tuple[WebhookEventStr, ...] = (
    "model_version.created",
    "model_version_alias.created",
    "model_version_alias.deleted",
)
"""What MLflow tells about: a new version (a copy among them), and every move of an alias."""

_PURPOSE = "Tells Tiltyard's model server that an alias or a version has changed; made by `tiltyard up`."


def ensure_webhook(registry: Registry, url: str, secret: str, *, name: str = WEBHOOK) -> bool:
    """Have MLflow call a model server when an alias or a version changes.

    Args:
        registry: The connection to an MLflow server.
        url: Address of the model server's hook, ending in `/v1/hooks/mlflow`.
        secret: Shared with the model server (`TILTYARD_WEBHOOK_SECRET`); MLflow signs with it.
        name: Name of the webhook in MLflow; a name of its own for each of several model servers.

    Returns:
        Whether the webhook was made, or called another address before. A second call changes nothing, but that the
        secret, which MLflow does not give back, is told again.

    Raises:
        RegistryError: MLflow cannot be reached, does not take such an address, or cannot read its own webhooks.
    """
    events: list[WebhookEventStr | WebhookEvent] = [*EVENTS]
    with registry.explained(f"have MLflow call {url}"):
        found = [webhook for webhook in _webhooks(registry) if webhook.name == name]
        if not found:
            registry.client.create_webhook(name, url, events, description=_PURPOSE, secret=secret)
            return True
        first, *others = found
        for other in others:
            registry.client.delete_webhook(other.webhook_id)
        registry.client.update_webhook(first.webhook_id, url=url, events=events, secret=secret, status="ACTIVE")
        return bool(first.url != url)


def _webhooks(registry: Registry) -> list[Webhook]:
    """Return all webhooks."""
    found: list[Webhook] = []
    token: str | None = None
    while True:
        page = registry.client.list_webhooks(page_token=token)
        found += page
        token = page.token
        if not token:
            return found
