"""A resident who lost the password asks for a letter; a caseworker prints and posts it; its code leads to a new password. By keyboard; every page is inspected."""
import re

import pytest

CODE = re.compile(r"(?:[0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}")


@pytest.mark.parametrize("language, number", [("ar", 2)])
def test_a_letter_leads_back_in(language, number, browser, server, demo, caseworker):
    resident = demo["residents"][number]
    person = browser(language)
    person.visit("/recover")
    person.follow_text("identity.letter.title", "link")
    person.submit("identity.letter.submit")
    person.fill_text("identity.sign_in.name", resident["username"])
    person.submit("identity.letter.submit")
    person.expect("identity.letter.asked")

    person.sign_in(resident["username"], resident["password"])
    person.visit("/security")
    person.expect("identity.letter.pending")
    person.submit("web.sign_out")

    person.sign_in(caseworker["username"], caseworker["password"])
    person.visit("/staff/letters")
    person.expect("delivery.letters.about.recovery")
    person.follow_text("delivery.letters.print", "link", 0)
    code = CODE.search(person.text()).group()
    person.submit("delivery.letters.mark_posted")
    person.expect("delivery.letters.posted")
    person.submit("web.sign_out")

    person.visit("/recover/letter/code")
    person.fill_text("identity.sign_in.name", resident["username"])
    person.fill_text("identity.letter.code", code)
    person.submit("identity.factor.submit")
    person.expect("identity.letter.wrong")
    # The owner makes it a letter of the day before yesterday.
    with server.connect("owner") as connection:
        connection.execute("UPDATE delivery.outgoing SET sent_at = sent_at - interval '2 days' WHERE template = 'recovery' AND sent_at IS NOT NULL")
    person.visit("/recover/letter/code")
    person.fill_text("identity.sign_in.name", resident["username"])
    person.fill_text("identity.letter.code", code.lower().replace("-", " "))
    person.submit("identity.factor.submit")
    person.fill_text("identity.new_password.new", resident["password"])
    person.submit("identity.new_password.submit")
    person.expect("identity.new_password.changed")
    person.submit("web.sign_out")
    person.sign_in(resident["username"], resident["password"])
    person.visit("/messages")
    person.expect("messages.kind.recovery_letter_used")
