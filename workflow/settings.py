"""The configuration: values as their schema types them, and held against it."""

import contextlib
import json
from pathlib import Path
from typing import Any

import jsonschema

from data.errors import ConfigError

SCHEMAS = Path(__file__).resolve().parent / "schemas"


def _typed(value: Any, schema: dict[str, Any]) -> Any:
    """The value with texts read as the number or boolean that the schema asks for.

    ``--config key=true`` and nested values on the command line reach us as text.
    """
    if isinstance(value, dict):
        known = schema.get("properties", {})
        return {key: _typed(part, known.get(key, {})) for key, part in value.items()}
    if isinstance(value, list):
        return [_typed(part, schema.get("items", {})) for part in value]
    if isinstance(value, str) and schema.get("type") in ("boolean", "integer", "number"):
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(value.lower())
    return value


def run_settings(plan: Any) -> dict[str, Any]:
    """The science of a plan's configuration, as a report shows it."""
    return {key: plan.config[key] for key in ("alignment", "structure", "dca", "refine", "train", "seed")}


def checked_config(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with typed values, held against its closed schema.

    Raises
    ------
    ConfigError
        Lists every key that breaks it, with the value and what is allowed.
    """
    schema = json.loads((SCHEMAS / "config.schema.json").read_text())
    config = _typed(config, schema)
    validator = jsonschema.Draft202012Validator(schema)
    errors = sorted(validator.iter_errors(config), key=lambda e: list(map(str, e.absolute_path)))
    if errors:
        shown = [f"{'/'.join(map(str, e.absolute_path)) or 'top level'}: {e.message}" for e in errors]
        raise ConfigError(
            "the configuration breaks its schema",
            file="config",
            value="; ".join(shown),
            remedy="config/config.yaml holds every key with its meaning",
        )
    return config
