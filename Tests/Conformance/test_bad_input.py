"""Bad input gets a clear answer: a status, a stable type or a page that says what to do next, and nothing of the inside."""
import concurrent.futures
import json
import socket
import time
import urllib.parse

import pytest
import requests

from harness.api import API, TIMEOUT_SECONDS, assert_page_that_helps, assert_problem
from harness.pages import Page, Visitor

READS = "/api/v1/exchange/reads"
BODY_SECONDS_MAX = 75  # how long the slow body is dripped before the test gives up
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def reader(base_url, demo, organisation_token):
    return API(base_url, organisation_token(demo["organisations"][0]))


@pytest.fixture
def good(demo):
    organisation = demo["organisations"][0]
    purpose = organisation["purposes"][0]
    return {"subject": next(iter(organisation["subjects"].values())), "purpose": purpose["id"], "attributes": purpose["attributes"],
            "case_reference": "BAD-1"}


def fields_of(problem):
    return {error["field"].split("[")[0] for error in problem["errors"]}


class TestJSON:
    def test_an_unknown_field(self, reader, good):
        assert fields_of(assert_problem(reader.post(READS, {**good, "colour": "blue"}), 400, "invalid-body")) == {"colour"}

    @pytest.mark.parametrize("field, value", [
        ("subject", 7), ("subject", "not-a-pseudonym"), ("purpose", None), ("purpose", ["x"]), ("attributes", "given_names"),
        ("attributes", [1]), ("attributes", {}), ("case_reference", True), ("case_reference", "x" * 5_000), ("purpose", "x" * 5_000),
        ("attributes", ["given_names"] * 2), ("attributes", ["a" * 5_000]), ("attributes", [f"a{n}" for n in range(500)])])
    def test_a_wrong_value(self, reader, good, field, value):
        answer = reader.post(READS, {**good, field: value})
        if field == "subject" and isinstance(value, str):
            assert answer.status_code in (400, 404)  # a text that is no pseudonym may be a pseudonym that is unknown
        else:
            assert field in fields_of(assert_problem(answer, 400, "invalid-body"))

    def test_all_bad_fields_are_named_at_once(self, reader, good):
        problem = assert_problem(reader.post(READS, {"subject": 1, "purpose": 2, "attributes": 3, "more": 4}), 400, "invalid-body")
        assert fields_of(problem) >= {"subject", "purpose", "attributes", "case_reference", "more"}

    @pytest.mark.parametrize("body", [
        b"", b"{", b"nonsense", b"[]", b"null", b'{"a":1}{}', b'{"a":NaN}', b'{"a":01}', b"\xff\xfe", b'{"a":"\\ud800"}', b'{"a":1,}',
        b"{'a':1}", b'\xef\xbb\xbf{"a":1}', b'{"a":"\n"}', b"[" * 8_000, b'{"a":' * 1_500, b'{"a":"\\u0000"}'])
    def test_no_json_object(self, reader, body):
        answer = reader.call("POST", READS, data=body, headers=JSON)
        assert_problem(answer, 400)

    def test_duplicate_keys_nul_and_invalid_utf8(self, reader, good):
        text = json.dumps(good)
        for bad in (text[:-1] + f', "purpose": "{good["purpose"]}"}}', text.replace("BAD-1", "BAD\\u0000-1"), text.replace("BAD-1", "BAD\x00")):
            assert_problem(reader.call("POST", READS, data=bad.encode(), headers=JSON), 400)
        assert_problem(reader.call("POST", READS, data=text.encode().replace(b"BAD-1", b"BAD\xc3\x28"), headers=JSON), 400)
        assert_problem(reader.call("POST", READS, data=text.encode().replace(b"BAD-1", b"\xed\xa0\x80"), headers=JSON), 400)

    def test_wrong_content_types(self, reader, good):
        for content_type in ("text/plain", "application/x-www-form-urlencoded", "application/xml", "", "application/jsonx"):
            answer = reader.call("POST", READS, data=json.dumps(good), headers={"Content-Type": content_type})
            assert_problem(answer, 415, "wrong-content-type")

    def test_an_oversize_body(self, reader, good):
        answer = reader.post(READS, {**good, "case_reference": "x" * 200_000})
        assert_problem(answer, 413, "body-too-large")

    def test_wrong_methods_and_unknown_routes(self, reader):
        for method in ("GET", "PUT", "DELETE", "PATCH"):
            assert_problem(reader.call(method, READS), 405, "method-not-allowed")
        assert_problem(reader.get("/api/v1/nothing"), 404, "not-found")

    def test_cursors_and_parameters_that_are_not_ours(self, app):
        for query in ("cursor=nonsense", "cursor=" + "x" * 3_000, "cursor=a&cursor=b", "limit=-1", "limit=many", "%ff=1", "cursor=%00"):
            answer = app.get("/api/v1/access-entries?" + query)
            # A cursor that was never given out leads nowhere; what is malformed is said to be.
            assert answer.status_code in ((400, 404) if "cursor" in query else (200, 400)), f"{query}: {answer.status_code} {answer.text[:300]}"
            if answer.status_code != 200:
                assert_problem(answer, answer.status_code)


class TestForms:
    @pytest.fixture
    def visitor(self, sign_in, resident):
        return sign_in(resident)

    def sign_in_form(self, base_url, language="en"):
        visitor = Visitor(base_url, language)
        answer = visitor.get("/sign-in")
        return visitor, next(f for f in Page(answer.text).forms if any(x.type == "password" for x in f.fields)), answer

    def names(self, form):
        return form.field(autocomplete="username").name, form.field(type="password").name

    def test_a_wrong_password_and_an_unknown_name_look_alike(self, base_url, other_resident):
        texts = []
        for username in (other_resident["username"], "nobody-of-that-name"):
            visitor, form, page = self.sign_in_form(base_url)
            name, password = self.names(form)
            answer = visitor.send(form, page.url, {name: username, password: "wrong wrong wrong"})
            assert answer.status_code == 422, f"{answer.status_code}"
            shown = Page(answer.text)
            assert next(f for f in shown.forms if any(x.type == "password" for x in f.fields)).field(type="password").value == ""
            texts.append(shown.text.replace(username, "<name>"))
        assert texts[0] == texts[1]

    def test_a_missing_or_foreign_form_token(self, base_url, resident):
        visitor, form, page = self.sign_in_form(base_url)
        name, password = self.names(form)
        fields = {name: resident["username"], password: resident["password"]}
        assert_page_that_helps(visitor.post("/sign-in", fields), 403)
        _, others_form, _ = self.sign_in_form(base_url)
        answer = visitor.post("/sign-in", [*[v for v in others_form.values() if v[0] not in fields], *fields.items()])
        assert_page_that_helps(answer, 403)

    def test_a_form_from_before_signing_in(self, base_url, resident):
        visitor, form, page = self.sign_in_form(base_url)
        visitor.sign_in(resident["username"], resident["password"])
        name, password = self.names(form)
        assert_page_that_helps(visitor.send(form, page.url, {name: "x", password: "y"}), 403)

    def test_a_form_sent_twice_changes_nothing_more(self, visitor, base_url, app_token, resident):
        page = visitor.get("/consents")
        form = next(f for f in Page(page.text).forms if f.method == "post" and "consent" in f.action)
        events = []
        for _ in range(2):
            button = form.buttons()[0]
            assert visitor.send(form, page.url, press=button).status_code == 200
            events.append([(i["id"], i["state"], i["granted_attributes"]) for i in API(base_url, app_token(resident)).items("/api/v1/consents")])
        assert events[0] == events[1]

    @pytest.mark.parametrize("body, status", [
        (b"username=%ff", 400), (b"username=%00", 400), (b"username=%zz", 400), (b"username=a&username=b", None),
        (b"&".join(b"f%d=1" % n for n in range(2_000)), 400)])
    def test_malformed_bodies(self, base_url, body, status):
        visitor, form, page = self.sign_in_form(base_url)
        token = urllib.parse.urlencode([v for v in form.values() if v[0] not in self.names(form)]).encode()
        answer = visitor.session.post(base_url + "/sign-in", data=token + b"&" + body, timeout=TIMEOUT_SECONDS,
                                      headers={"Content-Type": "application/x-www-form-urlencoded"})
        assert_page_that_helps(answer, answer.status_code)
        assert answer.status_code == status if status else answer.status_code in (400, 422)

    def test_wrong_content_type_and_oversize(self, base_url):
        visitor, form, _ = self.sign_in_form(base_url)
        answer = visitor.session.post(base_url + "/sign-in", json=dict(form.values()), timeout=TIMEOUT_SECONDS)
        assert_page_that_helps(answer, 415)
        answer = visitor.post("/sign-in", {**dict(form.values()), "more": "x" * 200_000})
        assert_page_that_helps(answer, 413)

    def test_over_long_fields_come_back_with_what_was_typed(self, base_url):
        visitor, form, page = self.sign_in_form(base_url)
        name, password = self.names(form)
        answer = visitor.send(form, page.url, {name: "<i>" + "n" * 3_000, password: "p" * 30_000})
        assert_page_that_helps(answer, 422)
        assert "<i>" not in answer.text and "p" * 100 not in answer.text

    @pytest.mark.parametrize("language, direction", [("en", "ltr"), ("fr", "ltr"), ("ar", "rtl")])
    def test_refusals_speak_the_readers_language(self, base_url, language, direction):
        for path, status in (("/no-such-page", 404), ("/%ff%fe", 404), ("/consents/../../etc/passwd", 404)):
            answer = Visitor(base_url, language).get(path, allow_redirects=False)
            if answer.status_code == 400:
                status = 400
            assert_page_that_helps(answer, status)
            page = Page(answer.text)
            assert page.html_attributes["lang"] == language and page.html_attributes.get("dir", "ltr") == direction

    def test_wrong_method(self, visitor):
        answer = visitor.session.delete(visitor.base_url + "/consents", timeout=TIMEOUT_SECONDS)
        assert_page_that_helps(answer, 405)
        assert "GET" in answer.headers["Allow"]

    def test_next_leads_nowhere_else(self, base_url, resident):
        for target in ("https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "/%0d%0aSet-Cookie:x=1"):
            visitor = Visitor(base_url)
            page = visitor.get("/sign-in", params={"next": target})
            answer = visitor.fill_sign_in(page, resident["username"], resident["password"], allow_redirects=False)
            location = urllib.parse.urljoin(base_url, answer.headers["Location"].replace("\\", "/"))
            assert urllib.parse.urlsplit(location).netloc == urllib.parse.urlsplit(base_url).netloc, location
            assert "x" not in answer.cookies and "\r" not in answer.headers["Location"]


def connect(base_url):
    parts = urllib.parse.urlsplit(base_url)
    return socket.create_connection((parts.hostname, parts.port), timeout=TIMEOUT_SECONDS), parts.netloc.encode()


def receive(connection):
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except (TimeoutError, ConnectionError):
        pass
    return received


def drip(base_url, token):
    """A byte a second of a body that was announced much longer; returns what the server says in the end."""
    connection, host = connect(base_url)
    connection.sendall(b"POST /api/v1/exchange/reads HTTP/1.1\r\nHost: " + host + b"\r\nAuthorization: Bearer " + token.encode() +
                       b"\r\nContent-Type: application/json\r\nContent-Length: 6000\r\n\r\n{")
    connection.settimeout(1)
    deadline = time.monotonic() + BODY_SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            connection.sendall(b" ")
            received = connection.recv(65536)
            return received + receive(connection)
        except TimeoutError:
            continue
        except ConnectionError:
            break
    return b""


@pytest.fixture(scope="session", autouse=True)
def slow_body(base_url, organisation_token, demo):
    """Starts to drip when this module starts, and is looked at when all others are done: patience needs no waiting."""
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        dripping = executor.submit(drip, base_url, organisation_token(demo["organisations"][0]))
        yield dripping.result


class TestRawConnections:
    """What no client library sends."""

    @pytest.mark.last
    def test_a_slow_body(self, slow_body):
        received = slow_body()
        assert received.startswith(b"HTTP/1.1 408"), received[:300]
        assert b"body-too-slow" in received

    def test_endless_headers(self, base_url):
        connection, host = connect(base_url)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n")
        try:
            for number in range(2_000):
                connection.sendall(b"X-Header-%d: %s\r\n" % (number, b"x" * 100))
            connection.sendall(b"\r\n")
        except ConnectionError:
            return  # closed on us: a clear answer too
        received = receive(connection)
        assert not received or received.split(b" ", 2)[1] in (b"400", b"431"), received[:200]

    @pytest.mark.parametrize("request_line", [b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/9.9\r\n\r\n",
                                              b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nzzz"])
    def test_what_is_not_http(self, base_url, request_line):
        connection, _ = connect(base_url)
        connection.sendall(request_line)
        connection.settimeout(5)
        received = receive(connection)
        assert not received or received.startswith(b"HTTP/1.1 4") or received.startswith(b"HTTP/1.1 5"), received[:200]
        assert requests.get(base_url + "/health/live", timeout=TIMEOUT_SECONDS).status_code == 200

    def test_a_body_that_stops_early(self, base_url):
        connection, host = connect(base_url)
        connection.sendall(b"POST /sign-in HTTP/1.1\r\nHost: " + host + b"\r\nContent-Length: 500\r\n\r\nuser")
        connection.close()
        assert requests.get(base_url + "/health/live", timeout=TIMEOUT_SECONDS).status_code == 200
