"""An organisation's client at the token endpoint: Authlib gets a token, and every forged or stale assertion is refused."""
import base64
import hmac
import json
import time
import uuid

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import ECKey

from harness.api import API, TIMEOUT_SECONDS, assert_problem
from harness.oauth import metadata, organisation_session, private_key

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.fixture(scope="module")
def organisation(demo):
    return demo["organisations"][0]


@pytest.fixture(scope="module")
def endpoint(base_url):
    return metadata(base_url)["token_endpoint"]


@pytest.fixture
def claims(organisation, endpoint):
    now = int(time.time())
    client = organisation["client_id"]
    return {"iss": client, "sub": client, "aud": endpoint, "iat": now, "exp": now + 60, "jti": str(uuid.uuid4())}


@pytest.fixture
def sign(organisation, server):
    jwk = private_key(organisation, server)

    def signed(claims, key=None, algorithm="ES256"):
        header = {"alg": algorithm, **({"kid": jwk["kid"]} if "kid" in jwk else {})}
        return jwt.encode(header, claims, key or ECKey.import_key(jwk), algorithms=[algorithm])
    return signed


@pytest.fixture
def ask(endpoint):
    def request(assertion, **more):
        fields = {"grant_type": "client_credentials", "client_assertion_type": JWT_BEARER, "client_assertion": assertion, **more}
        return requests.post(endpoint, data=fields, timeout=TIMEOUT_SECONDS)
    return request


def assert_refused(answer, error="invalid_client"):
    """RFC 6749 §5.2."""
    assert answer.status_code in (400, 401), f"{answer.status_code} {answer.text[:300]}"
    assert answer.json()["error"] == error, answer.text
    assert "no-store" in answer.headers["Cache-Control"]
    assert "access_token" not in answer.text


def test_authlib_obtains_a_token_and_reads_through_the_exchange(server, base_url, lawful, demo):
    organisation, purpose = lawful
    token = organisation_session(server, organisation).token
    assert token["token_type"].lower() == "bearer" and 0 < token["expires_in"] <= 3600
    subject = next(iter(organisation["subjects"].values()))
    answer = API(base_url, token["access_token"]).read(subject, purpose["id"], purpose["attributes"])
    assert answer.status_code == 200, answer.text
    assert set(answer.json()["attributes"]) <= set(purpose["attributes"])
    assert uuid.UUID(answer.json()["access_entry"])


def test_a_good_assertion_by_hand(ask, sign, claims):
    answer = ask(sign(claims))
    assert answer.status_code == 200, answer.text
    assert "no-store" in answer.headers["Cache-Control"]


def test_the_issuer_is_an_audience_too(ask, sign, claims, base_url):
    assert ask(sign({**claims, "aud": base_url})).status_code == 200


def test_a_replayed_assertion(ask, sign, claims):
    assertion = sign(claims)
    assert ask(assertion).status_code == 200
    assert_refused(ask(assertion))


def test_claims_that_do_not_hold(ask, sign, claims, base_url):
    now = int(time.time())
    for wrong in [{"exp": now - 120}, {"aud": "https://elsewhere.example/token"}, {"iss": "somebody-else"}, {"sub": "somebody-else"},
                  {"nbf": now + 3600}, {"exp": now + 365 * 86400}, {"aud": base_url + ".evil.example"}]:
        assert_refused(ask(sign({**claims, "jti": str(uuid.uuid4()), **wrong})))
    for missing in ("exp", "jti", "aud", "iss", "sub"):
        kept = {**claims, "jti": str(uuid.uuid4())}
        del kept[missing]
        assert_refused(ask(sign(kept)))


def test_signatures_that_do_not_hold(ask, sign, claims, organisation, server):
    parts = sign(claims).split(".")
    assert_refused(ask(compact({"alg": "none", "typ": "JWT"}, claims)))
    assert_refused(ask(sign(claims, key=ECKey.generate_key("P-256"))))
    # The public key's bytes taken as a shared secret, the classic confusion.
    public = ECKey.import_key(private_key(organisation, server)).as_pem(private=False)
    assert_refused(ask(compact({"alg": "HS256", "typ": "JWT"}, claims, mac_key=public)))
    assert_refused(ask(".".join([parts[0], parts[1], ""])))
    assert_refused(ask(".".join([parts[0], parts[1], parts[2][:-4] + "AAAA"])))


def compact(header, claims, mac_key=None):
    """A JWT that no careful library would make: unsecured (RFC 7519 §6), or signed with whatever key is given."""
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")
    signed = part(json.dumps(header).encode()) + b"." + part(json.dumps(claims).encode())
    mac = hmac.digest(mac_key, signed, "sha256") if mac_key else b""
    return (signed + b"." + part(mac)).decode()


def test_things_that_are_no_assertion(ask):
    for text in ("x", "a.b", "a.b.c", "..", "é.é.é", "x" * 20_000):
        assert_refused(ask(text))
    assert ask("").json()["error"] in ("invalid_client", "invalid_request")


def test_another_client_cannot_use_ones_key(ask, sign, claims, demo):
    other = demo["organisations"][1]["client_id"]
    assert_refused(ask(sign({**claims, "iss": other, "sub": other})))
    assert_refused(ask(sign({**claims, "jti": str(uuid.uuid4())}), client_id=other))


def test_grants_and_scopes_that_are_not_held(ask, sign, claims):
    assert_refused(ask(sign(claims), grant_type="password"), "unsupported_grant_type")
    assert_refused(ask(sign({**claims, "jti": str(uuid.uuid4())}), scope="consents everything"), "invalid_scope")


def test_the_app_cannot_have_a_token_of_its_own(endpoint, demo):
    fields = {"grant_type": "client_credentials", "client_id": demo["app_client"]["client_id"]}
    answer = requests.post(endpoint, data=fields, timeout=TIMEOUT_SECONDS)
    assert answer.status_code in (400, 401) and answer.json()["error"] in ("unauthorized_client", "invalid_client")


def test_a_parameter_sent_twice(endpoint, sign, claims):
    fields = [("grant_type", "client_credentials"), ("client_assertion_type", JWT_BEARER), ("client_assertion", sign(claims)),
              ("grant_type", "client_credentials")]
    answer = requests.post(endpoint, data=fields, timeout=TIMEOUT_SECONDS)
    assert answer.status_code == 400 and answer.json()["error"] == "invalid_request"  # RFC 6749 §3.2


def test_tokens_that_do_not_stand(base_url, demo):
    subject = next(iter(demo["organisations"][0]["subjects"].values()))
    for token in ("nonsense", "x" * 5_000, str(uuid.uuid4())):
        answer = API(base_url, token).read(subject, "anything", ["given_names"])
        assert_problem(answer, 401)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
