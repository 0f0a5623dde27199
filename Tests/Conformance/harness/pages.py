"""A resident or a member of staff at the HTML pages, over plain HTTP: reads forms, fills them and sends them as a browser would."""
import html.parser
import urllib.parse

import requests

TIMEOUT_SECONDS = 30


class Field:
    def __init__(self, tag, attributes):
        self.tag, self.attributes = tag, attributes
        self.name = attributes.get("name")
        self.type = attributes.get("type", {"input": "text", "button": "submit"}.get(tag, tag)).lower()
        self.value = attributes.get("value", "on" if self.type in ("checkbox", "radio") else "")
        self.options = []
        self.chosen = self.type not in ("checkbox", "radio") or "checked" in attributes


class Form:
    def __init__(self, attributes):
        self.action = attributes.get("action", "")
        self.method = attributes.get("method", "get").lower()
        self.attributes = attributes
        self.fields = []
        self.text = ""

    def field(self, **wanted):
        """The one field with these attributes, as `field(autocomplete="username")`."""
        found = [f for f in self.fields if all(f.attributes.get(k) == v for k, v in wanted.items())]
        assert len(found) == 1, f"{len(found)} fields with {wanted} in the form to {self.action}"
        return found[0]

    def values(self):
        """What a browser sends when nothing is touched; buttons only when pressed."""
        return [(f.name, f.value) for f in self.fields
                if f.name and f.type not in ("submit", "button", "image", "reset") and f.chosen and "disabled" not in f.attributes]

    def buttons(self):
        return [f for f in self.fields if f.type == "submit"]


class Page(html.parser.HTMLParser):
    """What the tests need of a page: its forms, links, text and language."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.forms, self.links, self.html_attributes, self.text, self.open_select, self.quiet = [], [], {}, "", None, 0
        self.inside_form = False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = {k: v or "" for k, v in attributes}
        if tag == "html":
            self.html_attributes = attributes
        elif tag in ("script", "style"):
            self.quiet += 1
        elif tag == "form":
            self.forms.append(Form(attributes))
            self.inside_form = True
        elif tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        elif tag in ("input", "button", "textarea", "select") and self.inside_form:
            field = Field(tag, attributes)
            self.forms[-1].fields.append(field)
            self.open_select = field if tag == "select" else None
        elif tag == "option" and self.open_select is not None:
            value = attributes.get("value", "")
            self.open_select.options.append(value)
            if "selected" in attributes or len(self.open_select.options) == 1:
                self.open_select.value = value

    def handle_endtag(self, tag):
        if tag == "form":
            self.inside_form = False
        elif tag in ("script", "style"):
            self.quiet -= 1

    def handle_data(self, data):
        if self.quiet:
            return
        self.text += data
        if self.inside_form:
            self.forms[-1].text += data


class Visitor:
    """A browser's cookies and redirects without the browser."""

    def __init__(self, base_url, language="en"):
        self.base_url = base_url
        self.session = requests.Session()
        self.session.headers["Accept-Language"] = language
        self.session.headers["Accept"] = "text/html"

    def get(self, path, **options):
        return self.session.get(urllib.parse.urljoin(self.base_url, path), timeout=TIMEOUT_SECONDS, **options)

    def post(self, path, fields, **options):
        return self.session.post(urllib.parse.urljoin(self.base_url, path), data=fields, timeout=TIMEOUT_SECONDS, **options)

    def page(self, path):
        answer = self.get(path)
        assert answer.status_code == 200, f"GET {path}: {answer.status_code} {answer.text[:500]}"
        return Page(answer.text)

    def send(self, form, page_url, changes=None, press=None, **options):
        """Sends a form with some fields changed and one button pressed; returns the answer after redirects."""
        changes = dict(changes or {})
        fields = [(name, changes.pop(name)) if name in changes else (name, value) for name, value in form.values()]
        fields += list(changes.items())
        if press is not None and press.name:
            fields.append((press.name, press.value))
        return self.post(urllib.parse.urljoin(page_url, form.action), fields, **options)

    def sign_in(self, username, password, path="/sign-in"):
        answer = self.get(path)
        return self.fill_sign_in(answer, username, password)

    def fill_sign_in(self, answer, username, password, **options):
        """Fills the sign-in form of a page that was reached: one username field and one password field."""
        assert answer.status_code == 200, f"{answer.url}: {answer.status_code} {answer.text[:500]}"
        form = next(f for f in Page(answer.text).forms if any(x.type == "password" for x in f.fields))
        names = {form.field(autocomplete="username").name: username, form.field(type="password").name: password}
        return self.send(form, answer.url, names, **options)
