"""Paying by card: from the city's page to a provider that runs beside it, and back by its events, of which some are forged, old, doubled, late or wrong."""
import pathlib
import secrets
import subprocess
import sys
import urllib.parse

import pytest
import requests

from harness.api import API
from harness.pages import Page
from harness.server import free_port, until

SECONDS_MAX = 20


@pytest.fixture(scope="module")
def provider(server, tmp_path_factory):
    """Its address, while it runs."""
    port, secret = free_port(), secrets.token_hex(32)
    file = tmp_path_factory.mktemp("provider") / "secret"
    file.write_text(secret + "\n")
    server.run("payment-provider", "set", "--id", "acme-card", "--kind", "card", "--name", "Acme Card", "--currency", "EUR",
               "--checkout", f"http://127.0.0.1:{port}/checkout", "--fee-fixed", "25", "--fee-per10000", "150", "--secret-file", str(file))
    script = pathlib.Path(__file__).parent / "harness" / "provider.py"
    process = subprocess.Popen([sys.executable, str(script), str(port), server.base_url, "acme-card", secret])
    address = f"http://127.0.0.1:{port}"
    until(lambda: answers(address), SECONDS_MAX, "the provider to answer")
    yield address
    process.terminate()
    process.wait()


def answers(address):
    try:
        return requests.get(address + "/checkout").status_code == 403
    except requests.ConnectionError:
        return False


def test_a_card_payment_counts_once_whatever_its_provider_sends(demo, base_url, app_token, sign_in, provider):
    debtor = demo["residents"][1]
    bill = next(b for b in API(base_url, app_token(debtor)).items("/api/v1/bills") if b["kind"] == "tax" and b["status"] == "open")
    browser = sign_in(debtor)
    page = browser.get(f"/bills/{bill['id']}/ways/acme-card")
    assert page.status_code == 200
    form = next(f for f in Page(page.text).forms if f.action.endswith("/ways/acme-card"))
    there = browser.send(form, page.url)
    asked = there.json()
    fee = 25 + (bill["outstanding"] * 150 + 5_000) // 10_000
    assert int(asked["amount"]) == bill["outstanding"] + fee and asked["currency"] == "EUR" and asked["reference"] == bill["reference"]
    # Whoever changes the amount on the way there is found out.
    cheaper = there.url.replace(f"amount={asked['amount']}", "amount=1")
    assert cheaper != there.url and requests.get(cheaper).status_code == 403

    said = requests.post(provider + "/pay", json=asked).json()
    slug = lambda name: said[name][1]["type"].rsplit("/", 1)[-1]
    assert slug("forged") == "event-signature-invalid" and slug("recorded") == "event-signature-old"
    assert slug("wrong amount") == "event-amount-differs" and slug("refund before") == "event-too-early"
    assert said["settled"] == [200, {"outcome": "taken"}] and said["duplicate"] == said["settled"]
    assert slug("other body") == "event-conflict"
    assert said["late"] == said["too late"] == [200, {"outcome": "stale"}]

    back = browser.get(urllib.parse.urlsplit(asked["return"]).path)
    assert back.status_code == 200 and f"/bills/{bill['id']}/receipt" in back.text
    paid = API(base_url, app_token(debtor)).get(f"/api/v1/bills/{bill['id']}").json()
    assert paid["status"] == "paid" and paid["payment"]["method"] == "card"
    assert (paid["payment"]["gross"], paid["payment"]["fee"], paid["payment"]["net"]) == (bill["outstanding"] + fee, fee, bill["outstanding"])
