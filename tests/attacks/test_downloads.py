"""A version that would fill the disk is not downloaded."""

from pathlib import Path

import pytest

from tests.attacks.corpus import ATTACKS
from tests.serving.registries import Registered
from tiltyard.errors import BundleError
from tiltyard.registry import models
from tiltyard.registry.client import connect
from tiltyard.registry.records import ModelRef


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["graph of two terabytes", "code folder"])
def test_what_is_no_bundle_by_its_size_alone_is_left_where_it_is(
    name: str, registered: Registered, tmp_path: Path
) -> None:
    version = registered.add()
    ATTACKS[name].change(tmp_path / "versions" / registered.name / str(version) / "bundle")
    ref = ModelRef(name=registered.name, version=version)
    with pytest.raises(BundleError, match="are downloaded"):
        models.download_bundle(connect(registered.workplace), ref, tmp_path / "cache" / "1")
    assert not list(tmp_path.glob("cache/*"))
