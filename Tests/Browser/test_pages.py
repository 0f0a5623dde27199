"""What anybody can reach, in each language; and at the end, what is wrong with any page that was reached in the whole run."""
import pytest

from harness import chromium
from harness.catalogue import LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_public_pages_and_refusals(browser, language):
    person = browser(language)
    for path in ("/", "/sign-in", "/register", "/no-such-page"):
        person.visit(path)
    assert person.heading()


def test_the_skip_link_leads_past_the_navigation(browser):
    person = browser("en")
    person.visit("/sign-in")
    person.press("Tab")
    assert person.focused().name == person.t("web.skip"), "the first stop is the skip link"
    person.press("Enter")
    person.press("Tab")
    assert person.focused().role == "textbox", f"the skip link leads to {person.focused().role} {person.focused().name!r}"


def test_a_page_without_scripts_runs_none(chromium_without_scripts, browser):
    browser("en").visit("/")
    chromium_without_scripts.get("data:text/html,<title>off</title><script>document.title='on'</script>")
    assert chromium_without_scripts.title == "off", "this browser would run scripts"


@pytest.mark.last
def test_no_page_has_a_fault(inspector):
    """axe-core, width, weight, language and direction of everything that the tests came by."""
    assert len(inspector.seen) > 20, "hardly a page was inspected"
    assert not inspector.faults, f"{len(inspector.faults)} faults on {len(inspector.seen)} pages:\n" + "\n".join(inspector.faults)
