"""Members of staff sign in at a service: Authlib as the service, pyotp as their authenticator app. The city asks for the second factor there, and not on its own pages."""
import pyotp

from harness.pages import Page, Visitor
from harness.services import Service


def form_to(answer, action):
    return next(f for f in Page(answer.text).forms if f.action == action)


def test_a_member_of_staff_signs_in_with_two_factors_and_roles(server, demo, tmp_path):
    clerk, key = demo["staff"][0], tmp_path / "key.json"
    assert clerk["totp_secret"]
    server.run("organisation", "add-service", "--id", "harbour-clinic", "--service", "clinic-desk", "--name", "Desk", "--new-private-key", key,
               "--scope", "openid", "--scope", "profile", "--scope", "roles", "--redirect-uri", "http://127.0.0.1/signed-in")
    service = Service(server, demo={"client_id": "clinic-desk", "organisation": "harbour-clinic", "redirect_uri": "http://127.0.0.1/signed-in",
                                    "scope": "openid profile roles", "private_key_jwk_path": str(key)})
    visitor = Visitor(server.base_url)
    form = visitor.get(service.authorization_url(login_hint=clerk["username"], ui_locales="fr-CA en"))
    assert f'value="{clerk["username"]}"' in form.text and '<html lang="fr"' in form.text
    # The password alone opens the city's own pages, and nothing at the service.
    asked = visitor.fill_sign_in(form, clerk["username"], clerk["password"])
    assert asked.url.split("?")[0].endswith("/confirm-factor"), asked.url
    assert visitor.get("/staff", allow_redirects=False).status_code == 200
    wrong = visitor.send(form_to(asked, "/confirm-factor"), asked.url, {"code": "000000"})
    assert wrong.status_code == 422
    done = visitor.send(form_to(wrong, "/confirm-factor"), wrong.url, {"code": pyotp.TOTP(clerk["totp_secret"]).now()})
    token = service.redeem(done.headers["Refresh"].removeprefix("0; url="))
    claims = service.claims(token)
    assert sorted(claims["roles"]) == sorted(clerk["roles"]) and claims["name"] == clerk["name"] and claims["amr"] == ["mfa"]
    assert service.user_info().json()["roles"] == claims["roles"]
    # Whoever signs out of the city is signed out there.
    home = visitor.get("/staff")
    visitor.send(form_to(home, "/sign-out"), home.url)
    assert service.user_info().status_code == 401
