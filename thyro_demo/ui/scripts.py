"""The few lines of JavaScript that the pages run in the browser."""

ON_EXAMPLE = """
element.addEventListener('click', (event) => {
  const chosen = event.target.closest('[data-example]');
  if (!chosen) return;
  element.querySelectorAll('[data-example]').forEach(
    (button) => button.setAttribute('aria-pressed', button === chosen));
  trigger('select', {name: chosen.dataset.example});
});
const wanted = new URLSearchParams(location.search).get('case');
if (wanted) {
  const offered = [...element.querySelectorAll('[data-case]')].find(
    (button) => button.dataset.case === wanted);
  if (offered) offered.click();
  else trigger('select', {name: wanted});
}
"""
"""Mark the example that was pressed and tell the server its name; an address that ends in
``?case=…`` presses one."""

UNPRESS_EXAMPLES = """
() => document.querySelectorAll('[data-example]').forEach(
  (button) => button.setAttribute('aria-pressed', false))
"""
"""Mark no example: the frame in the box is not one of them."""

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

MARK_STALE = """
(frame, read) => {
  const stale = Boolean(read) && frame?.path !== read;
  document.getElementById('thyro-results').toggleAttribute('data-stale', stale);
}
"""
"""Mark results that are not about the frame in the box, whichever of the two came last."""

_SHOW = """
  if (place && matchMedia('(max-width: 800px)').matches) {
    const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
    place.scrollIntoView({behavior: still ? 'auto' : 'smooth'});
  }
}
"""

SHOW_FRAME = "() => { const place = document.getElementById('thyro-frame');" + _SHOW
"""On a phone the box, with Compare below it, stands above the examples."""

SHOW_RESULTS = (
    """
() => {
  const results = document.getElementById('thyro-results');
  const place = results?.querySelector('.thyro-empty') ? null : results;"""
    + _SHOW
)
"""On a phone the results stand below the fold; an error stands beside the button."""

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
