"""Registered models as they are: versions, aliases, tags, and the files of a version."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from tiltyard.errors import AbsentError, BundleError
from tiltyard.registry.client import ABSENT, Registry, quiet
from tiltyard.registry.records import CHALLENGER, CHAMPION, Glance, ModelRef, VersionInfo

BUNDLE = "bundle"
"""Folder of the bundle within a version's files."""

LARGEST_BUNDLE = 2 * 2**30
"""Bytes of a bundle that are downloaded at most: more than all its files may have."""

_PAGE = 500
_NO_ALIAS = "INVALID_PARAMETER_VALUE"
_TAKEN = "unique constraint"


def champion(registry: Registry, name: str) -> ModelRef | None:
    """Return the version that has the alias `champion`; None when no version has it.

    Raises:
        RegistryError: MLflow cannot be reached or refuses.
    """
    return aliased(registry, name, CHAMPION)


def challenger(registry: Registry, name: str) -> ModelRef | None:
    """Return the version that has the alias `challenger`; None when no version has it.

    Raises:
        RegistryError: MLflow cannot be reached or refuses.
    """
    return aliased(registry, name, CHALLENGER)


def aliased(registry: Registry, name: str, alias: str) -> ModelRef | None:
    """Return the version that has an alias; None when no version has it, or there is no such model.

    Raises:
        RegistryError: MLflow cannot be reached or refuses.
    """
    with registry.explained(f"read the alias `{alias}` of `{name}`"):
        try:
            found = registry.client.get_model_version_by_alias(name, alias)
        except MlflowException as error:
            if error.error_code in ABSENT or (error.error_code == _NO_ALIAS and "alias" in str(error)):
                return None
            raise
        return ModelRef(name=name, version=int(found.version))


def set_alias(registry: Registry, ref: ModelRef, alias: str) -> None:
    """Point an alias at a version.

    MLflow keeps no history of it and lets the last writer win: `champion` is moved by `tiltyard.registry.promotion`
    only.

    Raises:
        RegistryError: There is no such version, or MLflow cannot be reached or refuses.
    """
    with registry.explained(f"point the alias `{alias}` at {ref}"):
        registry.client.set_registered_model_alias(ref.name, alias, str(ref.version))


def remove_alias(registry: Registry, name: str, alias: str) -> None:
    """Take an alias away from whichever version has it.

    Raises:
        RegistryError: MLflow cannot be reached or refuses.
    """
    with registry.explained(f"take the alias `{alias}` of `{name}` away"):
        registry.client.delete_registered_model_alias(name, alias)


def glance(registry: Registry, name: str) -> Glance:
    """Return what changes of a model when anybody does anything with its versions or aliases, in one request.

    Raises:
        RegistryError: MLflow cannot be reached or refuses.
    """
    with registry.explained(f"look at `{name}`"):
        try:
            found = registry.client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code in ABSENT:
                return Glance()
            raise
        champion = found.aliases.get(CHAMPION)
        return Glance(
            made=int(found.creation_timestamp),
            champion=None if champion is None else int(champion),
            newest=max((int(version.version) for version in found.latest_versions), default=0),
        )


def models(registry: Registry) -> tuple[str, ...]:
    """Return the names of all registered models, sorted.

    Raises:
        RegistryError: MLflow cannot be reached or refuses.
    """
    names: list[str] = []
    token: str | None = None
    with registry.explained("list the registered models"):
        while True:
            page = registry.client.search_registered_models(max_results=_PAGE, page_token=token)
            names += [str(model.name) for model in page]
            token = page.token
            if not token:
                return tuple(sorted(names))


def versions(registry: Registry, name: str) -> tuple[VersionInfo, ...]:
    """Return the versions of a model, newest first; none when there is no such model.

    Raises:
        RegistryError: MLflow cannot be reached or refuses.
    """
    with registry.explained(f"list the versions of `{name}`"):
        try:
            aliases = registry.client.get_registered_model(name).aliases
        except MlflowException as error:
            if error.error_code in ABSENT:
                return ()
            raise
        found = [_info(version, aliases) for version in search(registry, f"name = '{name}'")]
    return tuple(sorted(found, key=lambda info: info.ref.version, reverse=True))


def version(registry: Registry, ref: ModelRef) -> VersionInfo:
    """Return what the registry knows about a version.

    Raises:
        RegistryError: There is no such version (lists those there are), or MLflow cannot be reached or refuses.
    """
    known = versions(registry, ref.name)
    for info in known:
        if info.ref == ref:
            return info
    numbers = ", ".join(str(info.ref.version) for info in known)
    raise AbsentError(
        f"there is no {ref}",
        where=registry.shown_uri,
        cure=f"Versions there are: {numbers}." if numbers else f"Nothing is registered as `{ref.name}` yet.",
    )


def set_tags(registry: Registry, ref: ModelRef, tags: Mapping[str, str]) -> None:
    """Set tags on a version.

    Raises:
        RegistryError: There is no such version, or MLflow cannot be reached or refuses.
    """
    with registry.explained(f"tag {ref}"):
        for key, value in tags.items():
            _set_tag(registry, ref, key, value)


def _set_tag(registry: Registry, ref: ModelRef, key: str, value: str) -> None:
    """Set a tag; when somebody else sets it for the first time at the same moment, MLflow refuses one of the two."""
    try:
        registry.client.set_model_version_tag(ref.name, str(ref.version), key, value)
    except MlflowException as error:
        if _TAKEN not in str(error).casefold():
            raise
        registry.client.set_model_version_tag(ref.name, str(ref.version), key, value)


def download_bundle(registry: Registry, ref: ModelRef, folder: Path) -> Path:
    """Download a version's bundle.

    Args:
        registry: The connection.
        ref: Which version.
        folder: Where it goes; appears only when complete, and is taken as it is when it is there already.

    Raises:
        RegistryError: There is no such version, it has no bundle, or MLflow cannot be reached or refuses.
        BundleError: It is larger than any bundle is: it would fill the disk of whoever downloads it.
    """
    if not folder.exists():
        _refuse_too_large(registry, ref)
    return download(registry, ref, BUNDLE, folder)


def _refuse_too_large(registry: Registry, ref: ModelRef) -> None:
    """Refuse a bundle by what the store says of its files, before any of them is downloaded."""
    with registry.explained(f"look at the files of {ref}"), quiet():
        files = _repository(registry, ref).list_artifacts(BUNDLE)
    total = sum(file.file_size or 0 for file in files)
    if total > LARGEST_BUNDLE or any(file.is_dir for file in files):
        raise BundleError(
            f"the bundle of {ref} has {len(files)} entries and {total:,} bytes; at most {LARGEST_BUNDLE:,} bytes"
            " without folders are downloaded",
            cure="Only versions that Tiltyard registered can be served.",
        )


def has_bundle(registry: Registry, ref: ModelRef) -> bool:
    """Whether there is a bundle among a version's files; one that is no Tiltyard version has none.

    Raises:
        RegistryError: There is no such version, or MLflow or its artifacts cannot be reached.
    """
    return has_files(registry, ref, BUNDLE)


def has_files(registry: Registry, ref: ModelRef, place: str) -> bool:
    """Whether a version has a folder with files.

    Args:
        registry: The connection.
        ref: Which version.
        place: Path of the folder within the version's files.

    Raises:
        RegistryError: There is no such version, or MLflow or its artifacts cannot be reached.
    """
    with registry.explained(f"look at the files of {ref}"), quiet():
        return bool(_repository(registry, ref).list_artifacts(place))


def download(registry: Registry, ref: ModelRef, place: str, target: Path) -> Path:
    """Download one file or folder of a version.

    Args:
        registry: The connection.
        ref: Which version.
        place: Its path within the version's files.
        target: Where it goes; appears only when complete, and is taken as it is when it is there already.

    Raises:
        RegistryError: There is no such version or file, or MLflow cannot be reached or refuses.
    """
    if target.exists():
        return target
    with registry.explained(f"download `{place}` of {ref}"), quiet():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".download-") as folder:
            repository = _repository(registry, ref)
            loaded = Path(repository.download_artifacts(place, folder))  # type: ignore[no-untyped-call]  # of MLflow
            _publish(loaded, target)
    return target


def _repository(registry: Registry, ref: ModelRef) -> ArtifactRepository:
    """Return where a version's files are."""
    source = registry.client.get_model_version_download_uri(ref.name, str(ref.version))
    return get_artifact_repository(source, registry.tracking_uri, registry.tracking_uri)


def search(registry: Registry, wanted: str) -> list[ModelVersion]:
    """Return the versions that fit a filter of MLflow's, unexplained."""
    found: list[ModelVersion] = []
    token: str | None = None
    while True:
        page = registry.client.search_model_versions(wanted, max_results=_PAGE, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _publish(loaded: Path, target: Path) -> None:
    """Give a complete download its name; one that another process finished first will do."""
    try:
        loaded.rename(target)
    except OSError:
        if not target.exists():
            raise
        shutil.rmtree(loaded, ignore_errors=True)


def _info(found: ModelVersion, aliases: Mapping[str, str]) -> VersionInfo:
    """Return a version as a record; a search tells no aliases, the model does."""
    number = int(found.version)
    return VersionInfo(
        ref=ModelRef(name=found.name, version=number),
        run=found.run_id or "",
        tags=dict(found.tags),
        aliases=tuple(sorted(alias for alias, target in aliases.items() if int(target) == number)),
        description=found.description or "",
        source=found.source or "",
        created=int(found.creation_timestamp),
    )
