"""The few lines of JavaScript that the pages run in the browser.

``window.thyro`` holds what the browser alone knows: the name of the example that was touched
last (``wanted``), whether a frame is still on its way into the box (``loading``), whether it is
only to be shown, not compared (``quiet``), how many comparisons were asked for (``running``),
whether the box was emptied (``cancelled``), whether the page may turn to the results when
they come (``follow``): not where the reader chose a tab meanwhile; and the tab to return to after
the language was changed (``back``).
"""

import json

from thyro_demo.ui.catalogue import words
from thyro_demo.ui.html import message

_STATE = """
window.thyro ??= {
  wanted: '', loading: false, quiet: false, running: 0, cancelled: false, follow: false,
  back: '',
};
"""

NAME_PAGE = """
document.title = %s;
document.documentElement.lang = %s;
const changed = (link) => link.addEventListener('click', (event) => {
  document.cookie = `thyro-language=${link.hreflang}; max-age=31536000; samesite=lax`;
  link.search = location.search;
  // With a key held down it opens beside this page, which stays.
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  document.dispatchEvent(new Event('thyro-language'));
});
element.querySelectorAll('[data-language]').forEach(changed);
"""
"""Name page and language to the browser, for Gradio has one title for all pages and the language of
its reader; let the link to another language keep what the address has come to hold, the browser
the choice, and the page what it wants to find again."""

ON_EXAMPLE = (
    _STATE
    + """
const buttons = [...element.querySelectorAll('[data-example]')];
const choose = (button, quiet, back = '') => {
  buttons.forEach((one) => one.setAttribute('aria-pressed', one === button));
  Object.assign(window.thyro, {wanted: button.dataset.example, loading: true, quiet, back});
  document.getElementById('thyro-page').toggleAttribute('data-quiet', quiet);
  trigger('select');
};
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-example]');
  if (!button) return;
  const address = new URL(location.href);
  address.searchParams.set('case', button.dataset.case);
  history.replaceState(history.state, '', address);
  choose(button, false);
});
document.addEventListener('thyro-language', () => {
  const page = document.getElementById('thyro-page');
  if (!window.thyro.running && !page.querySelector('#thyro-summary .thyro-verdict')) return;
  sessionStorage.setItem('thyro-back', page.dataset.tab ?? 'scores');
});
const back = sessionStorage.getItem('thyro-back') ?? '';
sessionStorage.removeItem('thyro-back');
const asked = new URLSearchParams(location.search).get('case');
if (asked) {
  const offered = buttons.find((button) => button.dataset.case === asked);
  if (offered) choose(offered, !back, back);
  else {
    Object.assign(window.thyro, {wanted: asked, quiet: true});
    trigger('select');
  }
}
"""
)
"""Choose the example that is touched, and let the address follow. An address that ends in
``?case=…`` chooses one, but leaves the comparison to the reader: a class is asked first. One that
was compared in another language is compared again."""

ON_MODELS = """
document.addEventListener('thyro-language', () => {
  const ticked = [...document.querySelectorAll('#thyro-models input:checked')];
  sessionStorage.setItem('thyro-models', JSON.stringify(ticked.map((box) => box.name)));
});
if (sessionStorage.getItem('thyro-models')) trigger('select');
"""
"""Let the ticked models go on to the page in the other language."""

TICK = """
() => {
  const ticked = JSON.parse(sessionStorage.getItem('thyro-models'));
  sessionStorage.removeItem('thyro-models');
  return [ticked];
}
"""

WANTED = "() => window.thyro.wanted"
"""Name the example that was touched last, also where an earlier one is still on its way."""

TAKEN = """
(frame, name) => {
  if (name !== window.thyro.wanted) return;
  window.thyro.loading = false;
  if (frame && !window.thyro.quiet) document.dispatchEvent(new Event('thyro-compare'));
}
"""
"""Compare an example that has come into the box, unless another one was touched meanwhile."""

_COMING = "Object.assign(window.thyro, {wanted: '', loading: true, quiet: false, back: ''});"

UPLOADING = f"(frame) => {{ {_COMING} return frame; }}"

TURNING = f"(frame, number) => {{ {_COMING} return [frame, number]; }}"

UPLOADED = """
(frame, html) => {
  window.thyro.loading = false;
  if (frame) document.dispatchEvent(new Event('thyro-compare'));
  return !frame && html.includes('thyro-busy') ? '' : html;
}
"""

TURNED = """
(frame) => {
  const page = window.thyro;
  page.loading = false;
  clearTimeout(page.pause);
  page.pause = setTimeout(() => {
    if (frame && !page.loading) document.dispatchEvent(new Event('thyro-compare'));
  }, 400);
}
"""
"""Compare the frame at which the slider rests; those that it passes are only shown."""

NOT_TAKEN = """
(html) => {
  window.thyro.loading = false;
  return html.includes('thyro-busy') ? '' : html;
}
"""
"""Take the busy note away when a frame did not come: the queue was full, or the line is down."""

NO_EXAMPLE = """
() => {
  Object.assign(window.thyro, {wanted: '', loading: false});
  document.getElementById('thyro-page').removeAttribute('data-quiet');
  document.querySelectorAll('[data-example]').forEach(
    (button) => button.setAttribute('aria-pressed', false));
  const address = new URL(location.href);
  address.searchParams.delete('case');
  history.replaceState(history.state, '', address);
}
"""
"""Mark no example, and name none in the address: the frame in the box is not one of them."""

ASK = """
() => {
  window.thyro.quiet = false;
  if (!window.thyro.loading) document.dispatchEvent(new Event('thyro-compare'));
}
"""
"""Compare what is in the box. A frame on its way is compared when it has come: what is in the
box until then is not what the reader sees chosen."""

ON_ASK = """
document.addEventListener('thyro-compare', () => {
  Object.assign(window.thyro, {running: window.thyro.running + 1, follow: true});
  document.getElementById('thyro-page').removeAttribute('data-quiet');
  trigger('select');
});
"""


def comparing() -> str:
    """Answer a touch before the server does."""
    note = message(words("compare")["busy"]["comparing"], "busy")
    return f"() => window.thyro.quiet ? undefined : {json.dumps(note)}"


EMPTYING = "() => { window.thyro.cancelled = true; return []; }"

NOT_COMPARED = """
(html, frame) => {
  const page = window.thyro;
  const again = page.cancelled && !page.loading && frame;
  Object.assign(page, {cancelled: false, back: ''});
  page.running = Math.max(0, page.running - 1);
  if (again) document.dispatchEvent(new Event('thyro-compare'));
  return html.includes('thyro-busy') && !page.loading && !page.running ? '' : html;
}
"""
"""Take the busy note away after a comparison that was stopped, or not accepted. A frame that came
into the emptied box meanwhile is asked for again: Gradio loses what is asked for while an event of
the same kind is being cancelled."""

_PLACE_IN_QUEUE = """
const place = () => {
  const note = document.querySelector('#thyro-message .thyro-place');
  if (!note) return;
  // Gradio writes it into its own progress display, which the style sheet hides.
  const found = /queue: (\\d+)\\/(\\d+)/.exec(
    document.querySelector('#thyro-message .progress-text')?.textContent ?? '');
  const words = found
    ? ` ${%s}`.replace('{place}', found[1]).replace('{all}', found[2]) : '';
  if (note.textContent !== words) note.textContent = words;
};
new MutationObserver(place).observe(
  document.body, {subtree: true, childList: true, characterData: true});
"""


def place_in_queue() -> str:
    """Add to the busy note how many comparisons come first, when it is known."""
    return _PLACE_IN_QUEUE % json.dumps(words("compare")["busy"]["place"])


PASTE_ANYWHERE = """
if (!window.thyroPaste) {
  window.thyroPaste = true;
  document.addEventListener('paste', (event) => {
    const images = [...(event.clipboardData?.files ?? [])].filter(
      (file) => file.type.startsWith('image/'));
    const box = document.querySelector('#thyro-frame input[type=file]');
    if (!images.length || !box) return;
    event.preventDefault();
    const chosen = new DataTransfer();
    chosen.items.add(images[0]);
    box.files = chosen.files;
    box.dispatchEvent(new Event('change', {bubbles: true}));
  });
}
"""
"""Take a pasted image wherever the reader's focus is: the box alone wants a click first."""

TAKE_ANY_FILE = """
if (!window.thyroFiles) {
  window.thyroFiles = true;
  const within = (event) => event.target instanceof Element && event.target.closest('#thyro-frame');
  const input = () => document.querySelector('#thyro-frame input[type=file]');
  document.addEventListener('click', (event) => {
    const box = within(event) && input();
    if (!box) return;
    box.accept = 'image/*,.heic,.heif,.hif,.dcm,.dicom,application/dicom';
    if (!event.target.closest('[data-testid=source-select] [aria-label="Upload file"]')) return;
    // Gradio would empty the box first, and leave it so where no file is chosen.
    event.stopPropagation();
    box.click();
  }, true);
  document.addEventListener('change', (event) => {
    const box = event.target;
    const file = box instanceof HTMLInputElement && box === input() && box.files[0];
    if (!file || file.type.startsWith('image/')) return;
    const chosen = new DataTransfer();
    chosen.items.add(new File([file], file.name, {type: 'image/x-unknown'}));
    box.files = chosen.files;
  }, true);
  document.addEventListener('drop', (event) => {
    const file = event.dataTransfer?.files?.[0];
    const box = within(event) && file && !file.type.startsWith('image/') && input();
    if (!box) return;
    event.preventDefault();
    event.stopPropagation();
    const chosen = new DataTransfer();
    chosen.items.add(file);
    box.files = chosen.files;
    box.dispatchEvent(new Event('change', {bubbles: true}));
  }, true);
}
"""
"""Let any file be chosen and dropped: Gradio's box judges by a type that DICOM has not, and the
server by the content, in one sentence. The frame in the box stays until another has been chosen."""

SET_OPACITY = """
(opacity) => {
  document.documentElement.style.setProperty('--thyro-opacity', opacity);
}
"""

SET_COLOUR_SCALE = """
(scale) => {
  document.documentElement.style.setProperty('--thyro-scale', `url("#thyro-${scale}")`);
}
"""

_MARK_STALE = """
(frame, ticked, sketch, about) => {
  const notes = %s;
  const results = document.getElementById('thyro-results');
  const of = about ? JSON.parse(about) : null;
  const mark = /data-mark="([\\d,]*)"/.exec(sketch ?? '')?.[1] ?? '';
  let why = '';
  if (!of) why = '';
  else if (!frame) why = 'removed';
  else if (frame.path !== of.path) why = 'frame';
  else if ([...ticked].sort().join() !== [...of.models].sort().join()) why = 'models';
  else if (of.mark !== null && of.mark !== mark) why = 'mark';
  results.toggleAttribute('data-stale', Boolean(why));
  return why ? notes[why] : '';
}
"""


def mark_stale() -> str:
    """Mark results that are not of what is in the box, ticked and marked, whichever came last."""
    stale = words("compare")["stale"]
    notes = {why: message(sentence, "stale") for why, sentence in stale.items()}
    return _MARK_STALE % json.dumps(notes)


ON_TAB = """
const page = () => document.getElementById('thyro-page');
window.thyroTab = (name) => {
  page().dataset.tab = name;
  element.querySelectorAll('[data-tab]').forEach(
    (one) => one.setAttribute('aria-current', one.dataset.tab === name));
};
element.addEventListener('click', (event) => {
  const chosen = event.target.closest('[data-tab]');
  if (!chosen) return;
  window.thyro.follow = false;
  window.thyroTab(chosen.dataset.tab);
  page().scrollIntoView();
});
"""
"""Show one part of the page at a time where it is too narrow for two, and results have come. Each
begins below the tabs, however far the reader was in the one before."""

_SHOW = """
  const narrow = matchMedia('(max-width: 960px)').matches;
  const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
  if (place && (narrow || place.getBoundingClientRect().top < 0)) {
    place.scrollIntoView({behavior: still ? 'auto' : 'smooth'});
  }
}
"""

SHOW_FRAME = (
    """
() => {
  window.thyroTab('frame');
  const {quiet, back} = window.thyro;
  const place = quiet || back ? null : document.getElementById('thyro-frame');"""
    + _SHOW
)
"""On a narrow page the box, with Compare below it, is above the examples. A page that opens on an
example opens at its top."""

SHOW_RESULTS = (
    """
() => {
  window.thyro.running = 0;
  window.thyroRegion.again();
  const page = document.getElementById('thyro-page');
  const {follow, back} = window.thyro;
  window.thyro.back = '';
  const come = follow && !page.querySelector('.thyro-empty');
  if (come) window.thyroTab(back || 'scores');
  const place = come && !back ? page : null;"""
    + _SHOW
)
"""On a narrow page the results have a tab of their own, and on a wide one the reader may be among
the maps of the frame before; an error is beside the button."""

SAVE = """
(address) => {
  if (!address) return;
  const link = document.createElement('a');
  link.href = address;
  link.download = '%s';
  link.click();
}
"""
"""Save a data address under a name; nothing is written on the server."""
