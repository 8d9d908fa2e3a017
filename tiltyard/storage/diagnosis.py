"""Does the object store answer, and may it be written?"""

from collections.abc import Iterator
from uuid import uuid4

from tiltyard.project.diagnosis import Diagnosis, fine, wrong
from tiltyard.storage.base import Store


def check_store(store: Store, address: str) -> Iterator[Diagnosis]:
    """Write an object, read it back and remove it.

    Args:
        store: The store.
        address: Where it is, for the sentence.

    Raises:
        StorageError: The store cannot be reached or refuses.
    """
    key, content = f"doctor/{uuid4().hex}", b"a look by tiltyard doctor"
    store.create(key, content)
    try:
        intact = store.read(key) == content
    finally:
        store.delete(key)
    if intact:
        yield fine("store", f"{address} can be read and written.")
    else:
        yield wrong("store", f"{address} returns something else than what was written.", "Check the disk or server.")
