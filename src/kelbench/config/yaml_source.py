"""YAML files whose every key knows its line, and settings classes whose errors say so."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from kelbench.base.errors import ProblemList, UserError, nearest

Location = tuple[str | int, ...]


class Settings(BaseModel):
    """Base of every settings class: unknown keys are errors, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Model = TypeVar("Model", bound=Settings)


@dataclass
class YamlSource:
    """The content of one YAML file and the line on which each of its keys and items stands."""

    path: Path
    data: Any = None
    lines: dict[Location, int] = field(default_factory=dict)

    def where(self, location: Location) -> str:
        """``file:line`` of the closest enclosing key that stands in the file."""
        while location and location not in self.lines:
            location = location[:-1]
        return f"{self.path}:{self.lines.get(location, 1)}"


def read_yaml(path: Path) -> YamlSource:
    """Read one YAML document with the safe loader.

    Raises:
        UserError: the file is missing, is not YAML or UTF-8, or says a key twice.
    """
    source = YamlSource(path)
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except FileNotFoundError:
        raise UserError(f"{path}: expected a configuration file here, found none") from None
    except (IsADirectoryError, PermissionError) as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: expected UTF-8 text, found the byte {error.object[error.start]:#04x}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{path}:{line}: expected YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: expected YAML: {error}") from None
    problems = ProblemList(f"{path}: keys may be said once")
    constructor = yaml.SafeLoader("")
    if root is not None:
        try:
            source.data = _construct(root, (), source, constructor, problems)
        except yaml.constructor.ConstructorError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise UserError(f"{path}:{line}: expected plain YAML values: {error.problem}") from None
    problems.raise_if_any()
    return source


def _construct(
    node: yaml.Node, location: Location, source: YamlSource, constructor: yaml.SafeLoader, problems: ProblemList
) -> Any:
    source.lines.setdefault(location, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        mapping: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                line = key_node.start_mark.line + 1
                problems.add(f"{source.path}:{line}: merge keys (<<) are not read; write the keys out, or use an alias")
                continue
            key = constructor.construct_object(key_node)  # type: ignore[no-untyped-call]
            inner = (*location, key)
            line = key_node.start_mark.line + 1
            if key in mapping:
                problems.add(f"{source.path}:{line}: key {key!r} stands here and on line {source.lines[inner]}")
                continue
            source.lines[inner] = line
            mapping[key] = _construct(value_node, inner, source, constructor, problems)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [
            _construct(item, (*location, index), source, constructor, problems) for index, item in enumerate(node.value)
        ]
    return constructor.construct_object(node)  # type: ignore[no-untyped-call]


def validate(model: type[Model], source: YamlSource) -> Model:
    """Build `model` from the source's data.

    Raises:
        UserError: naming file, line and key of every value that does not fit, and the key nearest to an unknown one.
    """
    problems = ProblemList(f"{source.path}: the configuration does not fit")
    settings = check(model, source, problems)
    problems.raise_if_any()
    if settings is None:
        raise AssertionError("no settings, yet no problem")
    return settings


def load_entry(model: type[Model], path: Path) -> Model:
    """Read a registry's entry, whose key `name` is that of the file.

    Raises:
        UserError: it is missing, does not fit, or has another name.
    """
    entry = validate(model, read_yaml(path))
    name = getattr(entry, "name", None)
    if name != path.stem:
        raise UserError(f"{path}: expected name: {path.stem}, as the file is called, found {name}")
    return entry


def check(model: type[Model], source: YamlSource, problems: ProblemList, prefix: str = "") -> Model | None:
    """Build `model` from the source's data, or add what does not fit to `problems`, each text after `prefix`."""
    value = {} if source.data is None else source.data
    if not isinstance(value, dict):
        problems.add(f"{source.where(())}: {prefix}expected keys and values, found {type(value).__name__}")
        return None
    try:
        return model.model_validate(value)
    except ValidationError as error:
        for item in error.errors():
            problems.add(_describe(item, model, source, prefix))
        return None


def _describe(item: Any, model: type[BaseModel], source: YamlSource, prefix: str) -> str:
    location = tuple(part for part in item["loc"] if not (isinstance(part, str) and part.startswith("function-")))
    where = f"{source.where(location)}: {prefix}".rstrip()
    key = ".".join(str(part) for part in location)
    if item["type"] == "extra_forbidden":
        return f"{where} unknown key {key!r}{nearest(str(location[-1]), _valid_keys(model, location[:-1]))}"
    if item["type"] == "missing":
        return f"{where} key {key!r} is missing"
    message = item["msg"].removeprefix("Value error, ")
    found = "" if item["type"] == "value_error" else f", found {item['input']!r}"
    return f"{where} {key + ': ' if key else ''}{message}{found}"


def _valid_keys(model: type[BaseModel], location: Location) -> list[str]:
    """The field names valid at `location` inside `model`; empty where the location leads through a free mapping."""
    current: Any = model
    for part in location:
        fields = getattr(current, "model_fields", {})
        if part in fields:
            current = fields[part].annotation
        current = _settings_class(current)
        if current is None:
            return []
    return list(getattr(current, "model_fields", {}))


def _settings_class(annotation: Any) -> Any:
    """The settings class inside an annotation such as ``X | None``, ``list[X]`` or ``dict[str, X]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _settings_class(argument)
        if found is not None:
            return found
    return None
