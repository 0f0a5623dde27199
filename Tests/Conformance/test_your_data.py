"""What residents take with them: whole, the same as the lists say, theirs alone; and a signed part that verifies with an implementation that is not ours."""
import base64
import csv
import io
import json

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from harness.api import API, assert_problem
from harness.oauth import app_session

PARTS = ["details", "corrections", "addresses", "bills", "wallet", "benefits", "bank_accounts", "payouts", "disputes", "consents", "access_log", "questions", "messages"]


def test_everything_is_what_the_lists_say(app, resident, other_resident):
    # Looked at first, so that the entry about the look is in both.
    app.items("/api/v1/access-entries")
    taken = app.get("/api/v1/your-data").json()
    assert taken["format"] == "stoa your data v1" and taken["public_code"] == resident["public_code"]
    assert list(taken["parts"]) == PARTS
    for part, path in (("messages", "/api/v1/messages"), ("bills", "/api/v1/bills"), ("access_log", "/api/v1/access-entries?own=shown")):
        listed = app.items(path)
        assert [i["id"] for i in taken["parts"][part]] == [i["id"] for i in listed], part
    decided = {c["id"] for c in app.items("/api/v1/consents") if c["state"] not in (None, "not_given")}
    assert {c["id"] for c in taken["parts"]["consents"]} == decided
    for consent in taken["parts"]["consents"]:
        assert consent["events"] and {"at", "state", "title", "explanation"} <= consent["events"][0].keys()
    assert {d["attribute"] for d in taken["parts"]["details"]} >= {"given_names", "family_name", "date_of_birth"}
    assert other_resident["public_code"] not in json.dumps(taken)


def test_an_app_without_one_of_the_scopes_takes_nothing(server, base_url, resident):
    token = app_session(server, resident, scope="export profile").token["access_token"]
    assert_problem(API(base_url, token).get("/api/v1/your-data"), 403, "insufficient-scope")


def test_the_spreadsheet_is_csv_and_says_the_same(sign_in, resident, app):
    answer = sign_in(resident).get("/your-data.csv")
    assert answer.headers["Content-Type"].startswith("text/csv") and "attachment" in answer.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.content.decode()), strict=True))
    details = {r["item"]: {} for r in rows if r["part"] == "details"}
    for row in rows:
        if row["part"] == "details":
            details[row["item"]][row["field"]] = row["value"]
    # A number that begins with a plus sign is disarmed, so that no spreadsheet computes with it.
    assert [{**d, "value": d["value"].removeprefix("'")} for d in details.values()] == app.get("/api/v1/your-data").json()["parts"]["details"]


def canonical(value):
    """RFC 8785 for what this document holds: ASCII names, whole numbers, texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize("face", ["app", "page"])
def test_another_city_verifies_what_a_resident_brings(face, app, sign_in, resident, demo):
    answer = (app if face == "app" else sign_in(resident)).get("/api/v1/your-data/portable" if face == "app" else "/your-data/portable.json").json()
    data, signature = answer["data"], answer["signature"]
    assert signature["vkey"] == demo["log_vkey"] and signature["algorithm"] == "Ed25519" and signature["label"] == data["format"]
    assert list(data) == ["format", "city", "public_code", "issued_at", "language", "details", "consents"]
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(demo["log_vkey"].split("+", 2)[2])[1:])
    key.verify(base64.b64decode(signature["value"]), signature["label"].encode() + b"\n" + canonical(data))
    data["details"][0]["value"] += "x"
    with pytest.raises(InvalidSignature):
        key.verify(base64.b64decode(signature["value"]), signature["label"].encode() + b"\n" + canonical(data))
