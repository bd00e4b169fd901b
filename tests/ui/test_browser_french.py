"""The app in French, as a browser shows it: every page, the switch, and what is remembered."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.ui.test_texts import FILES, SAME, flat, written
from thyro_demo.ui.catalogue import words

playwright = pytest.importorskip(
    "playwright.sync_api", reason="Playwright for Python is not installed"
)


pytestmark = pytest.mark.browser

SHOWN = """() => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
  while (texts.nextNode()) {
    const one = texts.currentNode;
    if (!one.parentElement.closest('script, style, #thyro-cards')) found.push(one.data.trim());
  }
  for (const one of document.querySelectorAll('[aria-label], [title], [alt], [placeholder]')) {
    for (const name of ['aria-label', 'title', 'alt', 'placeholder']) {
      if (one.hasAttribute(name)) found.push(one.getAttribute(name).trim());
    }
  }
  return found.filter(Boolean);
}"""


@pytest.fixture(scope="module")
def page(opened, served) -> Iterator:
    """Open the app in a French browser, at an address of no language, for all tests here."""
    yield from opened(f"{served[0]}?case=spongiform", 1280, 900, locale="fr-FR")


def english(page) -> list[str]:
    """List what the page shows that is English in the catalogue, or in its examples."""
    theirs = {text for file in FILES for text in written(file, "en").values()} - SAME - {"."}
    ours = {text for file in FILES for _, text in flat(words(file, "fr"))}
    return [text for text in page.evaluate(SHOWN) if text in theirs - ours]


def test_the_first_page_opens_in_the_language_of_the_browser(page, served):
    assert page.url == f"{served[0]}fr?case=spongiform"
    assert page.evaluate("document.documentElement.lang") == "fr"
    assert page.title() == "ThyroDemo · Comparer"
    playwright.expect(page.locator("[aria-pressed=true]")).to_have_text("Spongiforme")


def test_a_comparison_is_in_french(page):
    page.get_by_role("button", name="Comparer", exact=True).click()
    playwright.expect(page.locator(".thyro-tile")).to_have_count(3)
    scores = page.locator("#thyro-summary .thyro-score strong").all_inner_texts()
    assert scores
    assert all("," in score and "." not in score for score in scores)
    assert "têtes sur 9" in page.locator("#thyro-summary .thyro-verdict").inner_text()
    assert "l'étiquette est" in page.locator("#thyro-summary .thyro-verdict").inner_text()
    assert "Fantôme, dessiné avec 0 point" in page.locator(".thyro-truth").inner_text()
    page.locator("#thyro-poke label").nth(1).click()
    playwright.expect(page.locator("#thyro-poked .thyro-verdict")).to_contain_text("35")
    assert english(page) == []


def test_a_refusal_is_in_french(page):
    page.set_input_files(
        "#thyro-frame input[type=file]",
        {"name": "notes.txt", "mimeType": "image/png", "buffer": b"a few words"},
    )
    message = page.locator("#thyro-upload-message")
    playwright.expect(message).to_contain_text("Un fichier d'image doit être")
    playwright.expect(message).to_contain_text(
        "Reçu\N{NO-BREAK SPACE}: notes.txt, un fichier texte."
    )


@pytest.mark.parametrize(
    ("name", "path", "ready"),
    [
        ("Jouer", "fr-play", "[data-scores] li"),
        ("Clinique", "fr-clinic", "[data-phantom]"),
        ("Comparer", "fr", "#thyro-compare"),
    ],
)
def test_the_navigation_stays_in_the_language(page, served, name, path, ready):
    page.locator("nav").get_by_role("link", name=name).click()
    page.wait_for_selector(ready)
    assert page.url == f"{served[0]}{path}"
    assert page.evaluate("document.documentElement.lang") == "fr"
    assert english(page) == []
    # Gradio's own, in the language of the browser, which leads to what is English alone.
    playwright.expect(page.locator("footer")).to_be_attached()
    playwright.expect(page.locator("footer")).to_be_hidden()


def test_the_clinic_counts_measures_and_judges_in_french(page, served):
    page.goto(f"{served[0]}fr-clinic")
    page.locator("[data-phantom]").first.click()
    playwright.expect(page.locator("[data-score]")).to_contain_text(",")
    page.fill("[data-size]", "12,5")
    for feature, name in (
        ("composition", "solid or almost completely solid"), ("echogenicity", "hypoechoic"),
        ("shape", "taller than wide"), ("margin", "smooth"),
    ):  # fmt: skip
        page.select_option(f"[data-feature={feature}]", name)
    playwright.expect(page.locator("[data-total]")).to_have_text("7 points")
    playwright.expect(page.locator("[data-advice]")).to_contain_text("cytoponction")
    playwright.expect(page.locator("[data-rule]")).to_contain_text("cytoponction")
    page.fill("[data-size]", "wide")
    page.locator("[data-size]").blur()
    playwright.expect(page.locator("[data-size-note]")).to_contain_text(
        "Reçu\N{NO-BREAK SPACE}: wide"
    )
    assert english(page) == []


@pytest.mark.slow
def test_a_case_is_presented_in_french_and_leads_to_the_french_page(page, served):
    page.goto(f"{served[0]}fr-present?case=2")
    playwright.expect(page.locator("[data-count]")).to_have_text("Cas 2 sur 16")
    page.get_by_role("button", name="Montrer la réponse").click()
    playwright.expect(page.locator("[data-label]")).to_have_text("Malin")
    playwright.expect(page.locator("[data-point] span")).to_contain_text("étiquette s'accordent")
    compare = page.locator("[data-compare]").get_attribute("href")
    assert compare == "./fr?case=very-hypoechoic-taller-than-wide"
    assert english(page) == []


@pytest.mark.slow
def test_the_switch_keeps_page_and_state_and_is_remembered(page, served):
    page.goto(f"{served[0]}fr-present?case=2")
    playwright.expect(page.locator("[data-count]")).to_have_text("Cas 2 sur 16")
    page.get_by_role("link", name="English").click()
    page.wait_for_selector("html[lang=en]")
    assert page.url == f"{served[0]}present?case=2"
    playwright.expect(page.locator("[data-question]")).to_contain_text("Benign or malignant?")
    playwright.expect(page.locator("footer")).to_be_visible()
    # In a French browser, which the choice now outweighs.
    page.goto(f"{served[0]}play?size=30")
    assert urlsplit(page.url).path == "/play"
    page.wait_for_selector("[data-scores] li")
    page.get_by_role("link", name="Français").click()
    page.wait_for_selector("html[lang=fr]")
    assert urlsplit(page.url).path == "/fr-play"
    playwright.expect(page.locator("[data-value=size]")).to_have_text("30 mm")
    page.goto(f"{served[0]}clinic")
    assert urlsplit(page.url).path == "/fr-clinic"


@pytest.mark.slow
def test_an_example_that_was_compared_is_compared_again_after_the_switch(page, served):
    page.context.clear_cookies()
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{served[0]}fr?case=spongiform")
    playwright.expect(page.locator("[aria-pressed=true]")).to_have_text("Spongiforme")
    page.wait_for_selector("#thyro-frame img")
    # A link asks first, in both languages.
    playwright.expect(page.get_by_text("Regardez d'abord")).to_be_visible()
    playwright.expect(page.locator(".thyro-empty h2")).to_be_hidden()
    assert page.evaluate("scrollY") == 0
    page.get_by_label("ResNet-50", exact=True).uncheck()
    page.click("#thyro-compare")
    page.click("#thyro-tabs [data-tab=maps]")
    page.get_by_role("link", name="English").click()
    page.wait_for_selector("html[lang=en]")
    playwright.expect(page.locator(".thyro-of")).to_contain_text("What the heads predict")
    playwright.expect(page.locator("#thyro-tabs [data-tab=maps]")).to_have_attribute(
        "aria-current", "true"
    )
    playwright.expect(page.locator(".thyro-tile").first).to_be_visible()
    assert page.evaluate("scrollY") == 0
    # Of the models that were ticked.
    playwright.expect(page.locator(".thyro-tile")).to_have_count(2)
    playwright.expect(page.get_by_label("ResNet-50", exact=True)).not_to_be_checked()
    # Once: the next link asks first again.
    page.reload()
    page.wait_for_selector("#thyro-frame img")
    playwright.expect(page.get_by_text("Look at the frame first")).to_be_visible()
    playwright.expect(page.locator("#thyro-models input:checked")).to_have_count(3)


@pytest.mark.slow
def test_the_switch_keeps_which_models_are_ticked_without_a_case(page, served):
    page.context.clear_cookies()
    page.goto(f"{served[0]}fr")
    ticked = page.locator("#thyro-models input:checked")
    for name in ("VGG-16", "EfficientNet-B0", "ResNet-50"):
        page.get_by_label(name, exact=True).uncheck()
    page.get_by_role("link", name="English").click()
    page.wait_for_selector("html[lang=en]")
    playwright.expect(ticked).to_have_count(0)
    page.get_by_label("VGG-16", exact=True).check()
    page.get_by_role("link", name="Français").click()
    page.wait_for_selector("html[lang=fr]")
    playwright.expect(ticked).to_have_count(1)
    playwright.expect(page.get_by_label("VGG-16", exact=True)).to_be_checked()
