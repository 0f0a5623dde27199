"""Residents sign in at services of organisations: Authlib and joserfc as the service, unmodified."""
import pytest
import requests

from harness.api import API
from harness.pages import Visitor
from harness.services import Service, discovery


def test_discovery_is_openid_connects(base_url):
    found = discovery(base_url)
    assert found["issuer"] == base_url
    # OpenID Connect Discovery §3: what must be there.
    for member in ("authorization_endpoint", "token_endpoint", "jwks_uri", "response_types_supported", "subject_types_supported", "userinfo_endpoint"):
        assert found[member], member
    assert "RS256" in found["id_token_signing_alg_values_supported"] and found["subject_types_supported"] == ["pairwise"]
    keys = requests.get(found["jwks_uri"], timeout=30).json()["keys"]
    assert {key["kty"] for key in keys} == {"EC", "OKP", "RSA"}
    assert not any(member in key for key in keys for member in ("d", "p", "q", "k"))


def test_authlib_signs_a_resident_in(server, demo, other_resident, sign_in):
    service = Service(server)
    token = service.redeem(service.sign_in(other_resident))
    claims = service.claims(token)
    organisation = next(o for o in demo["organisations"] if o["client_id"] == service.demo["organisation"])
    assert claims["sub"] == organisation["subjects"][other_resident["username"]], "the name of the exchange"
    user = service.user_info()
    assert user.status_code == 200 and user.json()["sub"] == claims["sub"]
    assert user.json().get("given_name") and user.json().get("birthdate")
    # The resident finds both: the agreement under consents, and the read in the log.
    visitor = sign_in(other_resident)
    assert service.demo["organisation"].split("-")[1].lower() in visitor.get("/access-log").text.lower()


def test_the_second_time_asks_nothing(server, other_resident):
    visitor = Visitor(server.base_url)
    first, second = Service(server), Service(server)
    before = first.claims(first.redeem(first.sign_in(other_resident, visitor=visitor)))
    callback = second.sign_in(other_resident, visitor=visitor, prompt="none")
    assert second.claims(second.redeem(callback))["sub"] == before["sub"]


def test_a_pseudonymous_service_learns_nothing_else(server, other_resident):
    clinic, library = Service(server), Service(server, index=1)
    subject = clinic.claims(clinic.redeem(clinic.sign_in(other_resident)))["sub"]
    token = library.redeem(library.sign_in(other_resident))
    assert library.claims(token)["sub"] != subject
    assert set(library.user_info().json()) == {"sub"}


@pytest.mark.parametrize("path", ["/api/v1/me", "/api/v1/consents"])
def test_a_services_token_opens_nothing_else(server, base_url, other_resident, path):
    library = Service(server, index=1)
    token = library.redeem(library.sign_in(other_resident))["access_token"]
    assert API(base_url, token).get(path).status_code == 401
