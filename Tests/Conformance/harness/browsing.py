"""A person in one language at the keyboard, without page scripts; every page that they reach is inspected."""
from harness import chromium
from harness.catalogue import text
from harness.keyboard import Keyboard

CONTROLS = ("button", "link")
FIELDS = ("textbox", "searchbox", "spinbutton")


class Person(Keyboard):
    def __init__(self, driver, base_url, inspector, language):
        super().__init__(driver)
        self.base_url, self.inspector, self.language = base_url, inspector, language
        self.start_afresh()

    def start_afresh(self):
        chromium.forget_everything(self.driver)
        chromium.speak(self.driver, self.language)

    def t(self, key):
        return text(self.language, key)

    def follow(self, act):
        super().follow(act)
        self.inspector.look(self.driver, self.language)

    def visit(self, path):
        """Only for where a person would begin: an address that was typed."""
        self.follow(lambda: self.driver.get(self.base_url + path))

    def follow_text(self, key, role=CONTROLS, nth=0):
        self.activate(self.t(key), role, nth)

    def fill_text(self, key, value):
        self.fill(self.t(key), value)

    def pick_text(self, key):
        self.pick(self.t(key))

    def fill_date(self, day, month, year):
        for key, value in (("web.date_day", day), ("web.date_month", month), ("web.date_year", year)):
            self.fill_text(key, str(value))

    def submit(self, key):
        """The button of that name, wherever the focus is."""
        self.activate(self.t(key), "button")

    def sign_in(self, username, password):
        self.visit("/sign-in")
        self.fill_text("identity.sign_in.name", username)
        self.fill_text("identity.password", password)
        self.enter()

    def enter(self):
        """Presses the sign-in button. What follows speaks the account's language until it is told otherwise."""
        self.reach("button", self.t("identity.sign_in.submit"))
        Keyboard.follow(self, lambda: self.press("Enter"))
        self.speak_own_language()

    def speak_own_language(self):
        """The account's language wins over the browser's: the switch in the footer changes it."""
        if f'lang="{self.language}"' not in chromium.outer_html(self.driver)[:500]:
            self.reach("button", {"en": "English", "fr": "Français", "ar": "العربية"}[self.language])
            Keyboard.follow(self, lambda: self.press("Enter"))
        self.inspector.look(self.driver, self.language)

    def heading(self):
        return next(node.name for node in self.tree() if node.role == "heading")

    def expect(self, key):
        """The page says this."""
        wanted = self.t(key)
        assert wanted in self.text(), f"{self.driver.current_url} does not say {wanted!r}:\n{self.text()}"
