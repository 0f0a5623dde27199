"""Requests to /api/v1 as one caller, each answer held against the OpenAPI document; and what every problem must look like."""
import requests

from harness import contract

TIMEOUT_SECONDS = 30


class API:
    """`token` is an access token, or None for nobody."""

    def __init__(self, base_url, token=None):
        self.base_url = base_url
        self.session = requests.Session()
        self.session.headers["Accept"] = "application/json"
        if token:
            self.session.headers["Authorization"] = f"Bearer {token}"

    def call(self, method, path, **options):
        answer = self.session.request(method, self.base_url + path, timeout=TIMEOUT_SECONDS, allow_redirects=False, **options)
        contract.check(self.base_url, method, path, answer)
        return answer

    def get(self, path, **options):
        return self.call("GET", path, **options)

    def put(self, path, body, **options):
        return self.call("PUT", path, json=body, **options)

    def post(self, path, body, **options):
        return self.call("POST", path, json=body, **options)

    def read(self, subject, purpose, attributes, case_reference="CASE-2041", **options):
        """One exchange read."""
        return self.post("/api/v1/exchange/reads", {"subject": subject, "purpose": purpose, "attributes": attributes,
                                                    "case_reference": case_reference}, **options)

    def items(self, path):
        """All items of a list, page after page."""
        items, cursor = [], None
        while True:
            answer = self.get(path, params={"cursor": cursor} if cursor else None)
            assert answer.status_code == 200, f"GET {path}: {answer.status_code} {answer.text[:500]}"
            items += answer.json()["items"]
            cursor = answer.json().get("next_cursor")
            if not cursor:
                return items


# What a person who attacks the server would like to see in an answer.
TRACES = ("Fatal error", ".swift", "PSQLError", "DatabaseError", "SELECT ", "INSERT ", "stack", "/Sources/")


def assert_problem(answer, status, slug=None):
    """RFC 9457: the status, a stable type, something to do next, and nothing of the inside. Returns the body."""
    assert answer.status_code == status, f"{answer.status_code}, not {status}: {answer.text[:600]}"
    assert answer.headers["Content-Type"].split(";")[0] == "application/problem+json", answer.headers["Content-Type"]
    body = answer.json()
    assert body["status"] == status
    assert "/problems/" in body["type"], body
    assert len(body["title"]) > 3 and len(body["detail"]) > 10, body
    for trace in TRACES:
        assert trace not in answer.text, f"shows {trace!r}: {answer.text[:600]}"
    if slug:
        assert body["type"].endswith("/problems/" + slug), body["type"]
    return body


def assert_page_that_helps(answer, status):
    """An HTML refusal: in a language, with a heading and a way on, and nothing of the inside."""
    assert answer.status_code == status, f"{answer.status_code}, not {status}: {answer.text[:600]}"
    assert answer.headers["Content-Type"].startswith("text/html"), answer.headers["Content-Type"]
    assert "<h1" in answer.text and "lang=" in answer.text and "href=" in answer.text
    for trace in TRACES:
        assert trace not in answer.text, f"shows {trace!r}"
