// A box that a reader draws on the frame of the heatmaps; the server measures them by it.
const stage = element.querySelector('[data-region]'), line = element.querySelector('[data-box]');
const corners = [...element.querySelectorAll('[data-corner]')];
const START = [[0.3, 0.3], [0.7, 0.7]], LEAST = 0.02;
let ends = START, drawn = false, frame = '', pause = 0;

const between = (value) => Math.min(Math.max(value, 0), 1);
const edges = () => {
  if (!drawn) return null;
  const [[left, right], [top, bottom]] = [0, 1].map(
    (axis) => ends.map((end) => end[axis]).sort((a, b) => a - b));
  return [left, top, right, bottom];
};
const show = () => {
  const [left, top, right, bottom] = edges() ?? [0, 0, 0, 0];
  for (const [name, value] of Object.entries(
    {x: left, y: top, width: right - left, height: bottom - top})) line.setAttribute(name, value);
  corners.forEach((corner, end) => {
    [corner.style.left, corner.style.top] = ends[end].map((share) => `${100 * share}%`);
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
    const large = [0, 1].every((axis) => Math.abs(ends[0][axis] - ends[1][axis]) >= LEAST);
    if (ended === 'pointercancel' || !large) [ends, drawn] = grip.before;
    else ask();
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
    if (![0, 1].every((axis) => Math.abs(moved[axis] - ends[1 - end][axis]) >= LEAST)) return;
    ends = ends.map((one, at) => (at === end ? moved : one));
    drawn = true;
    show();
    ask();
  });
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
  stage.style.setProperty('--thyro-ratio', maps.style.getPropertyValue('--thyro-ratio'));
  [ends, drawn] = [START, false];
  show();
};
new MutationObserver(follow).observe(document.body, {subtree: true, childList: true});
window.thyroRegion = {edges, again: () => drawn && ask()};
show();
