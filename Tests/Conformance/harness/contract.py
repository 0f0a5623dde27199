"""The OpenAPI document as a contract: every answer of /api that any test gets is compared with what the document promises."""
import functools
import re

import requests
import yaml
from jsonschema import Draft202012Validator, FormatChecker

TIMEOUT_SECONDS = 30


@functools.cache
def document(base_url):
    answer = requests.get(base_url + "/api/openapi.yaml", timeout=TIMEOUT_SECONDS)
    assert answer.status_code == 200, answer.status_code
    return yaml.safe_load(answer.text)


@functools.cache
def operations(base_url):
    """(method, path template, operation) of the whole API."""
    return [(method.upper(), path, operation) for path, item in document(base_url)["paths"].items()
            for method, operation in item.items() if method in ("get", "put", "post", "delete", "patch")]


def resolve(base_url, thing):
    """Follows a $ref within the document."""
    while isinstance(thing, dict) and "$ref" in thing:
        found = document(base_url)
        for part in thing["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        thing = found
    return thing


def check(base_url, method, path, answer):
    """The status is one of those promised for the operation, and the body fits its schema. Addresses without an operation pass."""
    path = path.split("?")[0]
    for known_method, template, operation in operations(base_url):
        if known_method == method and re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", template), path):
            break
    else:
        return
    promised = resolve(base_url, operation["responses"].get(str(answer.status_code)))
    assert promised is not None, f"{method} {template} answers {answer.status_code}, which the document does not know: {answer.text[:300]}"
    content_type = answer.headers.get("Content-Type", "").split(";")[0]
    if "content" in promised:
        assert content_type in promised["content"], f"{method} {template} {answer.status_code}: {content_type}"
        if content_type.endswith("json"):
            validate(base_url, promised["content"][content_type]["schema"], answer.json(), f"{method} {template} {answer.status_code}")


def validate(base_url, schema, value, where):
    # The document is the root, so that references resolve within it.
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "components": document(base_url)["components"], "allOf": [schema]}
    faults = sorted(Draft202012Validator(whole, format_checker=FormatChecker()).iter_errors(value), key=lambda fault: list(fault.path))
    assert not faults, f"{where} does not fit its schema: " + "; ".join(f"{list(f.path)}: {f.message}" for f in faults[:5])
