"""The site's own texts, so that tests ask for what a person sees and not for markup."""
import functools
import re

import yaml

from harness.server import REPOSITORY

LANGUAGES = ("en", "fr", "ar")


@functools.cache
def texts(language):
    found = {}

    def add(prefix, value):
        if isinstance(value, dict):
            for key, inner in value.items():
                add(f"{prefix}.{key}", inner)
        else:
            found[prefix] = str(value)

    for file in (REPOSITORY / "config" / "locales" / language).glob("*.yaml"):
        for key, value in (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).items():
            add(f"{file.stem}.{key}", value)
    return found


def text(language, key):
    """A text; of one with {placeholders}, its longest part between them."""
    whole = texts(language)[key]
    return max(re.split(r"\{[^}]*\}", whole), key=len).strip()
