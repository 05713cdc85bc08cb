"""The page of all settings: ``python -m service.settings_doc > docs/settings.md``."""

import sys

from service.settings import Settings, type_name

_HEAD = """# Settings

Every setting is an environment variable and a flag of every `sightline` command; a flag wins over
the variable, and a variable set to nothing counts as unset. A value out of range stops the start
with a message that names the setting.

This page is made by `python -m service.settings_doc`; a test holds it against the code.

| variable | flag | type | default | what it does |
|---|---|---|---|---|
"""


def page() -> str:
    """The page, in Markdown."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, {}) else f"`{field.default}`"
        cells = (
            f"`SIGHTLINE_{name.upper()}`",
            f"`--{name.replace('_', '-')}`",
            f"`{type_name(field.annotation)}`".replace("|", "\\|"),
            default,
            field.description,
        )
        rows.append(f"| {' | '.join(map(str, cells))} |\n".replace("|  |", "| |"))
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    sys.stdout.write(page())
