"""What a client finds before it knows anything: metadata, health, the OpenAPI document."""
import requests

from harness import contract
from harness.api import TIMEOUT_SECONDS, assert_problem
from harness.oauth import metadata


def test_metadata_is_rfc_8414(base_url):
    found = metadata(base_url)
    assert found["issuer"] == base_url
    for endpoint in ("token_endpoint", "authorization_endpoint"):
        assert found[endpoint].startswith(base_url + "/"), endpoint
    assert "S256" in found["code_challenge_methods_supported"] and "plain" not in found["code_challenge_methods_supported"]
    assert {"authorization_code", "client_credentials"} <= set(found["grant_types_supported"])
    assert found["response_types_supported"] == ["code"]
    assert "private_key_jwt" in found["token_endpoint_auth_methods_supported"]
    # RFC 8414 §2: named for JWT client authentication, and never "none".
    assert "ES256" in found["token_endpoint_auth_signing_alg_values_supported"]
    assert "none" not in found["token_endpoint_auth_signing_alg_values_supported"]


def test_health(base_url):
    for path in ("/health/live", "/health/ready"):
        assert requests.get(base_url + path, timeout=TIMEOUT_SECONDS).status_code == 200


def test_openapi_lists_the_fixed_addresses(base_url):
    assert contract.document(base_url)["openapi"].startswith("3.")
    listed = {(method, path) for method, path, _ in contract.operations(base_url)}
    for method, path in [("get", "/api/v1/me"), ("get", "/api/v1/consents"), ("put", "/api/v1/consents/{id}"),
                         ("get", "/api/v1/access-entries"), ("get", "/api/v1/bills"), ("get", "/api/v1/bills/{id}"),
                         ("post", "/api/v1/bills/{id}/payments"), ("post", "/api/v1/exchange/reads")]:
        assert (method.upper(), path) in listed


def test_the_demo_file_is_private(server, demo):
    assert (server.data / "demo.json").stat().st_mode & 0o777 == 0o600
    for resident in demo["residents"]:
        assert {"name", "username", "password", "public_code", "roles"} <= resident.keys()
    for organisation in demo["organisations"]:
        assert {"name", "client_id", "private_key_jwk_path", "purposes", "subjects"} <= organisation.keys()


def test_pseudonyms_differ_for_each_organisation(demo):
    named = [pseudonym for organisation in demo["organisations"] for pseudonym in organisation["subjects"].values()]
    assert len(named) > 1 and len(set(named)) == len(named)


def test_unknown_routes_and_methods(nobody, base_url):
    assert_problem(nobody.get("/api/v1/nothing-here"), 404, "not-found")
    wrong_method = nobody.call("DELETE", "/api/v1/exchange/reads")
    assert_problem(wrong_method, 405, "method-not-allowed")
    assert "POST" in wrong_method.headers["Allow"]


def test_public_answers_fit_the_document(nobody, base_url):
    for method, path, operation in contract.operations(base_url):
        if method == "GET" and "{" not in path and not operation.get("security", []):
            assert nobody.get(path).status_code == 200, path
