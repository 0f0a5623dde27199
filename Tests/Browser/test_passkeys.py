"""Passkeys with Chromium's own authenticator: added, used to sign in, used to prove more; and without scripts the page says so."""
import uuid

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from harness import chromium
from harness.pages import Page, Visitor

PASSWORD = "vier sterne über dem hafen"
WAIT_SECONDS_MAX = 30


@pytest.fixture(scope="module")
def phone():
    """A Chromium with scripts, and with an authenticator that knows its person."""
    driver = chromium.start(scripts=True, width=390)
    driver.execute_cdp_cmd("WebAuthn.enable", {})
    driver.execute_cdp_cmd("WebAuthn.addVirtualAuthenticator", {"options": {
        "protocol": "ctap2", "ctap2Version": "ctap2_1", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
        "isUserVerified": True, "automaticPresenceSimulation": True}})
    yield driver
    driver.quit()


def press(driver, path):
    """The button of the form that goes to `path`, and the page that follows."""
    button = driver.find_element(By.CSS_SELECTOR, f'form[action="{path}"] button')
    assert button.is_displayed()
    button.click()


def expect_path(driver, path):
    WebDriverWait(driver, WAIT_SECONDS_MAX).until(lambda d: d.current_url.split("?")[0].endswith(path), f"not at {path}")


def test_a_passkey_is_added_and_signs_in(phone, base_url):
    username = f"passkey-{uuid.uuid4().hex[:8]}"
    phone.get(base_url + "/register")
    phone.find_element(By.NAME, "username").send_keys(username)
    phone.find_element(By.NAME, "password").send_keys(PASSWORD)
    press(phone, "/register")
    # The click does not wait for an answer that takes a hash of argon2id.
    expect_path(phone, "/")
    phone.get(base_url + "/security/passkey")
    press(phone, "/security/passkey")
    expect_path(phone, "/security")
    assert "assurance level 2" in phone.page_source

    phone.find_element(By.CSS_SELECTOR, 'button[form="sign-out"]').click()
    expect_path(phone, "/")
    phone.get(base_url + "/sign-in/passkey?next=/details")
    press(phone, "/sign-in/passkey")
    expect_path(phone, "/details")
    assert username in phone.page_source

    phone.get(base_url + "/confirm-passkey?next=/messages")
    press(phone, "/confirm-passkey")
    expect_path(phone, "/messages")

    # The password alone no longer does.
    stranger = Visitor(base_url)
    stranger.sign_in(username, PASSWORD)
    assert stranger.get("/details", allow_redirects=False).status_code == 303


def test_a_device_without_a_passkey_says_so(phone, base_url):
    phone.execute_cdp_cmd("Network.clearBrowserCookies", {})
    phone.execute_cdp_cmd("WebAuthn.disable", {})
    phone.execute_cdp_cmd("WebAuthn.enable", {})
    phone.execute_cdp_cmd("WebAuthn.addVirtualAuthenticator", {"options": {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True,
        "automaticPresenceSimulation": True}})
    phone.get(base_url + "/sign-in/passkey")
    failed = phone.find_element(By.ID, "passkey-failed")
    assert not failed.is_displayed()
    press(phone, "/sign-in/passkey")
    WebDriverWait(phone, WAIT_SECONDS_MAX).until(lambda _: failed.is_displayed())
    assert "/sign-in/passkey" in phone.current_url


def test_without_scripts_the_other_ways_are_shown(base_url):
    answer = Visitor(base_url).get("/sign-in/passkey")
    page = Page(answer.text)
    assert "scripts switched on" in page.text and "/sign-in" in page.links
    assert "hidden" in next(form for form in page.forms if form.action == "/sign-in/passkey").attributes
