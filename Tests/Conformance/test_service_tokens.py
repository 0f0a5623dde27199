"""Services that renew tokens, keep FAPI 2.0, or have devices: Authlib and joserfc as the clients. Each service is entered by the command line."""
import base64
import hashlib
import json
import time
import urllib.parse
import uuid

import pytest
import requests
from authlib.common.security import generate_token
from joserfc import jwt
from joserfc.jwk import ECKey

from harness.oauth import TIMEOUT_SECONDS
from harness.pages import Page, Visitor
from harness.services import Service, discovery


@pytest.fixture(scope="module")
def entered(server, tmp_path_factory):
    """`entered(name, *options)`: a service of the clinic as demo.json would tell it, with its own key."""
    def enter(name, *options, scope=("openid", "profile")):
        key = tmp_path_factory.mktemp(name) / "key.json"
        redirect = [] if "--devices" in options else ["--redirect-uri", "http://127.0.0.1/signed-in"]
        server.run("organisation", "add-service", "--id", "harbour-clinic", "--service", name, "--name", name, "--purpose", "treatment", "--new-private-key", key,
                   *(part for each in scope for part in ("--scope", each)), *redirect, *options)
        return {"client_id": name, "organisation": "harbour-clinic", "redirect_uri": "http://127.0.0.1/signed-in", "scope": " ".join(scope),
                "private_key_jwk_path": str(key)}
    return enter


def test_authlib_renews_and_a_used_token_ends_it(server, entered, other_resident):
    service = Service(server, demo=entered("clinic-renewing", scope=("openid", "profile", "offline_access")))
    token = service.redeem(service.sign_in(other_resident))
    first = token["refresh_token"]
    before = service.claims(token)
    renewed = service.session.refresh_token(service.provider["token_endpoint"], refresh_token=first)
    assert renewed["refresh_token"] != first
    assert service.claims(renewed, nonce=False)["sub"] == before["sub"]
    assert service.user_info().status_code == 200
    again = service.session.refresh_token(service.provider["token_endpoint"], refresh_token=renewed["refresh_token"])
    with pytest.raises(Exception, match="invalid_grant"):
        service.session.refresh_token(service.provider["token_endpoint"], refresh_token=first)
    with pytest.raises(Exception, match="invalid_grant"):
        service.session.refresh_token(service.provider["token_endpoint"], refresh_token=again["refresh_token"])


def test_old_libraries_get_rs256(server, entered, other_resident):
    service = Service(server, demo=entered("clinic-old", "--id-token-algorithm", "RS256"))
    token = service.redeem(service.sign_in(other_resident))
    header = json.loads(base64.urlsafe_b64decode(token["id_token"].split(".")[0] + "=="))
    assert header["alg"] == "RS256"
    service.claims(token)


class FAPIClient:
    """A client of FAPI 2.0 made of requests and joserfc, and nothing else."""

    def __init__(self, server, service):
        self.provider, self.service = discovery(server.base_url), service
        self.key = ECKey.import_key(json.loads(open(service["private_key_jwk_path"]).read()))
        self.proof_key = ECKey.generate_key("P-256")
        self.verifier, self.state, self.nonce = generate_token(64), generate_token(24), None
        self.redirect_uri = service["redirect_uri"].replace("127.0.0.1", "127.0.0.1:50125")

    def assertion(self, audience=None):
        now = int(time.time())
        claims = {"iss": self.service["client_id"], "sub": self.service["client_id"], "aud": audience or self.provider["issuer"], "jti": str(uuid.uuid4()),
                  "iat": now, "exp": now + 60}
        return {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": jwt.encode({"alg": "ES256", "kid": self.key.as_dict()["kid"]}, claims, self.key)}

    def proof(self, method, url, token=None):
        claims = {"jti": str(uuid.uuid4()), "htm": method, "htu": url, "iat": int(time.time())}
        if self.nonce:
            claims["nonce"] = self.nonce
        if token:
            claims["ath"] = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
        return jwt.encode({"alg": "ES256", "typ": "dpop+jwt", "jwk": self.proof_key.as_dict(private=False)}, claims, self.proof_key)

    def send(self, method, url, token=None, **data):
        """With a proof; once more where the server wants its nonce."""
        for _ in range(2):
            headers = {"DPoP": self.proof(method, url, token), **({"Authorization": f"DPoP {token}"} if token else {})}
            answer = requests.request(method, url, headers=headers, data={**data, **self.assertion()} if data else None, timeout=TIMEOUT_SECONDS)
            if "DPoP-Nonce" not in answer.headers:
                return answer
            self.nonce = answer.headers["DPoP-Nonce"]
        return answer

    def push(self, **changes):
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()
        fields = {"response_type": "code", "redirect_uri": self.redirect_uri, "scope": self.service["scope"], "state": self.state, "nonce": "n",
                  "code_challenge": challenge, "code_challenge_method": "S256", **self.assertion(), **changes}
        return requests.post(self.provider["pushed_authorization_request_endpoint"], data=fields, timeout=TIMEOUT_SECONDS)

    def sign_in(self, server, resident):
        pushed = self.push()
        assert pushed.status_code == 201 and 0 < pushed.json()["expires_in"] < 600, pushed.text
        query = urllib.parse.urlencode({"client_id": self.service["client_id"], "request_uri": pushed.json()["request_uri"]})
        visitor = Visitor(server.base_url)
        answer = visitor.get(self.provider["authorization_endpoint"] + "?" + query)
        answer = visitor.fill_sign_in(answer, resident["username"], resident["password"])
        form = next(f for f in Page(answer.text).forms if f.method == "post")
        answer = visitor.send(form, answer.url, allow_redirects=False)
        found = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(answer.headers["Location"]).query))
        assert found["state"] == self.state and found["iss"] == self.provider["issuer"]
        return found["code"]

    def redeem(self, code):
        return self.send("POST", self.provider["token_endpoint"], grant_type="authorization_code", code=code, redirect_uri=self.redirect_uri,
                         code_verifier=self.verifier)


def test_a_fapi_client_goes_the_whole_way(server, entered, other_resident):
    client = FAPIClient(server, entered("clinic-fapi", "--fapi", scope=("openid", "profile", "offline_access")))
    assert {"ES256"} <= set(client.provider["dpop_signing_alg_values_supported"])
    tokens = client.redeem(client.sign_in(server, other_resident))
    assert tokens.status_code == 200 and tokens.json()["token_type"] == "DPoP", tokens.text
    token = tokens.json()["access_token"]
    user = client.send("GET", client.provider["userinfo_endpoint"], token)
    assert user.status_code == 200 and user.json()["given_name"]
    assert requests.get(client.provider["userinfo_endpoint"], headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT_SECONDS).status_code == 401
    thief = FAPIClient(server, client.service)
    assert thief.send("GET", client.provider["userinfo_endpoint"], token).status_code == 401
    for _ in range(2):  # no rotation
        renewed = client.send("POST", client.provider["token_endpoint"], grant_type="refresh_token", refresh_token=tokens.json()["refresh_token"])
        assert renewed.status_code == 200 and renewed.json()["refresh_token"] == tokens.json()["refresh_token"]


def test_a_fapi_client_that_does_not_keep_to_it(server, entered, base_url):
    client = FAPIClient(server, entered("clinic-careless", "--fapi"))
    for audience in (client.provider["token_endpoint"], [client.provider["issuer"]]):
        refused = client.push(**client.assertion(audience))
        assert refused.status_code == 401 and refused.json()["error"] == "invalid_client"
    query = urllib.parse.urlencode({"client_id": "clinic-careless", "response_type": "code", "redirect_uri": client.redirect_uri, "scope": "openid"})
    location = Visitor(base_url).get(client.provider["authorization_endpoint"] + "?" + query, allow_redirects=False).headers["Location"]
    assert "error=invalid_request" in location and location.startswith(client.redirect_uri)


def test_authlib_signs_in_on_a_device(server, entered, other_resident, sign_in):
    service = Service(server, demo=entered("clinic-kiosk", "--devices"))
    begun = service.session.post(service.provider["device_authorization_endpoint"], data={"client_id": "clinic-kiosk", "scope": "openid profile"}, withhold_token=True,
                                 auth=service.session.client_auth(service.session.token_endpoint_auth_method)).json()
    visitor = sign_in(other_resident)
    page = visitor.get("/device")
    form = next(f for f in Page(page.text).forms if f.method == "post")
    answer = visitor.send(form, page.url, {"user_code": begun["user_code"]})
    assert "clinic-kiosk" in answer.text, answer.text[:800]
    answer = visitor.send(next(f for f in Page(answer.text).forms if f.method == "post"), answer.url)
    assert answer.status_code == 200 and answer.url.endswith("/device/done")
    token = service.session.fetch_token(service.provider["token_endpoint"], grant_type="urn:ietf:params:oauth:grant-type:device_code",
                                        device_code=begun["device_code"])
    assert service.claims(token, nonce=False)["sub"]
