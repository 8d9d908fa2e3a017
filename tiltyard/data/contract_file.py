"""The data contract as a YAML file, which people review."""

from pathlib import Path

from tiltyard.data.contract import Contract
from tiltyard.project.loading import parse_model, read_yaml
from tiltyard.project.yamlfile import dump_yaml


def load_contract(path: Path) -> Contract:
    """Load a contract from YAML.

    Raises:
        ProjectError: The file is missing or wrong; names the key.
    """
    cure = "Its first line should be `task: …`; `tiltyard init` writes a whole one."
    return parse_model(Contract, read_yaml(path, empty=cure), where=str(path))


def dump_contract(contract: Contract) -> str:
    """Write a contract as YAML that a person can review; `load_contract` reads it back unchanged."""
    content = contract.model_dump(mode="json", exclude_defaults=True)
    return dump_yaml(content)
