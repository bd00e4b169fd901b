// A box that a reader draws on the frame of the heatmaps, by which the server measures them; or
// calipers, whose length is shown here, and which "What if" prints into the frame.
const stage = element.querySelector('[data-region]'), texts = JSON.parse(stage.dataset.texts);
const [rect, line, length, remove] = ['box', 'line', 'length', 'unbox'].map(
  (name) => element.querySelector(`[data-${name}]`));
const corners = [...element.querySelectorAll('[data-corner]')];
const START = [[0.3, 0.3], [0.7, 0.7]], LEAST = 0.02;
let ends = START, drawn = false, frame = '', pause = 0, tool = 'box', sides = [1, 1], inMm = false;

const between = (value) => Math.min(Math.max(value, 0), 1);
const edges = () => {
  if (!drawn || tool !== 'box') return null;
  const [[left, right], [top, bottom]] = [0, 1].map(
    (axis) => ends.map((end) => end[axis]).sort((a, b) => a - b));
  return [left, top, right, bottom];
};
const calipers = () => (drawn && tool === 'calipers' ? ends : null);
const apart = (places) => [0, 1].map((axis) => Math.abs(places[0][axis] - places[1][axis]));
const large = (places) => (tool === 'box' ? Math.min : Math.max)(...apart(places)) >= LEAST;
const set = (shape, values) => Object.entries(values).forEach(
  ([name, value]) => shape.setAttribute(name, value));
const measured = () => {
  const across = Math.hypot(...apart(ends).map((share, axis) => share * sides[axis]));
  const text = inMm ? texts.length.mm : texts.length.share;
  const shown = (inMm ? across : 100 * across).toLocaleString(
    document.documentElement.lang, {maximumFractionDigits: inMm ? 1 : 0});
  return text.replace('{length}', shown);
};
const show = () => {
  const [left, top, right, bottom] = edges() ?? [0, 0, 0, 0];
  set(rect, {x: left, y: top, width: right - left, height: bottom - top});
  const [from, to] = calipers() ?? [[0, 0], [0, 0]];
  set(line, {x1: from[0], y1: from[1], x2: to[0], y2: to[1]});
  length.textContent = calipers() ? measured() : '';
  remove.textContent = texts.tools[tool].remove;
  corners.forEach((corner, end) => {
    [corner.style.left, corner.style.top] = ends[end].map((share) => `${100 * share}%`);
    corner.setAttribute('aria-label', texts.tools[tool].ends[end]);
  });
  stage.toggleAttribute('data-drawn', drawn);
};
const ask = () => {
  clearTimeout(pause);
  pause = setTimeout(() => trigger('select'), 250);
};
const under = (event) => {
  const box = stage.getBoundingClientRect();
  return [between((event.clientX - box.left) / box.width),
    between((event.clientY - box.top) / box.height)];
};

let grip = null;
stage.addEventListener('pointerdown', (event) => {
  if (event.button) return;
  event.preventDefault();
  const corner = corners.indexOf(event.target.closest('[data-corner]'));
  grip = {end: corner < 0 ? 1 : corner, from: under(event), before: [ends, drawn]};
  if (corner < 0) ends = [grip.from, grip.from];
  else corners[corner].focus({preventScroll: true});
  stage.setPointerCapture(event.pointerId);
});
stage.addEventListener('pointermove', (event) => {
  if (!grip) return;
  ends = ends.map((end, at) => (at === grip.end ? under(event) : end));
  drawn = true;
  show();
});
for (const ended of ['pointerup', 'pointercancel']) {
  stage.addEventListener(ended, () => {
    if (!grip) return;
    if (ended === 'pointercancel' || !large(ends)) [ends, drawn] = grip.before;
    else if (tool === 'box') ask();
    grip = null;
    show();
  });
}
corners.forEach((corner, end) => {
  corner.addEventListener('keydown', (event) => {
    const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
    if (!step) return;
    event.preventDefault();
    const far = event.shiftKey ? 0.05 : 0.01;
    const moved = ends[end].map((share, axis) => between(share + far * step[axis]));
    if (!large([moved, ends[1 - end]])) return;
    ends = ends.map((one, at) => (at === end ? moved : one));
    drawn = true;
    show();
    if (tool === 'box') ask();
  });
});
element.addEventListener('change', (event) => {
  if (event.target.name !== 'thyro-tool') return;
  tool = event.target.value;
  if (!large(ends)) [ends, drawn] = [START, false];
  show();
  ask();
});
element.addEventListener('click', (event) => {
  if (!event.target.closest('[data-unbox]')) return;
  [ends, drawn] = [START, false];
  show();
  ask();
});

// The stage shows the frame that the heatmaps are of; a box of the frame before goes with it.
const follow = () => {
  const maps = document.querySelector('#thyro-maps .thyro-maps');
  const now = maps?.style.getPropertyValue('--thyro-frame') ?? '';
  if (!now || now === frame) return;
  frame = now;
  stage.style.setProperty('--thyro-frame', now);
  const ratio = maps.style.getPropertyValue('--thyro-ratio');
  stage.style.setProperty('--thyro-ratio', ratio);
  // Millimetres where the file gives them, else shares of the frame's width.
  inMm = 'mm' in maps.dataset;
  const [width, height] = (inMm ? maps.dataset.mm.split(' ') : ratio.split('/')).map(Number);
  sides = inMm ? [width, height] : [1, height / width];
  [ends, drawn] = [START, false];
  show();
};
new MutationObserver(follow).observe(document.body, {subtree: true, childList: true});
window.thyroRegion = {edges, calipers, again: () => drawn && ask()};
show();
