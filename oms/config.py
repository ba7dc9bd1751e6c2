"""The settings of the order management system: defaults, sources, and the form that enters the log.

Later sources win: default, profile, file, `OMS__SECTION__KEY` variables, arguments. Nothing is read on
import; the loader is given the path and the environment. Every name is checked, because a typing error that
silently means "default" has cost others money.
"""

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, Self, get_origin

from pydantic import BaseModel, Field, ValidationError, model_validator

from oms import config_entries as entries
from oms import config_sections as sections
from oms.config_problems import (
    field_of,
    given_twice,
    is_section,
    leaves,
    refused,
    together,
    unknown,
)
from oms.config_sources import (
    ALIASES,
    Given,
    Origin,
    before_close,
    read_arguments,
    read_environment,
    read_file,
    translate,
)
from oms.errors import ConfigError
from oms.values import MarketReason

PROFILES: Final = Path(__file__).parent / "profiles"

OFF: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "degradation.fill_rate_action": "halve",
        "depth.use": "off",
        "targets.conservative_share": "1",
        "protection.books_every_ms": 0,
        **{f"pre_market.{name}": value for name, value in entries.PreMarket(mode="off")},
        **{f"add_on.{name}": value for name, value in entries.AddOn(condition="off")},
        **{f"monitor.{name}": value for name, value in sections.Monitor(on_critical="off")},
    }
)
"""Dotted setting -> what a logged configuration that lacks it means: off. One row per setting added later."""

RETIRED: Final = (("account", "day_rolls_at"),)
"""Settings that nothing has ever read: a logged configuration may name them."""


class Settings(sections.Section):
    """Every setting, resolved. Frozen: the core reads plain attributes."""

    profile: sections.Name = "default"
    account: sections.Account = Field(default_factory=sections.Account)
    risk: sections.Risk = Field(default_factory=sections.Risk)
    entry: sections.Entry = Field(default_factory=sections.Entry)
    pre_market: entries.PreMarket = Field(default_factory=entries.PreMarket)
    add_on: entries.AddOn = Field(default_factory=entries.AddOn)
    stop: sections.Stop = Field(default_factory=sections.Stop)
    guard: sections.Guard = Field(default_factory=sections.Guard)
    breakeven: sections.Breakeven = Field(default_factory=sections.Breakeven)
    trail: sections.Trail = Field(default_factory=sections.Trail)
    mfe_lock: sections.MfeLock = Field(default_factory=sections.MfeLock)
    runner: sections.Runner = Field(default_factory=sections.Runner)
    monitor: sections.Monitor = Field(default_factory=sections.Monitor)
    targets: sections.Targets = Field(default_factory=sections.Targets)
    exit: sections.Exit = Field(default_factory=sections.Exit)
    forced_close: sections.ForcedClose = Field(default_factory=sections.ForcedClose)
    protection: sections.Protection = Field(default_factory=sections.Protection)
    market_data: sections.MarketData = Field(default_factory=sections.MarketData)
    halt: sections.Halt = Field(default_factory=sections.Halt)
    market_orders: sections.MarketOrders = Field(default_factory=sections.MarketOrders)
    gate: sections.Gate = Field(default_factory=sections.Gate)
    degradation: sections.Degradation = Field(default_factory=sections.Degradation)
    depth: sections.Depth = Field(default_factory=sections.Depth)
    slippage: sections.Slippage = Field(default_factory=sections.Slippage)
    policies: sections.Policies = Field(default_factory=sections.Policies)

    @model_validator(mode="after")
    def _takes_profit_at_market_only_where_the_profile_says_so(self) -> Self:
        allowed = MarketReason.TAKE_PROFIT_TRIGGER in self.market_orders.allowed_reasons
        if allowed and not self.profile.startswith("chimera"):
            raise ValueError("market_orders.allowed_reasons: TAKE_PROFIT_TRIGGER needs a chimera profile")
        return self

    @model_validator(mode="after")
    def _goes_to_market_only_where_the_list_allows(self) -> Self:
        allowed = MarketReason.EXIT_EXHAUSTED in self.market_orders.allowed_reasons
        if self.exit.on_exhausted == "market" and not allowed:
            raise ValueError(
                "exit.on_exhausted: market needs EXIT_EXHAUSTED in market_orders.allowed_reasons"
            )
        return self

    def body(self) -> dict[str, Any]:
        """All settings as plain JSON values; Decimals are text without exponent and trailing zeros."""
        return {name: _jsonable(getattr(self, name)) for name in sorted(type(self).model_fields)}

    def canonical_text(self) -> str:
        """The one text of these settings: equal settings give equal bytes."""
        return json.dumps(self.body(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @property
    def sha256(self) -> str:
        """SHA-256 of the canonical text, lower-case hex."""
        return sha256(self.canonical_text().encode()).hexdigest()

    @classmethod
    def from_log(cls, text: str) -> Self:
        """The settings that a log holds. A setting it lacks is OFF, never today's default.

        Raises ConfigError for a text that is no complete configuration, or one of a newer program.
        """
        tree = _logged_tree(text)
        problems = [problem for name in leaves(cls) if (problem := _supply(tree, name))]
        if problems:
            raise together(problems)
        try:
            return cls.model_validate(tree)
        except ValidationError as error:
            raise together([refused(cls, detail, {}) for detail in error.errors()]) from None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_log, (self.canonical_text(),)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self


class Loaded(NamedTuple):
    """Settings with the origin of every value that is not a default, by dotted name."""

    settings: Settings
    origins: Mapping[str, Origin]


def load_settings(
    path: Path | None = None,
    environment: Mapping[str, str] | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Loaded:
    """Resolve the settings from all sources. Raises one ConfigError that names every problem."""
    layers = [
        list(read_file(path, "file")) if path is not None else [],
        list(read_environment(environment or {}, _is_text)),
        list(read_arguments(arguments or {})),
    ]
    profile = _profile_layer([given for layer in layers for given in layer])
    problems: list[ConfigError] = []
    chosen: dict[str, Given] = {}
    for layer in [profile, *layers]:
        chosen |= _checked(layer, problems)
    settings = _build(chosen, problems)
    return Loaded(settings, MappingProxyType({name: given.origin for name, given in chosen.items()}))


def profile_names() -> list[str]:
    """The profiles that come with the package, sorted."""
    return sorted(path.stem for path in PROFILES.glob("*.toml"))


def _profile_layer(given: Iterable[Given]) -> list[Given]:
    """What the chosen profile says. The last source that names one decides."""
    named = [entry for entry in given if entry.path == "profile"]
    if not named:
        return list(read_file(PROFILES / "default.toml", "profile"))
    choice = named[-1]
    if choice.value not in profile_names():
        raise ConfigError(
            "OMS-C003",
            f"Unknown profile  {choice.value}",
            where=str(choice.origin),
            why="there is no such profile; nothing was started",
            hint="one of " + ", ".join(profile_names()),
        )
    return list(read_file(PROFILES / f"{choice.value}.toml", "profile"))


def _is_text(path: str) -> bool:
    """Whether the setting holds text, so that an environment variable is taken as it stands."""
    alias = ALIASES.get(path)
    if alias is not None and alias.convert is before_close:
        return True
    field = field_of(Settings, alias.targets[0] if alias is not None else path)
    return field is not None and (field.annotation is str or get_origin(field.annotation) is Literal)


def _checked(layer: Iterable[Given], problems: list[ConfigError]) -> dict[str, Given]:
    """The known settings of one source; what is wrong with the others goes to `problems`."""
    known: dict[str, Given] = {}
    for written in layer:
        try:
            translated = translate(written)
        except ConfigError as problem:
            problems.append(problem)
            continue
        for given in translated:
            field = field_of(Settings, given.path)
            if field is None or (is_section(field) and given.value != {}):
                problems.append(unknown(Settings, given))
            elif given.path in known:
                problems.append(given_twice(known[given.path], given))
            elif given.value != {}:
                known[given.path] = given
    return known


def _build(chosen: Mapping[str, Given], problems: list[ConfigError]) -> Settings:
    tree: dict[str, Any] = {"policies": {"enabled": dict(sections.DEFAULT_POLICIES)}}
    for path, given in chosen.items():
        *above, name = path.split(".")
        table = tree
        for part in above:
            table = table.setdefault(part, {})
        table[name] = given.value
    enabled = tree["policies"]["enabled"]
    if isinstance(enabled, dict):
        tree["policies"]["enabled"] = {name: version for name, version in enabled.items() if version != 0}
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        problems += [refused(Settings, detail, chosen) for detail in error.errors()]
    if problems:
        raise together(problems)
    return settings


def _jsonable(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {name: _jsonable(getattr(value, name)) for name in sorted(type(value).model_fields)}
    if isinstance(value, Mapping):
        return {name: _jsonable(item) for name, item in sorted(value.items())}
    if isinstance(value, tuple):
        return [_jsonable(item) for item in value]
    return _plain(value) if isinstance(value, Decimal) else value


def _plain(value: Decimal) -> str:
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _logged_tree(text: str) -> dict[str, Any]:
    try:
        tree = json.loads(
            text, parse_float=_refuse_number, parse_constant=_refuse_number, object_pairs_hook=_unique
        )
    except ValueError as error:
        raise ConfigError("OMS-C020", "The logged configuration is not readable", why=str(error)) from None
    if not isinstance(tree, dict):
        raise ConfigError("OMS-C020", "The logged configuration is not readable", why="an object is needed")
    for section, name in RETIRED:
        if isinstance(tree.get(section), dict):
            tree[section].pop(name, None)
    return tree


def _refuse_number(text: str) -> Any:
    raise ValueError(f"{text} is a binary float; logged numbers are text")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _supply(tree: dict[str, Any], name: str) -> ConfigError | None:
    """Put the OFF value of a setting that the tree lacks into it; say so if there is none."""
    section, _, setting = name.rpartition(".")
    table = tree.setdefault(section, {}) if section else tree
    if not isinstance(table, dict) or setting in table:
        return None
    if name not in OFF:
        return ConfigError(
            "OMS-C021",
            f"The logged configuration lacks  {name}",
            why="the setting is older than the log, so the text is damaged; today's default would be a guess",
        )
    table[setting] = OFF[name]
    return None
