"""A service that residents sign in at, as Authlib makes one: it knows the discovery address, its id, its key and its redirect address."""
import urllib.parse

import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from harness.oauth import TIMEOUT_SECONDS, private_key
from harness.pages import Page, Visitor

REDIRECT_PORT = 50123


def discovery(base_url):
    answer = requests.get(base_url + "/.well-known/openid-configuration", timeout=TIMEOUT_SECONDS)
    assert answer.status_code == 200
    return answer.json()


class Service:
    def __init__(self, server, index=0, scope=None, demo=None):
        """`demo`: a service as demo.json tells it; by default the one of this number there."""
        self.server, self.demo = server, demo or server.demo()["services"][index]
        self.provider = discovery(server.base_url)
        self.redirect_uri = self.demo["redirect_uri"].replace("127.0.0.1", f"127.0.0.1:{REDIRECT_PORT}")
        jwk = private_key(self.demo, server)
        self.session = OAuth2Session(self.demo["client_id"], ECKey.import_key(jwk), scope=scope or self.demo["scope"], redirect_uri=self.redirect_uri,
                                     code_challenge_method="S256", token_endpoint_auth_method="private_key_jwt")
        self.session.register_client_auth_method(PrivateKeyJWT(self.provider["token_endpoint"], headers={"kid": jwk["kid"]}, alg="ES256"))

    def authorization_url(self, **extra):
        self.verifier, self.nonce = generate_token(64), generate_token(24)
        url, self.state = self.session.create_authorization_url(
            self.provider["authorization_endpoint"], code_verifier=self.verifier, nonce=self.nonce, **extra)
        return url

    def sign_in(self, resident, press=0, visitor=None, **extra):
        """By the server's own pages, without scripts: returns the address that the service is called back at."""
        visitor = visitor or Visitor(self.server.base_url)
        answer = visitor.get(self.authorization_url(**extra), allow_redirects=False)
        while answer.status_code in (302, 303):
            if answer.headers["Location"].startswith(self.redirect_uri):
                return answer.headers["Location"]
            answer = visitor.get(urllib.parse.urljoin(answer.url, answer.headers["Location"]), allow_redirects=False)
        if any(f.type == "password" for form in Page(answer.text).forms for f in form.fields):
            answer = visitor.fill_sign_in(answer, resident["username"], resident["password"])
        assert answer.status_code == 200, f"{answer.url}: {answer.status_code} {answer.text[:800]}"
        if "Refresh" in answer.headers:
            return answer.headers["Refresh"].removeprefix("0; url=")
        form = [f for f in Page(answer.text).forms if f.method == "post"][press]
        answer = visitor.send(form, answer.url, allow_redirects=False)
        assert answer.status_code in (302, 303), f"{answer.status_code} {answer.text[:800]}"
        return answer.headers["Location"]

    def redeem(self, callback):
        assert dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(callback).query)).get("iss") == self.provider["issuer"]
        return self.session.fetch_token(self.provider["token_endpoint"], authorization_response=callback, code_verifier=self.verifier, state=self.state)

    def claims(self, token, nonce=True):
        """The claims of the ID token, checked with joserfc against the published keys."""
        keys = KeySet.import_key_set(requests.get(self.provider["jwks_uri"], timeout=TIMEOUT_SECONDS).json())
        decoded = jwt.decode(token["id_token"], keys, algorithms=self.provider["id_token_signing_alg_values_supported"])
        expected = {"iss": {"essential": True, "value": self.provider["issuer"]}, "aud": {"essential": True, "value": self.demo["client_id"]},
                    "exp": {"essential": True}, "iat": {"essential": True}}
        if nonce:
            expected["nonce"] = {"essential": True, "value": self.nonce}
        jwt.JWTClaimsRegistry(leeway=60, **expected).validate(decoded.claims)
        return decoded.claims

    def user_info(self):
        return self.session.get(self.provider["userinfo_endpoint"], timeout=TIMEOUT_SECONDS)
