"""A resident's app gets a token by authorization code with S256 PKCE (RFC 8252, RFC 7636), and nobody else does."""
import urllib.parse

import pytest

from harness.api import API, assert_problem
from harness.oauth import App
from harness.pages import Visitor


def parameters(address):
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(address).query))


def test_authlib_obtains_a_token(server, resident, base_url):
    app = App(server, "http://127.0.0.1:51004/callback")
    callback = app.approve(resident)
    assert callback.startswith("http://127.0.0.1:51004/callback?")
    assert parameters(callback)["state"] == app.state
    # RFC 9207: the app can tell which server answered.
    assert parameters(callback).get("iss", base_url) == base_url
    token = app.redeem(callback)
    assert token["token_type"].lower() == "bearer" and 0 < token["expires_in"] <= 3600
    assert set(token["scope"].split()) == set(server.demo()["app_client"]["scope"].split()) if "scope" in token else True
    me = API(base_url, token["access_token"]).get("/api/v1/me")
    assert me.status_code == 200 and resident["public_code"] in me.text


def test_any_loopback_port_will_do(server, resident):
    for port in (1025, 65535):
        app = App(server, f"http://127.0.0.1:{port}/callback")
        assert app.redeem(app.approve(resident))["access_token"]


@pytest.mark.parametrize("redirect_uri", [
    "https://evil.example/callback", "http://127.0.0.1.evil.example:80/callback", "http://127.0.0.1:8000/elsewhere",
    "http://127.0.0.1:8000/callback#x", "http://127.0.0.1:8000/callback?x=1", "http://user@127.0.0.1:8000/callback",
    "javascript:alert(1)", "//127.0.0.1/callback", "http://127.0.0.1:99999/callback", "http://127.0.0.1:80@evil.example/callback"])
def test_addresses_that_are_not_registered(server, redirect_uri, base_url):
    """RFC 6749 §4.1.2.1: told to the person, and never sent to that address."""
    answer = Visitor(base_url).get(App(server, redirect_uri).authorization_url(), allow_redirects=False)
    assert answer.status_code == 400, f"{answer.status_code} {answer.headers.get('Location')}"
    assert "Location" not in answer.headers


def test_an_unknown_client_is_told_on_a_page(server, base_url):
    url = App(server).authorization_url().replace("client_id=", "client_id=x")
    answer = Visitor(base_url).get(url, allow_redirects=False)
    assert answer.status_code == 400 and "Location" not in answer.headers


def refusal(visitor, url):
    """The error that the app is called back with, at once or after signing in."""
    answer = visitor.get(url, allow_redirects=False)
    assert answer.status_code in (302, 303), f"{answer.status_code} {answer.text[:300]}"
    location = answer.headers["Location"]
    assert location.startswith("http://127.0.0.1:49152/callback?"), location
    return parameters(location)


def test_requests_that_are_refused_to_the_app(server, base_url):
    app = App(server)
    good = app.authorization_url()
    without_challenge = urllib.parse.urlsplit(good)
    query = [(k, v) for k, v in urllib.parse.parse_qsl(without_challenge.query) if not k.startswith("code_challenge")]
    found = refusal(Visitor(base_url), without_challenge._replace(query=urllib.parse.urlencode(query)).geturl())
    assert found["error"] == "invalid_request" and found["state"] == app.state
    assert refusal(Visitor(base_url), good.replace("S256", "plain"))["error"] == "invalid_request"
    assert refusal(Visitor(base_url), good.replace("response_type=code", "response_type=token"))["error"] == "unsupported_response_type"
    assert refusal(Visitor(base_url), good + "&scope=everything")["error"] == "invalid_scope"


def test_a_verifier_that_is_missing_or_wrong(server, resident):
    for verifier in (None, "x" * 64, "short"):
        app = App(server)
        answer = app.redeem_raw(app.approve(resident), code_verifier=verifier)
        assert answer.status_code == 400 and answer.json()["error"] in ("invalid_grant", "invalid_request"), answer.text


def test_another_redirect_address_or_client_at_the_token_endpoint(server, resident, demo):
    app = App(server)
    answer = app.redeem_raw(app.approve(resident), redirect_uri="http://127.0.0.1:1/callback")
    assert answer.status_code == 400 and answer.json()["error"] == "invalid_grant"
    app = App(server)
    answer = app.redeem_raw(app.approve(resident), client_id=demo["organisations"][0]["client_id"])
    assert answer.status_code in (400, 401) and "access_token" not in answer.text


def test_a_replayed_code_revokes_the_token(server, resident, base_url):
    app = App(server)
    callback = app.approve(resident)
    token = app.redeem(callback)["access_token"]
    assert API(base_url, token).get("/api/v1/me").status_code == 200
    replay = app.redeem_raw(callback)
    assert replay.status_code == 400 and replay.json()["error"] == "invalid_grant"
    answer = API(base_url, token).get("/api/v1/me")
    assert_problem(answer, 401)
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_a_scope_that_was_not_asked_for(server, resident, base_url):
    scopes = server.demo()["app_client"]["scope"]
    scopes = scopes.split() if isinstance(scopes, str) else scopes
    app = App(server, scope=next(s for s in scopes if s == "consents"))
    token = app.redeem(app.approve(resident))["access_token"]
    api = API(base_url, token)
    assert api.get("/api/v1/consents").status_code == 200
    answer = api.get("/api/v1/bills")
    assert_problem(answer, 403, "insufficient-scope")
    assert "insufficient_scope" in answer.headers["WWW-Authenticate"]


def test_the_session_cookie_is_never_accepted_by_the_api(sign_in, resident):
    visitor = sign_in(resident)
    assert visitor.session.cookies, "signing in set no cookie"
    for path in ("/api/v1/me", "/api/v1/consents", "/api/v1/access-entries", "/api/v1/bills"):
        assert_problem(visitor.get(path), 401)
    for cookie in visitor.session.cookies:  # and its value is no token either
        assert_problem(API(visitor.base_url, cookie.value).get("/api/v1/me"), 401)


def test_a_token_opens_no_page(base_url, app_token, resident):
    answer = API(base_url, app_token(resident)).get("/consents")
    assert answer.status_code == 303 and "/sign-in" in answer.headers["Location"]
