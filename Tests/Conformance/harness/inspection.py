"""What every page must pass, whoever reached it: axe-core, 320 pixels, the byte budget of a cold load, language and direction."""
import re
import urllib.parse

from harness import chromium
from harness.server import until

COLD_BYTES_MAX = 14_600   # ten TCP segments: what arrives in the first round trip after the handshake
COLD_REQUESTS_MAX = 2     # the page and its stylesheet
STYLE_SECONDS_MAX = 10
IDENTIFIER = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9A-Z]{3}-[0-9A-Z]{3}-[0-9A-Z]{3}")


class Inspector:
    """Looks at each kind of page once in each language. It never touches the browser whose page it looks at."""

    def __init__(self, base_url):
        self.base_url = base_url
        self.seen, self.faults = set(), []
        self.source = chromium.axe_source()
        self.axe = chromium.start(scripts=True, width=chromium.NARROW_PIXELS)
        self.scale = chromium.start(scripts=False, width=chromium.NARROW_PIXELS)

    def quit(self):
        self.axe.quit()
        self.scale.quit()

    def look(self, driver, language):
        parts = urllib.parse.urlsplit(driver.current_url)
        if not driver.current_url.startswith(self.base_url):
            return
        html = chromium.outer_html(driver)
        kind = (language, IDENTIFIER.sub("…", parts.path), driver.title, 'role="alert"' in html)
        if kind in self.seen:
            return
        self.seen.add(kind)
        where = f"{language} {kind[1]} “{driver.title}”"
        self.faults += [f"{where}: {fault}" for fault in [*self.frame(html, language), *self.axe_and_width(html), *self.weight(driver)]]
        chromium.screenshot(driver, f"{language}-{kind[1]}-{'error' if kind[3] else len(self.seen)}")

    def frame(self, html, language):
        tag = re.search(r"<html[^>]*>", html).group()
        if f'lang="{language}"' not in tag:
            yield f"speaks another language: {tag}"
        if ('dir="rtl"' in tag) != (language == "ar"):
            yield f"runs the wrong way: {tag}"
        if "<script" in html or re.search(r"\son[a-z]+=|javascript:", html):
            yield "has scripts"
        if "{{" in html or "[[" in html:
            yield "shows template markers"

    def axe_and_width(self, html):
        """The very document that the person has before them, in a browser in which axe can run."""
        self.axe.get(self.base_url + "/sign-in")
        frame = self.axe.execute_cdp_cmd("Page.getFrameTree", {})["frameTree"]["frame"]["id"]
        self.axe.execute_cdp_cmd("Page.setDocumentContent", {"frameId": frame, "html": html})
        until(lambda: self.axe.execute_script("return document.readyState == 'complete' && document.styleSheets.length > 0"),
              STYLE_SECONDS_MAX, "the stylesheet of a page")
        yield from chromium.violations(self.axe, self.source)
        excess = chromium.overflow(self.axe)
        if excess > 0:
            yield f"is {excess} pixels wider than {chromium.NARROW_PIXELS}"

    def weight(self, driver):
        """The same address once more, with the same cookies and an empty cache."""
        self.scale.execute_cdp_cmd("Network.clearBrowserCookies", {})
        cookies = driver.execute_cdp_cmd("Network.getCookies", {"urls": [self.base_url]})["cookies"]
        for cookie in cookies:
            self.scale.execute_cdp_cmd("Network.setCookie", {"name": cookie["name"], "value": cookie["value"], "url": self.base_url,
                                                             "httpOnly": cookie["httpOnly"], "secure": cookie["secure"]})
        self.scale.execute_cdp_cmd("Network.clearBrowserCache", {})
        chromium.transfer(self.scale)
        self.scale.get(driver.current_url)
        requests, size = chromium.transfer(self.scale)
        if size > COLD_BYTES_MAX:
            yield f"weighs {size} bytes cold, over {COLD_BYTES_MAX}"
        if len(requests) > COLD_REQUESTS_MAX:
            yield f"takes {len(requests)} requests cold: {requests}"
        if size == 0:
            yield "was not weighed"
