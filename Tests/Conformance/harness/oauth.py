"""OAuth clients that are not ours (Authlib): an organisation with private_key_jwt, and a resident's app with PKCE."""
import json
import pathlib
import urllib.parse

import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import ECKey

from harness.pages import Page, Visitor

TIMEOUT_SECONDS = 30


def metadata(base_url):
    """RFC 8414: where everything is. No test knows these addresses by heart."""
    answer = requests.get(base_url + "/.well-known/oauth-authorization-server", timeout=TIMEOUT_SECONDS)
    assert answer.status_code == 200
    return answer.json()


def private_key(organisation, server):
    path = pathlib.Path(organisation["private_key_jwk_path"])
    return json.loads((path if path.is_absolute() else server.data / path if (server.data / path).exists() else path).read_text())


def organisation_session(server, organisation, scope=None):
    """An Authlib session that holds a client-credentials token of this organisation."""
    endpoint = metadata(server.base_url)["token_endpoint"]
    jwk = private_key(organisation, server)
    session = OAuth2Session(organisation["client_id"], ECKey.import_key(jwk), scope=scope,
                            token_endpoint_auth_method="private_key_jwt")
    headers = {"kid": jwk["kid"]} if "kid" in jwk else None
    session.register_client_auth_method(PrivateKeyJWT(endpoint, headers=headers, alg=jwk.get("alg", "ES256")))
    session.fetch_token(endpoint, grant_type="client_credentials")
    return session


class App:
    """The resident's app: a public client whose redirect address is a loopback port."""

    def __init__(self, server, redirect_uri="http://127.0.0.1:49152/callback", scope=None, method="S256"):
        self.server, self.metadata = server, metadata(server.base_url)
        self.client_id = server.demo()["app_client"]["client_id"]
        self.redirect_uri, self.verifier = redirect_uri, generate_token(64)
        self.session = OAuth2Session(self.client_id, redirect_uri=redirect_uri, scope=scope, code_challenge_method=method,
                                     token_endpoint_auth_method="none")

    def authorization_url(self, **extra):
        url, self.state = self.session.create_authorization_url(
            self.metadata["authorization_endpoint"], code_verifier=self.verifier, **extra)
        return url

    def approve(self, resident, url=None):
        """Signs in on the server's own pages and approves; returns the address that the app is called back at."""
        visitor = Visitor(self.server.base_url)
        answer = visitor.get(url or self.authorization_url())
        if any(f.type == "password" for form in Page(answer.text).forms for f in form.fields):
            answer = visitor.fill_sign_in(answer, resident["username"], resident["password"])
        assert answer.status_code == 200, f"{answer.url}: {answer.status_code} {answer.text[:800]}"
        approval = next(f for f in Page(answer.text).forms if f.method == "post")
        buttons = approval.buttons()
        answer = visitor.send(approval, answer.url, press=buttons[0] if buttons else None, allow_redirects=False)
        assert answer.status_code in (302, 303), f"{answer.status_code} {answer.text[:800]}"
        return answer.headers["Location"]

    def redeem(self, callback, **changes):
        """Exchanges the code at the token endpoint; the session then carries the token."""
        return self.session.fetch_token(self.metadata["token_endpoint"], authorization_response=callback,
                                        **{"code_verifier": self.verifier, "state": self.state, **changes})

    def redeem_raw(self, callback, **changes):
        """The same request made by hand, for what Authlib would not send. A field set to None is left out."""
        code = urllib.parse.parse_qs(urllib.parse.urlsplit(callback).query)["code"][0]
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri,
                  "client_id": self.client_id, "code_verifier": self.verifier, **changes}
        return requests.post(self.metadata["token_endpoint"], data={k: v for k, v in fields.items() if v is not None},
                             timeout=TIMEOUT_SECONDS)


def app_session(server, resident, scope=None):
    """An Authlib session that holds a token for this resident, by the whole authorization-code flow."""
    app = App(server, scope=scope)
    app.redeem(app.approve(resident))
    return app.session
