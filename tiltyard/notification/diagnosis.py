"""Can people be told of what happens?"""

from collections.abc import Iterator

from tiltyard.notification.channels import VARIABLE, channels
from tiltyard.project.diagnosis import Diagnosis, fine
from tiltyard.project.environment import Environment


def check_channels(environment: Environment) -> Iterator[Diagnosis]:
    """See whether the addresses that people are told at are of a known kind; nothing is sent.

    Args:
        environment: Settings in force.

    Raises:
        ProjectError: One of them is of no known kind.
    """
    if environment.notify is None:
        yield fine("notification", f"Nobody is told of promotions, questions and failures; {VARIABLE} names where.")
        return
    names = ", ".join(channel.name for channel in channels(environment.notify.get_secret_value()))
    yield fine("notification", f"People are told by {names}.")
