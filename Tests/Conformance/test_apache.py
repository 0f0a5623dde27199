"""mod_auth_openidc protects a page: a resident signs in through Chromium, without scripts, and signing out of the city closes the page."""
from selenium.webdriver.common.by import By

from harness import chromium
from harness.apache import Apache
from harness.server import until


def test_mod_auth_openidc_signs_in_and_hears_of_the_sign_out(server, chromium_without_scripts, base_url, other_resident):
    driver = chromium_without_scripts
    chromium.forget_everything(driver)
    chromium.speak(driver, "en")
    with Apache(server) as apache:
        driver.get(apache.page)
        assert driver.current_url.startswith(base_url + "/sign-in"), driver.current_url + apache.log()
        driver.find_element(By.CSS_SELECTOR, "main input[autocomplete=username]").send_keys(other_resident["username"])
        driver.find_element(By.CSS_SELECTOR, "main input[type=password]").send_keys(other_resident["password"])
        driver.find_element(By.CSS_SELECTOR, "main form button").click()
        # Who was asked by another test of this run goes on at once; otherwise the page asks.
        if driver.find_elements(By.CSS_SELECTOR, "main form[action$='/allow'] button"):
            driver.find_element(By.CSS_SELECTOR, "main form[action$='/allow'] button").click()
        until(lambda: driver.title == "Inside", 20, f"the protected page, not {driver.current_url}\n{apache.log()}")
        driver.get(apache.page)
        assert driver.title == "Inside", "its own session"

        driver.get(base_url + "/")
        driver.find_element(By.CSS_SELECTOR, "button[form=sign-out]").click()

        def closed():
            driver.get(apache.page)
            return driver.current_url.startswith(base_url + "/sign-in")
        until(closed, 20, f"a page that asks to sign in again, after the back-channel log-out\n{apache.log()}")
