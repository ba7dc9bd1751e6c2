"""`oms config show [--origin]` and `oms config check`: the settings in force, and where each comes from."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from oms.cli.frame import output_of
from oms.cli.output import Output
from oms.config import Loaded, Settings, load_settings
from oms.config_problems import leaves, spoken

DEFAULT_FILE = Path("oms.toml")

app = typer.Typer(add_completion=False, help="Show or check the settings.")


@app.command()
def show(
    context: typer.Context,
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value comes from.")] = False,
    changed: Annotated[bool, typer.Option("--changed", help="Leave out what has its default.")] = False,
) -> None:
    """Print every setting as it is in force."""
    output = output_of(context)
    loaded = load(output)
    names = [name for name in leaves(Settings) if not changed or _origin(loaded, name) != "default"]
    columns = ["setting", "value", "origin"] if origin else ["setting", "value"]
    rows = [[name, spoken(value_of(loaded.settings, name)), _origin(loaded, name)] for name in names]
    output.table(columns, [row[: len(columns)] for row in rows])
    result: dict[str, Any] = {"sha256": loaded.settings.sha256, "settings": loaded.settings.body()}
    if origin:
        result["origins"] = {name: _origin(loaded, name) for name in names}
    output.finish(result)


@app.command()
def check(context: typer.Context) -> None:
    """Check the settings file and the OMS__ variables; every problem is named."""
    output = output_of(context)
    loaded = load(output)
    path = settings_file(output)
    count = sum(1 for given in loaded.origins.values() if given.kind != "profile")
    output.step(
        "settings", f"good: profile {loaded.settings.profile}, {count} given, {path or 'no settings file'}"
    )
    output.finish({"profile": loaded.settings.profile, "sha256": loaded.settings.sha256, "given": count})


def load(output: Output, arguments: Mapping[str, Any] | None = None) -> Loaded:
    """The settings of this command line: --config or oms.toml, then OMS__ variables, then `arguments`."""
    return load_settings(settings_file(output), os.environ, arguments)


def settings_file(output: Output) -> Path | None:
    """The file that --config names (it has to exist), else oms.toml here if there is one."""
    if output.options.config is not None:
        return Path(output.options.config)
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


def value_of(settings: Settings, name: str) -> Any:
    """The value of a dotted setting."""
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _origin(loaded: Loaded, name: str) -> str:
    """Where a value comes from; a table may come from several places."""
    places = [str(given) for key, given in loaded.origins.items() if f"{key}.".startswith(f"{name}.")]
    return ", ".join(dict.fromkeys(places)) or "default"
