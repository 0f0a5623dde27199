"""Starts Chromium: one without page scripts for people, one with scripts for axe-core, which needs them to look at the same pages."""
import base64
import importlib.util
import json
import os
import pathlib
import re

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

NARROW_PIXELS = 320  # WCAG 2.2 §1.4.10: no scrolling in two directions at this width
FLAGS = ("--headless=new", "--disable-dev-shm-usage", "--disable-gpu", "--disable-extensions", "--disable-background-networking",
         "--disable-component-update", "--no-first-run", "--disable-default-apps", "--hide-scrollbars", "--window-size=1280,900")


def start(scripts, width):
    options = Options()
    options.binary_location = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    for flag in FLAGS + (("--no-sandbox",) if os.getuid() == 0 else ()):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    if not scripts:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    driver = webdriver.Chrome(options=options, service=Service(os.environ.get("CHROMEDRIVER", "/usr/bin/chromedriver")))
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False})
    driver.execute_cdp_cmd("Network.enable", {})
    if not scripts:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        driver.execute_cdp_cmd("Accessibility.enable", {})
    return driver


def forget_everything(driver):
    driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
    driver.execute_cdp_cmd("Network.clearBrowserCache", {})


def speak(driver, language):
    driver.execute_cdp_cmd("Network.setExtraHTTPHeaders", {"headers": {"Accept-Language": language}})


def outer_html(driver):
    root = driver.execute_cdp_cmd("DOM.getDocument", {"depth": 0})["root"]
    return driver.execute_cdp_cmd("DOM.getOuterHTML", {"nodeId": root["nodeId"]})["outerHTML"]


def screenshot(driver, name):
    """A picture of the whole page into STOA_SHOTS, when that is set."""
    folder = os.environ.get("STOA_SHOTS")
    if not folder:
        return
    size = driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
    picture = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": {
        "x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 6000), "scale": 1}})["data"]
    path = pathlib.Path(folder) / (re.sub(r"[^a-z0-9-]+", "_", name.lower()).strip("_")[:100] + ".png")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(base64.b64decode(picture))


def transfer(driver):
    """What was loaded since the last call: (requests, bytes on the wire: headers and compressed bodies)."""
    urls, finished = {}, 0
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        parameters = message.get("params", {})
        if message["method"] == "Network.requestWillBeSent" and parameters["request"]["url"].startswith("http"):
            urls[parameters["requestId"]] = parameters["request"]["url"]
        elif message["method"] == "Network.loadingFinished" and parameters["requestId"] in urls:
            finished += int(parameters["encodedDataLength"])
    return list(urls.values()), finished


def axe_source():
    """axe.min.js as the package axe-playwright-python ships it (MPL 2.0)."""
    folder = importlib.util.find_spec("axe_playwright_python").submodule_search_locations[0]
    return (pathlib.Path(folder) / "axe.min.js").read_text(encoding="utf-8")


RUN_AXE = """const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ['violations'], rules: {'target-size': {enabled: true}}})
   .then(r => done(r.violations.map(v => v.id + ': ' + v.help + ' — ' + v.nodes.slice(0, 3).map(n => n.html.slice(0, 160)).join(' | '))))
   .catch(e => done(['axe failed: ' + e]))"""


def violations(driver, source):
    driver.execute_script(source)
    return driver.execute_async_script(RUN_AXE)


OVERFLOW = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"


def overflow(driver):
    """How many pixels the page is wider than its window."""
    wide, window = driver.execute_script(OVERFLOW)
    return wide - window
