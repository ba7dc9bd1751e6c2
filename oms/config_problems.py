"""What is wrong with a setting, said so that a person can repair it: name, place, value, what is allowed."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, Final, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from oms.config_sources import ALIASES, ENV_PREFIX, Given
from oms.errors import ConfigError

RANGE_ERRORS: Final = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")


def field_of(model: type[BaseModel], path: str) -> FieldInfo | None:
    """The field behind a dotted setting, or None. A name inside a mapping leads to the mapping."""
    here: Any = model
    field: FieldInfo | None = None
    for name in path.split("."):
        if isinstance(here, type) and issubclass(here, BaseModel):
            field = here.model_fields.get(name)
        elif get_origin(here) is not dict:
            return None
        if field is None:
            return None
        here = field.annotation
    return field


def is_section(field: FieldInfo | None) -> bool:
    """Whether the field is a section and not a setting."""
    return (
        field is not None and isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    )


def leaves(model: type[BaseModel]) -> Iterator[str]:
    """Every dotted setting, in the order of declaration."""
    for name, field in model.model_fields.items():
        if is_section(field):
            section = field.annotation
            assert section is not None
            yield from (f"{name}.{setting}" for setting in section.model_fields)
        else:
            yield name


def describe(field: FieldInfo, path: str) -> str:
    """Kind, permitted values and default, as in `whole milliseconds, 100 to 3600000; default 5000`."""
    default = field.get_default(call_default_factory=True, validated_data={})
    parts = [_kind(field, path), _bounds(field), "" if field.is_required() else f"default {spoken(default)}"]
    return "; ".join(part for part in parts if part)


def _kind(field: FieldInfo, path: str) -> str:
    annotation = field.annotation
    if get_origin(annotation) is Literal:
        return "one of " + ", ".join(map(str, get_args(annotation)))
    if get_origin(annotation) is tuple:
        return "a list"
    if get_origin(annotation) is dict:
        return "a table of name = version"
    if annotation is Decimal:
        return "a fraction (0.01 is 1 %)" if path.endswith("pct") else "a number"
    if annotation is int:
        return "whole milliseconds" if path.endswith("_ms") else "a whole number"
    return "true or false" if annotation is bool else "a text"


def _bounds(field: FieldInfo) -> str:
    words = {Ge: "from {}", Gt: "above {}", Le: "up to {}", Lt: "below {}"}
    said = []
    for bound in field.metadata:
        for kind, text in words.items():
            if isinstance(bound, kind):
                said.append(text.format(spoken(next(iter(vars_of(bound))))))
    return " ".join(said)


def vars_of(bound: object) -> Sequence[object]:
    """The limit inside a bound of annotated_types."""
    return [getattr(bound, name) for name in ("ge", "gt", "le", "lt") if hasattr(bound, name)]


def spoken(value: object) -> str:
    """A value as one writes it in a settings file, shortened."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() else str(value)
    if isinstance(value, BaseModel):
        return " ".join(spoken(getattr(value, name)) for name in type(value).model_fields)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(spoken, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name} = {spoken(item)}" for name, item in value.items()) + "}"
    return str(value)


def unknown(model: type[BaseModel], given: Given) -> ConfigError:
    """A name that is no setting, with the likeliest one that is."""
    near = _nearest_name(model, given.path)
    variable = given.origin.kind == "environment"
    hint = "python3 -m oms config show lists every setting"
    if near is not None:
        targets = ALIASES[near].targets if near in ALIASES else (near,)
        field = field_of(model, targets[0])
        assert field is not None
        hint = f"{variable_of(near) if variable else near}   ({describe(field, targets[0])})"
    return ConfigError(
        "OMS-C016" if variable else "OMS-C012",
        f"Unknown {'variable' if variable else 'setting'}  {given.key}",
        where=str(given.origin),
        why="this name does not exist; nothing was started",
        hint=hint,
    )


def variable_of(path: str) -> str:
    """The environment variable of a setting."""
    return ENV_PREFIX + path.upper().replace(".", "__").replace("-", "_")


def _nearest_name(model: type[BaseModel], path: str) -> str | None:
    names = [*leaves(model), *ALIASES]
    near = get_close_matches(path, names, n=1, cutoff=0.75)
    if near:
        return near[0]
    # A key in the wrong section, or in none: compare the last part alone.
    last_parts = {name.rpartition(".")[2]: name for name in names}
    near = get_close_matches(path.rpartition(".")[2].strip(), list(last_parts), n=1, cutoff=0.75)
    return last_parts[near[0]] if near else None


def refused(model: type[BaseModel], error: ErrorDetails, given: Mapping[str, Given]) -> ConfigError:
    """What pydantic found, in our words."""
    path = ".".join(str(part) for part in error["loc"] if not isinstance(part, int))
    path = path or error["msg"].removeprefix("Value error, ").split(": ")[0]
    source = _source(path, given)
    field = field_of(model, path)
    message = error["msg"].removeprefix("Value error, ")
    out_of_range = error["type"] in RANGE_ERRORS
    # What several settings contradict each other in has no value of its own, and no single one that would be right.
    about_one = field is not None and not is_section(field) and bool(error["loc"])
    value = (
        f"the value is {spoken(error['input'])}; " if error["loc"] and (about_one or source is None) else ""
    )
    return ConfigError(
        "OMS-C014" if out_of_range else "OMS-C013",
        f"{'Out of range' if out_of_range else 'Wrong value for'}  {source.key if source else path}",
        where=str(source.origin) if source else None,
        why=f"{value}{message[:1].lower()}{message[1:]}; nothing was started",
        hint=f"{path}   ({describe(field, path)})" if field is not None and about_one else None,
    )


def _source(path: str, given: Mapping[str, Given]) -> Given | None:
    """Who gave the value at `path`, or the last one who gave anything below it."""
    above = path
    while above:
        if above in given:
            return given[above]
        above = above.rpartition(".")[0]
    below = [entry for name, entry in given.items() if name.startswith(f"{path}.")]
    return below[-1] if below else None


def given_twice(first: Given, second: Given) -> ConfigError:
    """Two names of one setting in one source."""
    return ConfigError(
        "OMS-C015",
        f"Setting given twice  {second.path}",
        where=f"{first.origin} ({first.key}) and {second.origin} ({second.key})",
        why="nobody can know which one was meant; nothing was started",
        hint="keep one of them",
    )


def together(problems: Sequence[ConfigError]) -> ConfigError:
    """One error that carries all. `problems` may not be empty."""
    first, *others = problems
    first.others = tuple(others)
    return first
