"""Every route with the wrong caller: nobody, another resident, the wrong kind of token, the wrong role. Nothing of anybody else comes out."""
import collections
import re
import urllib.parse
import uuid

import pytest
import requests

from harness import contract
from harness.api import API, TIMEOUT_SECONDS, TRACES, assert_problem
from harness.fixtures import staff_with
from harness.pages import Page, Visitor

PAGES_MAX = 150  # of one crawl: the demo city has a few dozen for each person
PAGES_OF_A_SHAPE_MAX = 15  # so that the lines of a long log, a page each, leave room for all other pages


@pytest.fixture(scope="module")
def operations(base_url):
    """(method, path template, whether it needs a token) of the whole API."""
    return [(method, path, bool(operation.get("security", []))) for method, path, operation in contract.operations(base_url)]


# What a statement needs, so that only the token is wrong.
PERIODS = {"statement": "?from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z", "balance": "?before=2026-01-01T00:00:00Z"}


# Its caller signs what it says and has no token: test_providers.py.
SIGNED = "/api/v1/payment-providers/{provider}/events"


def filled(path, identifier=None):
    return re.sub(r"\{[^}]+\}", identifier or str(uuid.uuid4()), path)


def protected(operations):
    return [(method, path) for method, path, needs_token in operations if path.startswith("/api/v1/") and path != SIGNED]


def test_the_document_protects_every_operation_of_v1(operations):
    assert len(protected(operations)) >= 8
    for method, path, needs_token in operations:
        assert needs_token or path == SIGNED or not path.startswith("/api/v1/"), f"{method} {path} needs no token"


def test_no_token(operations, nobody):
    for method, path in protected(operations):
        answer = nobody.call(method, filled(path), json={} if method in ("POST", "PUT", "PATCH") else None)
        assert_problem(answer, 401)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer"), f"{method} {path}"


def test_a_session_cookie_instead(operations, sign_in, resident, demo):
    for visitor in (sign_in(resident), sign_in(demo["staff"][0])):
        for method, path in protected(operations):
            answer = visitor.session.request(method, visitor.base_url + filled(path), timeout=TIMEOUT_SECONDS,
                                             json={} if method in ("POST", "PUT", "PATCH") else None)
            assert_problem(answer, 401)


def test_the_other_kind_of_token(operations, base_url, app_token, organisation_token, resident, demo):
    """An organisation at the resident's routes, and the other way round."""
    app, organisation = API(base_url, app_token(resident)), API(base_url, organisation_token(demo["organisations"][0]))
    for method, path in protected(operations):
        for_organisations = "/exchange/" in path or "/ledger/" in path
        wrong = app if for_organisations else organisation
        answer = wrong.call(method, filled(path) + PERIODS.get(path.rsplit("/", 1)[1], ""), json=None if method == "GET" else organisation_body(path) if for_organisations else {},
                            headers={"Idempotency-Key": "wrong-caller"})
        assert answer.status_code == 403, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        assert_problem(answer, 403)


def organisation_body(path):
    """A body that is right for this route of organisations, so that only the token is wrong."""
    if path.endswith("/ledger/accounts"):
        return {"id": str(uuid.uuid4()), "kind": "general", "currency": "EUR"}
    if path.endswith("/ledger/conversions"):
        return {"id": str(uuid.uuid4()), "bought_id": str(uuid.uuid4()), "debit_account": str(uuid.uuid4()), "credit_account": str(uuid.uuid4()), "amount": 100,
                "currency": "EUR", "bought_amount": 110, "bought_currency": "USD", "rate": "1.1", "reference": "x"}
    if "/ledger/" in path:
        transfer = {"id": str(uuid.uuid4()), "kind": "post", "debit_account": str(uuid.uuid4()), "credit_account": str(uuid.uuid4()),
                    "amount": 1, "currency": "EUR", "reference": "x"}
        return transfer if path.endswith("/transfers") else {"transfers": [transfer], "atomic": False}
    if path.endswith("/acknowledgement"):
        return {"done": "deleted"}
    body = {"purpose": "x", "attributes": ["given_names"]}
    whom = {"subjects": [str(uuid.uuid4())]} if path.endswith("/lists") else {"subject": str(uuid.uuid4())}
    case = {} if "/consent-requests" in path else {"case_reference": "X-1"}
    return body | whom | case


def body_for(method, template):
    """A body that is right, so that only the id is wrong."""
    if method == "PUT" and "/consent-requests" in template:
        return {"decision": "given"}
    if method == "PUT" and "/payouts" in template:
        return {"currency": "EUR", "amount": 1}
    if method == "PUT":
        return {"words": "Whose is this?"} if template.endswith("/question") else {"state": "given"}
    return {} if method == "POST" else None


def test_another_residents_things_over_json(operations, base_url, app_token, demo):
    """Every list with every resident: what one holds, the other is told does not exist."""
    apis = [API(base_url, app_token(r)) for r in demo["residents"]]
    lists = [path for method, path in protected(operations) if method == "GET" and "{" not in path]
    checked = 0
    for method, template in protected(operations):
        parent = template.split("/{")[0]
        if "{" not in template or parent not in lists or "/exchange/" in template:  # what organisations hold: test_notices.py
            continue
        for owner in apis:
            own_ids = {item["id"] for item in owner.items(parent)}
            for other in apis:
                foreign = own_ids - {item["id"] for item in other.items(parent)}
                for identifier in foreign:
                    answer = other.call(method, filled(template, identifier), headers={"Idempotency-Key": f"foreign-{identifier}"},
                                        json=body_for(method, template))
                    # Who puts chooses the id of what is made: another's is taken, and nothing is told of it.
                    assert_problem(answer, 409 if method == "PUT" and "/payouts" in template else 404)
                    checked += 1
    assert checked > 0, "no resident holds anything that another does not"


def crawl(visitor, start, avoid=()):
    """All pages that a signed-in person can reach by links, and where their forms would go: {path: text}, {paths}."""
    pages, targets, waiting, shapes = {}, set(), [start], collections.Counter()
    while waiting and len(pages) < PAGES_MAX:
        path = waiting.pop(0)
        shape = re.sub(r"[0-9a-f-]{36}", "*", path)
        if path in pages or shapes[shape] >= PAGES_OF_A_SHAPE_MAX:
            continue
        shapes[shape] += 1
        answer = visitor.get(path, headers={"Accept": "text/html"})
        pages[path] = answer.text
        if not answer.headers.get("Content-Type", "").startswith("text/html"):
            continue
        page = Page(answer.text)
        for form in page.forms:
            target = urllib.parse.urlsplit(urllib.parse.urljoin(answer.url, form.action)).path
            if form.method == "post" and not target.endswith(("sign-out", "language", "/leave")):
                targets.add(target)
        for link in page.links:
            parts = urllib.parse.urlsplit(urllib.parse.urljoin(answer.url, link))
            next_path = parts.path + ("?" + parts.query if parts.query else "")
            if urllib.parse.urljoin(visitor.base_url, parts.path).startswith(visitor.base_url) and parts.netloc in visitor.base_url \
                    and not re.search(r"sign-out|/assets/|/language|lang=", next_path):
                waiting.append(next_path)
    return pages, targets


@pytest.fixture(scope="module")
def resident_pages(base_url, demo):
    """What each demo resident reaches: username → (visitor, pages, form targets)."""
    found = {}
    for person in demo["residents"][:2]:
        visitor = Visitor(base_url)
        visitor.sign_in(person["username"], person["password"])
        found[person["username"]] = (visitor, *crawl(visitor, "/"))
    return found


@pytest.fixture(scope="module")
def staff_pages(base_url, demo):
    found = {}
    for person in demo["staff"]:
        visitor = Visitor(base_url)
        visitor.sign_in(person["username"], person["password"])
        found[person["username"]] = (visitor, *crawl(visitor, "/staff"))
    return found


def public_paths(base_url):
    return crawl(Visitor(base_url), "/")[0].keys()


def test_pages_without_a_session(base_url, resident_pages, staff_pages):
    public = set(public_paths(base_url))
    checked = 0
    for _, pages, targets in [*resident_pages.values(), *staff_pages.values()]:
        for path in set(pages) - public:
            answer = Visitor(base_url).get(path, allow_redirects=False)
            if answer.status_code in (404, 200) and pages[path] == answer.text:
                continue  # the same for everybody, such as a stylesheet
            assert answer.status_code == 303 and "sign-in" in answer.headers["Location"], f"{path}: {answer.status_code}"
            checked += 1
        for target in targets - public:
            # A form without its token is refused before anybody asks who sent it; with one, nobody is let in.
            visitor = Visitor(base_url)
            token = Page(visitor.get("/sign-in").text).forms[0].values()
            answer = visitor.post(target, token, allow_redirects=False)
            assert answer.status_code in (303, 403), f"POST {target}: {answer.status_code}"
            assert answer.status_code == 403 or "sign-in" in answer.headers["Location"], f"POST {target}: {answer.headers['Location']}"
            checked += 1
    assert checked > 20


def test_another_residents_pages(resident_pages, demo):
    """Whatever one reaches, the other reaches only if it is about the other, and never with the one's name or code on it."""
    people = {r["username"]: r for r in demo["residents"]}
    usernames = list(resident_pages)
    for mine, theirs in (usernames, reversed(usernames)):
        _, pages, targets = resident_pages[mine]
        visitor, their_pages, _ = resident_pages[theirs]
        for path in pages:
            answer = visitor.get(path)
            assert people[mine]["public_code"] not in answer.text, f"{path} shows {mine}'s code to {theirs}"
            assert people[mine]["name"] not in answer.text, f"{path} shows {mine}'s name to {theirs}"
            # A purpose is its organisation's, the same for everybody; a log entry leads there also where no switch does.
            if has_identifier(path) and path not in their_pages and not path.startswith("/consents/"):
                assert answer.status_code == 404, f"{path}: {answer.status_code}"
        for target in targets:
            if has_identifier(target) and target not in resident_pages[theirs][2]:
                answer = visitor.post(target, Page(visitor.get("/").text).forms[0].values(), allow_redirects=False)
                assert answer.status_code in (403, 404), f"POST {target}: {answer.status_code}"


def has_identifier(path):
    """In the address itself: after the question mark stands only where a page of one's own list begins."""
    path = path.split("?")[0]
    return re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-|/[0-9A-Z]{3}-[0-9A-Z]{3}-[0-9A-Z]{3}", path) is not None


def test_residents_at_staff_pages_and_staff_at_residents_pages(resident_pages, staff_pages):
    resident_visitor = next(iter(resident_pages.values()))[0]
    staff_visitor = next(iter(staff_pages.values()))[0]
    for _, pages, _ in staff_pages.values():
        for path in pages:
            if path.startswith("/staff") and not path.startswith("/staff/sign-in"):
                assert_refused_page(resident_visitor.get(path, allow_redirects=False), path)
    for _, pages, _ in resident_pages.values():
        for path in pages:
            answer = staff_visitor.get(path, allow_redirects=False)
            if pages[path] != answer.text and has_identifier(path):
                assert_refused_page(answer, path)


def assert_refused_page(answer, path):
    assert answer.status_code in (303, 403, 404), f"{path}: {answer.status_code}"
    assert answer.status_code != 303 or "sign-in" in answer.headers["Location"], f"{path}: {answer.headers['Location']}"


def test_staff_of_the_wrong_role(staff_pages, demo):
    """What only one role is led to, the others are refused."""
    roles = {s["username"]: set(s["roles"]) for s in demo["staff"]}
    caseworker = staff_with(demo, "caseworker")["username"]
    others = [name for name, held in roles.items() if "caseworker" not in held]
    assert others, "the demo has staff who are no caseworkers"
    checked = 0
    for other in others:
        visitor, their_pages, _ = staff_pages[other]
        for path in staff_pages[caseworker][1]:
            if path.startswith("/staff/") and path not in their_pages:
                answer = visitor.get(path, allow_redirects=False)
                assert answer.status_code in (403, 404), f"{path} as {other}: {answer.status_code}"
                checked += 1
    assert checked > 0


def test_no_page_shows_the_inside(resident_pages, staff_pages):
    for _, pages, _ in [*resident_pages.values(), *staff_pages.values()]:
        for path, text in pages.items():
            for trace in TRACES:
                assert trace not in text, f"{path} shows {trace!r}"
            assert "{{" not in text and "[[" not in text, f"{path} shows template markers"
