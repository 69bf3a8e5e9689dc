"""The page in a real Chromium, over a real service."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_SECONDS = 120
NUM_SAMPLES = 8
NUM_STRATEGIES = 6
LEAST_CONTRAST = 4.5
"""WCAG 2.1, level AA, text of ordinary size."""

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no Chromium: apt-get install chromium chromium-driver"
)


class Page:
    """The page, as somebody with a keyboard and eyes has it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def at(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def whole_text(self, selector: str) -> str:
        """Return a text even where it is folded away or for screen readers alone."""
        return str(self.at(selector).get_property("textContent"))

    def console(self) -> list[dict[str, Any]]:
        """Return what the browser has complained of since the last call."""
        return list(self.driver.execute("getLog", {"type": "browser"})["value"])

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def press_with_control(self, key: str) -> None:
        ActionChains(self.driver).key_down(Keys.CONTROL).send_keys(key).key_up(Keys.CONTROL).perform()

    def focused(self) -> str:
        return self.driver.switch_to.active_element.get_dom_attribute("id") or ""

    def state(self) -> str:
        return str(self.at("body").get_dom_attribute("data-state"))

    def set(self, field: str, value: object) -> None:
        if not self.at(field).is_displayed():
            self.at("#settings summary").click()
        if self.at(field).tag_name != "select":
            self.at(field).clear()
        self.at(field).send_keys(str(value))

    def wait_for_the_end(self) -> str:
        WebDriverWait(self.driver, PATIENCE_SECONDS).until(lambda _: self.state() not in ("idle", "running"))
        return self.state()

    def ask(self, **settings: object) -> None:
        """Ask the first example, and wait until it is answered."""
        self.set("#num-samples", NUM_SAMPLES)
        for field, value in settings.items():
            self.set(f"#{field}", value)
        self.at(".examples button").click()
        self.at("#solve").click()
        assert self.wait_for_the_end() == "done", self.at("#error").text

    def emulate(self, **features: str) -> None:
        listed = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": listed})

    def resize(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def call(self, module: str, body: str, *arguments: object) -> Any:  # noqa: ANN401  (JSON)
        """Run the body of an asynchronous function, in which `it` is a module of the page."""
        script = f"""
            const [done, finished] = [arguments.length - 1, arguments[arguments.length - 1]];
            const given = Array.from(arguments).slice(0, done);
            import(new URL("page/{module}", document.baseURI))
              .then(async (it) => {{ {body} }})
              .then((value) => finished({{ value }}), (error) => finished({{ error: String(error) }}));
        """
        outcome = self.driver.execute_async_script(script, *arguments)
        assert "error" not in outcome, outcome["error"]
        return outcome.get("value")


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(PATIENCE_SECONDS)
    yield driver
    driver.quit()


@pytest.fixture
def page(driver: webdriver.Chrome, solve_url: str) -> Page:
    page = Page(driver)
    page.resize(1100, 900)
    page.emulate(prefers_color_scheme="light")
    driver.get(f"{solve_url.rstrip('/')}/")
    page.console()
    return page


@pytest.fixture
def artefacts(tmp_path: Path) -> Path:
    folder = Path(os.environ.get("METAMATH_RAY_ARTEFACTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_a_question_is_answered_and_everything_about_it_is_shown(page: Page, artefacts: Path) -> None:
    page.ask(strategy="Weighted vote", seed=7)
    answer = page.at("#answer").text
    assert answer
    assert re.match(r"Confidence \d+%: \w+", page.at("#confidence-words").text)
    assert page.whole_text("#news").startswith(f"Answer: {answer}. Confidence")
    assert f"{NUM_SAMPLES} samples drawn" in page.at("#cost").text
    leading = page.all("#clusters [data-leading]")
    assert [row.get_dom_attribute("data-answer") for row in leading] == [answer]
    assert "leading" in leading[0].text
    assert len(page.all("#samples > li")) == NUM_SAMPLES
    assert "chosen" in page.at("#samples li:has(strong)").text
    assert answer in page.at("#solution").text
    assert "7" in page.whole_text("#run dl")
    assert not page.console()
    _store(page, artefacts / "page.png")


def test_bars_are_as_long_as_their_votes(page: Page) -> None:
    page.ask()
    rows = page.all("#clusters > li")
    votes = [int(re.findall(r"(\d+) votes?", row.text)[0]) for row in rows]
    widths = [row.find_element(By.CSS_SELECTOR, ".bar").size["width"] for row in rows]
    assert sum(votes) <= NUM_SAMPLES
    longest = max(widths)
    assert all(abs(width / longest - vote / max(votes)) < 0.05 for width, vote in zip(widths, votes, strict=True)), (
        widths,
        votes,
    )


def test_one_click_compares_all_strategies_on_the_same_samples(page: Page) -> None:
    page.ask(strategy="Majority vote")
    page.at("#compare").click()
    WebDriverWait(page.driver, PATIENCE_SECONDS).until(lambda _: page.at("#compared").is_displayed())
    rows = {row.find_element(By.TAG_NAME, "th").text: row for row in page.all("#compared tbody tr")}
    assert len(rows) == NUM_STRATEGIES
    assert rows["Majority vote ✓ used"].find_element(By.CSS_SELECTOR, ".value").text == page.at("#answer").text
    chosen = rows["Majority vote ✓ used"].find_element(By.TAG_NAME, "a").get_dom_attribute("href")
    assert page.at(str(chosen)).find_element(By.CSS_SELECTOR, ".value").text


def test_a_sample_opens_to_its_text(page: Page) -> None:
    page.ask()
    page.at("#samples summary").click()
    assert page.at("#samples .text").text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa_by_day_and_by_night(page: Page, scheme: str, artefacts: Path) -> None:
    page.emulate(prefers_color_scheme=scheme)
    page.ask()
    paper = _luminance(page.at("html").value_of_css_property("background-color"))
    assert (paper < 0.1) == (scheme == "dark")
    for selector in ("#answer", "#confidence-words", "#cost", ".lead", "h2", "a", ".figures", "#clusters .mark"):
        text = _luminance(page.at(selector).value_of_css_property("color"))
        assert (max(text, paper) + 0.05) / (min(text, paper) + 0.05) >= LEAST_CONTRAST, selector
    _store(page, artefacts / f"page_{scheme}.png")


def test_nothing_is_wider_than_a_small_phone(page: Page, artefacts: Path) -> None:
    page.resize(360, 740)
    page.ask()
    widths = page.driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1]
    _store(page, artefacts / "page_narrow.png")


def test_nothing_moves_for_those_who_asked_for_that(page: Page) -> None:
    page.emulate(prefers_reduced_motion="reduce")
    page.ask()
    assert page.at(".bar").value_of_css_property("transition-duration") == "0s"


def test_the_keyboard_alone_asks_and_reads(page: Page) -> None:
    for _ in range(20):
        page.press(Keys.TAB)
        if page.focused() == "question":
            break
    page.press("Fred drives 22 miles. Then he rides 10 miles an hour for 5 hours. How far does Fred travel in total?")
    page.press_with_control(Keys.ENTER)
    assert page.wait_for_the_end() == "done", page.at("#error").text
    assert page.focused() == "question"
    for _ in range(20):
        page.press(Keys.TAB)
        if page.focused() == "compare":
            break
    assert page.driver.switch_to.active_element.value_of_css_property("outline-style") == "solid"
    page.press(Keys.ENTER)
    WebDriverWait(page.driver, PATIENCE_SECONDS).until(lambda _: page.at("#compared").is_displayed())


def test_escape_cancels_and_the_next_question_is_answered(page: Page) -> None:
    page.set("#num-samples", 64)
    page.at(".examples button").click()
    ActionChains(page.driver).key_down(Keys.CONTROL).send_keys(Keys.ENTER).key_up(Keys.CONTROL).send_keys(
        Keys.ESCAPE
    ).perform()
    assert page.wait_for_the_end() == "cancelled"
    assert page.whole_text("#news").startswith("Cancelled after")
    assert page.at("#solve").is_displayed()
    page.ask()


def test_the_cancel_button_takes_the_place_and_the_focus_of_the_other(page: Page) -> None:
    page.at(".examples button").click()
    script = "solve.focus(); solve.click(); const where = document.activeElement.id; cancel.click(); return where"
    assert page.driver.execute_script(script) == "cancel"
    assert page.wait_for_the_end() == "cancelled"
    assert page.focused() == "solve"


def test_what_the_service_refuses_is_said_in_one_line(page: Page) -> None:
    page.set("#num-samples", 1_000_000)
    page.at(".examples button").click()
    page.at("#solve").click()
    assert page.wait_for_the_end() == "failed"
    assert page.at("#error").text
    assert "\n" not in page.at("#error").text
    assert page.at("#error").get_dom_attribute("role") == "alert"


def test_an_empty_question_is_not_sent(page: Page) -> None:
    page.press_with_control(Keys.ENTER)
    assert page.state() == "idle"


def test_the_curl_command_is_the_request_and_does_not_hold_the_key(page: Page) -> None:
    page.set("#seed", 5)
    page.set("#key", "secret")
    page.set("#question", "What's 1 + 1?")
    command = page.whole_text("#curl")
    assert "/v1/solve'" in command
    assert "secret" not in command
    body = json.loads(command.partition(" -d '")[2].removesuffix("'").replace("'\\''", "'"))
    assert body["question"] == "What's 1 + 1?"
    assert body["seed"] == 5


def test_mathematics_is_set_as_mathml(page: Page) -> None:
    names = page.call(
        "math.js",
        """
        const place = document.body.appendChild(document.createElement("p"));
        await it.setText(place, "Half is $\\\\frac{1}{2}$, <b>not</b> $3.", it.typesetter({ key: "" }));
        const names = [...place.querySelectorAll("*")].map((element) => element.localName);
        return [place.textContent.includes("<b>not</b> $3."), ...names];
        """,
    )
    assert names[0] is True
    assert "mfrac" in names
    assert "b" not in names


@pytest.mark.parametrize(
    "html",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<math><mtext><img src=x onerror=alert(1)></mtext></math>",
        "<math><annotation-xml encoding='text/html'><p>x</p></annotation-xml></math>",
        "<math><mglyph><style><img src=x></style></mglyph></math>",
        "<svg onload=alert(1)></svg>",
        "<math><style>*{}</style></math>",
        "<mi>not in math</mi>",
        "<a href='javascript:alert(1)'>x</a>",
        "<template><script></script></template>",
        "<iframe srcdoc='x'></iframe>",
    ],
)
def test_html_with_anything_but_mathml_is_refused(page: Page, html: str) -> None:
    assert page.call("math.js", "return it.safeFragment(given[0]) === null", html)


def test_attributes_that_can_act_are_left_out(page: Page) -> None:
    html = "<math display='block' onclick='x()'><mrow href='javascript:x()' style='color:red'><mi>x</mi></mrow></math>"
    kept = page.call(
        "math.js",
        """
        const elements = [...it.safeFragment(given[0]).querySelectorAll("*")];
        return elements.flatMap((element) => element.getAttributeNames());
        """,
        html,
    )
    assert kept == ["display"]


@pytest.mark.parametrize("line", ["\n", "\r\n"])
def test_events_are_read_however_the_bytes_are_cut(page: Page, line: str) -> None:
    lines = [
        ": waiting",
        "",
        "event: sample",
        'data: {"text": "½ € 𝟙"}',
        "",
        "data: [1,",
        "data: 2]",
        "",
        "event: cut",
        "data: 3",
    ]
    read = page.call(
        "api.js",
        """
        const bytes = new TextEncoder().encode(given[0]);
        const seen = new Set();
        for (let size = 1; size <= bytes.length; size += 1) {
          const stream = new ReadableStream({ start(end) {
            for (let at = 0; at < bytes.length; at += size) end.enqueue(bytes.slice(at, at + size));
            end.close();
          } });
          const events = [];
          for await (const event of it.readEvents(stream)) events.push(event);
          seen.add(JSON.stringify(events));
        }
        return [...seen];
        """,
        line.join(lines),
    )
    assert [json.loads(one) for one in read] == [
        [{"event": "sample", "data": {"text": "½ € 𝟙"}}, {"event": "message", "data": [1, 2]}]
    ]


def _luminance(color: str) -> float:
    """Relative luminance of "rgba(r, g, b, a)", as WCAG defines it."""
    channels = [int(value) / 255 for value in re.findall(r"\d+", color)[:3]]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _store(page: Page, path: Path) -> None:
    """Keep a picture of the whole page."""
    height = page.driver.execute_script("return document.documentElement.scrollHeight")
    width = page.driver.execute_script("return innerWidth")
    page.resize(width, height)
    assert page.driver.save_screenshot(str(path))
