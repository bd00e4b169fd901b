// The widget of the page "Clinic". Whatever follows from size, features and score is answered here
// at once, from tables that the server answers from as well; frames and scores are asked for.
const root = element.querySelector('.thyro-clinic');
const tables = JSON.parse(root.dataset.tables);
const text = tables.text;
const one = (name) => root.querySelector(`[data-${name}]`);
const all = (name) => [...root.querySelectorAll(`[data-${name}]`)];
const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);
// As it is written in the language of the page; both signs are read.
const decimal = (number) => String(number).replace('.', tables.decimal);
const note = (kind, words) => {
  const made = document.createElement('p');
  made.className = `thyro-message thyro-${kind}`;
  made.setAttribute('role', kind === 'error' ? 'alert' : 'status');
  made.textContent = words;
  return made;
};

// What follows

const at = (bands, size) => bands.findLast((band) => band.from <= size);

const read = (typed, kind) => {
  const found = new RegExp(`^(?:${tables.number})$`).exec(typed);
  if (found) {
    const exact = Number(found[1].replace(',', '.')) * (found[2] === 'cm' ? 10 : 1);
    const value = Math.round(exact * 1e6) / 1e6;
    const [least, most] = tables.range[kind];
    if (value >= least && value <= most) return {value};
  }
  const value = typed.trim().slice(0, 40) || text.nothing;
  return {refusal: fill(text.received, {rule: tables.refusal[kind], value})};
};

const count = ({foci, ...chosen}) => {
  if (chosen.composition === tables.stop) return {points: 0, missing: [], stopped: true};
  const missing = Object.keys(chosen).filter((feature) => !chosen[feature]);
  const single = Object.entries(chosen).filter(([, name]) => name).map(
    ([feature, name]) => tables.points[feature][name]);
  const added = [...single, ...foci.map((focus) => tables.points.foci[focus])];
  return {points: added.reduce((sum, each) => sum + each, 0), missing, stopped: false};
};

const answer = ({typed, features, positive = null, reliable = true}) => {
  const size = typed.trim() ? read(typed, 'size').value : undefined;
  const {points, missing, stopped} = count(features);
  const counted = !missing.length, sized = size !== undefined, scored = positive !== null;
  const found = {size, points, missing, stopped, level: null, advice: '', rule: '',
    agree: null, verdict: text.to_compare};
  if (counted) {
    found.level = tables.level[points];
    found.advice = sized ? at(tables.advice[found.level], size).sentence
      : tables.schedule[found.level];
  }
  if (!scored) return found;
  if (!reliable) return {...found, rule: text.unreliable, verdict: text.not_compared};
  found.rule = sized ? at(tables.rule[positive], size).sentence : text.waiting_size;
  if (counted && sized) {
    const both = at(tables.verdict[found.level][positive], size);
    Object.assign(found, {agree: both.agree, verdict: both.sentence});
  }
  return found;
};

// What is on the page

const sizeBox = one('size'), spacingBox = one('spacing'), model = one('model');
const stage = one('stage'), picture = one('picture'), readout = one('readout');
const calipers = all('caliper'), loupe = one('loupe');
const fresh = () => ({frame: null, source: null, ends: [], moved: false, sizeFrom: '',
  score: null, busy: '', failure: '', back: null});
let state = fresh(), number = 0;

const features = () => Object.fromEntries([
  ...all('feature').map((box) => [box.dataset.feature, box.value]),
  ['foci', all('focus').filter((box) => box.checked).map((box) => box.value)]]);

const spacing = () => {
  const stated = state.frame?.spacing;
  // A file may state two; what is typed is one.
  if (stated && spacingBox.value === shortened(stated[0])) return stated;
  const {value} = read(spacingBox.value, 'spacing');
  return value === undefined ? null : [value, value];
};
const shortened = (value) => decimal(Math.round(value * 1e4) / 1e4);

const showSize = (strict) => {
  const line = one('size-note');
  const wrong = [[sizeBox, 'size'], [spacingBox, 'spacing']].map(([box, kind]) => {
    const refusal = box.value.trim() ? read(box.value, kind).refusal : '';
    if (strict || !refusal) box.setAttribute('aria-invalid', Boolean(refusal));
    return box.getAttribute('aria-invalid') === 'true' ? refusal : '';
  }).find(Boolean);
  const stated = state.frame?.spacing && spacing() === state.frame.spacing;
  const scale = !stated ? 'typed' : state.source.example ? 'example' : 'file';
  const from = state.sizeFrom === 'measured' ? `measured_${scale}` : 'typed';
  line.className = wrong ? 'thyro-message thyro-error' : 'thyro-fine';
  line.textContent = wrong || (sizeBox.value.trim() ? text[from] : text.size_hint);
};

const showCalipers = () => {
  const {frame, ends} = state;
  for (const shown of [...calipers, one('lines'), readout]) shown.toggleAttribute('hidden', !frame);
  if (!frame) return;
  one('lines').setAttribute('viewBox', `0 0 ${frame.width} ${frame.height}`);
  for (const line of one('lines').children) {
    ends.forEach(([x, y], end) => {
      line.setAttribute(`x${end + 1}`, x);
      line.setAttribute(`y${end + 1}`, y);
    });
  }
  calipers.forEach((caliper, end) => {
    caliper.style.left = `${100 * ends[end][0] / frame.width}%`;
    caliper.style.top = `${100 * ends[end][1] / frame.height}%`;
  });
  const [across, down] = [0, 1].map((axis) => ends[1][axis] - ends[0][axis]);
  const scale = spacing();
  if (!state.moved) readout.textContent = text.drag;
  else if (scale) {
    const size = decimal(Math.hypot(across * scale[0], down * scale[1]).toFixed(1));
    readout.textContent = fill(text.millimetres, {size});
  } else {
    const pixels = Math.hypot(across, down).toFixed(0);
    readout.textContent = fill(text.pixels, {pixels});
  }
};

const measure = () => {
  const scale = spacing();
  if (!state.moved || !scale) return;
  const [across, down] = [0, 1].map((axis) => state.ends[1][axis] - state.ends[0][axis]);
  sizeBox.value = decimal(Math.hypot(across * scale[0], down * scale[1]).toFixed(1));
  state.sizeFrom = 'measured';
};

const showFeatures = (found, chosen) => {
  for (const [feature, name] of Object.entries(chosen)) {
    const names = feature === 'foci' ? name : [name].filter(Boolean);
    const points = names.reduce((sum, each) => sum + tables.points[feature][each], 0);
    const counts = names.length && (!found.stopped || feature === 'composition');
    root.querySelector(`[data-points="${feature}"]`).textContent = counts ? `+${points}` : '';
  }
  root.toggleAttribute('data-stopped', found.stopped);
  const begun = Object.values(chosen).some((name) => name.length);
  const words = tables.totals[found.points];
  const missing = found.missing.map((name) => tables.term[name].toLowerCase()).join(', ');
  one('total').textContent = !begun ? '' : found.stopped ? text.stopped
    : missing ? fill(text.so_far, {points: words, missing}) : words;
};

// A browser writes a choice in one line and cuts it off; it is written over in several.
const showChoices = () => {
  for (const box of [...all('feature'), model]) {
    box.nextElementSibling.textContent = box.selectedOptions[0]?.text ?? '';
  }
};

const showScore = (found) => {
  const {score, busy, failure} = state;
  const notes = score ? score.notices.map((words) => note('notice', words)) : [];
  if (busy) {
    const waiting = note('busy', busy);
    waiting.append(Object.assign(document.createElement('span'), {className: 'thyro-place'}));
    notes.push(waiting);
  }
  if (failure) {
    const again = Object.assign(document.createElement('button'),
      {type: 'button', className: 'thyro-reset', textContent: text.again});
    again.addEventListener('click', askScore);
    notes.push(note('error', failure), again);
  }
  one('notices').replaceChildren(...notes);
  const side = one('model-side');
  side.classList.toggle('thyro-above', Boolean(score?.positive));
  side.classList.toggle('thyro-faint', Boolean(score?.notices.length));
  one('head').textContent = score ? `${score.title} · ${score.head}` : '';
  one('score').textContent = score ? score.shown[0] : '–';
  one('bar').toggleAttribute('hidden', !score);
  one('threshold').toggleAttribute('hidden', !score);
  one('side').textContent = score ? text[score.positive ? 'above' : 'below'] : '';
  one('threshold-value').textContent = score ? score.shown[1] : '';
  if (score) {
    one('bar').style.setProperty('--score', score.score.toFixed(4));
    one('bar').style.setProperty('--threshold', score.threshold.toFixed(4));
  }
  one('rule').textContent = found.rule || (state.frame || busy ? '' : text.waiting_frame);
};

const show = () => {
  const chosen = features();
  const found = answer({typed: sizeBox.value, features: chosen,
    positive: state.score ? state.score.positive : null,
    reliable: !state.score?.notices.length});
  showChoices();
  showFeatures(found, chosen);
  const counted = !found.missing.length;
  one('level').textContent = !counted ? '–' : found.level === 'none' ? text.no_level : found.level;
  one('advice').textContent = counted ? found.advice : text.waiting_features;
  showScore(found);
  const verdict = one('verdict');
  verdict.textContent = found.verdict;
  verdict.dataset.verdict = found.agree === null ? 'open' : found.agree ? 'agree' : 'disagree';
  showCalipers();
};

// Calipers

const place = (end, x, y) => {
  const {width, height} = state.frame;
  state.ends[end] = [Math.min(Math.max(x, 0), width), Math.min(Math.max(y, 0), height)];
  state.moved = true;
  measure();
  showSize(true);
  show();
};

const under = (event) => {
  const box = stage.getBoundingClientRect();
  return [(event.clientX - box.left) * state.frame.width / box.width,
    (event.clientY - box.top) * state.frame.height / box.height];
};

// A finger hides what it points at: it is shown again, larger, in the corner that is further away.
const magnify = (end) => {
  const {width, height} = stage.getBoundingClientRect();
  const [x, y] = [0, 1].map((axis) => state.ends[end][axis]
    / (axis ? state.frame.height : state.frame.width));
  const zoom = 2.5, half = loupe.offsetWidth / 2;
  loupe.style.backgroundSize = `${zoom * width}px ${zoom * height}px`;
  loupe.style.backgroundPosition = `${half - zoom * width * x}px ${half - zoom * height * y}px`;
  loupe.classList.toggle('thyro-loupe-right', x < 0.5);
};

calipers.forEach((caliper, end) => {
  let grip = [0, 0];
  caliper.addEventListener('pointerdown', (event) => {
    event.preventDefault();
    caliper.setPointerCapture(event.pointerId);
    caliper.focus({preventScroll: true});
    const [x, y] = under(event);
    grip = [state.ends[end][0] - x, state.ends[end][1] - y];
    loupe.toggleAttribute('hidden', event.pointerType !== 'touch');
    magnify(end);
  });
  caliper.addEventListener('pointermove', (event) => {
    if (!caliper.hasPointerCapture(event.pointerId)) return;
    const [x, y] = under(event);
    place(end, x + grip[0], y + grip[1]);
    magnify(end);
  });
  for (const ended of ['pointerup', 'pointercancel']) {
    caliper.addEventListener(ended, () => loupe.setAttribute('hidden', ''));
  }
  caliper.addEventListener('keydown', (event) => {
    const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
    if (!(event.key in step)) return;
    event.preventDefault();
    const far = event.shiftKey ? 10 : 1, [x, y] = state.ends[end];
    place(end, x + far * step[event.key][0], y + far * step[event.key][1]);
  });
});
stage.addEventListener('click', (event) => {
  if (!state.frame || event.target.closest('[data-caliper]')) return;
  const [x, y] = under(event);
  const [first, second] = state.ends.map((end) => Math.hypot(end[0] - x, end[1] - y));
  place(first <= second ? 0 : 1, x, y);
});

// Frames and scores

const asked = {frame: null, score: null};

const clearCase = () => {
  for (const box of [sizeBox, spacingBox, ...all('feature')]) box.value = '';
  for (const box of all('focus')) box.checked = false;
};

const showFrame = () => {
  const {frame, source} = state;
  picture.toggleAttribute('hidden', !frame);
  one('empty').toggleAttribute('hidden', Boolean(frame));
  if (frame) picture.src = frame.picture;
  else picture.removeAttribute('src');
  loupe.style.backgroundImage = frame ? `url(${frame.picture})` : '';
  stage.style.setProperty('--ratio', frame ? frame.width / frame.height : 4 / 3);
  for (const button of all('phantom')) {
    button.setAttribute('aria-pressed', button.dataset.phantom === source?.example);
  }
  const known = one('known'), sentences = frame?.known ?? [];
  known.toggleAttribute('hidden', !sentences.length);
  known.open = false;
  known.lastElementChild.replaceChildren(...sentences.map(
    (words) => Object.assign(document.createElement('p'), {textContent: words})));
};

const begin = (words) => {
  // A size may be typed before the first frame; what belongs to a frame before must go.
  if (state.frame) clearCase();
  const kept = state.frame ? '' : state.sizeFrom;
  state = {...fresh(), sizeFrom: kept, busy: words};
  number += 1;
  one('frame-message').replaceChildren();
  showFrame();
  showSize(false);
  show();
};

const refuse = (words) => {
  state = {...fresh(), sizeFrom: state.sizeFrom};
  one('frame-message').replaceChildren(note('error', words));
  showFrame();
  show();
};

const askFrame = (source) => {
  state.source = source;
  showFrame();
  asked.frame = {number, ...source};
  trigger('select');
};

const askScore = () => {
  number += 1;
  Object.assign(state, {score: null, failure: '', busy: state.frame.loading
    ? text.loading : text.reading});
  asked.score = {number, ...state.source, model: model.value};
  show();
  trigger('submit');
};

const send = async (file) => {
  begin(text.uploading);
  const mine = number, form = new FormData();
  form.append('files', file);
  let path = '', refusal = text.not_uploaded;
  try {
    const sent = await fetch('./gradio_api/upload', {method: 'POST', body: form});
    if (sent.ok) [path] = await sent.json();
    else refusal = await sent.text();
  } catch { /* The line is down, or the file has gone from the disk: the sentence says so. */ }
  if (mine !== number) return;
  if (path) askFrame({file: {path, meta: {_type: 'gradio.FileData'}}});
  else refuse(refusal);
};

const taken = (got, failed = false) => {
  const {back} = state;
  if (got?.of !== number) {
    if (failed && state.busy && !state.frame) refuse(back ? text.lost : text.not_uploaded);
    return;
  }
  if (got.refusal) return refuse(back ? text.lost : got.refusal);
  state.frame = got;
  state.ends = [[0.35 * got.width, 0.5 * got.height], [0.65 * got.width, 0.5 * got.height]];
  if (back?.ends.length) Object.assign(state, {ends: back.ends, moved: back.moved});
  if (got.spacing && !back) spacingBox.value = shortened(got.spacing[0]);
  showFrame();
  showSize(true);
  askScore();
};

const scored = (got, failed = false) => {
  if (got?.of !== number && !(failed && state.busy && state.frame)) return;
  const refusal = got?.of === number ? got.refusal : text.not_scored;
  Object.assign(state, {busy: '', failure: refusal ?? '', score: refusal ? null : got});
  if (state.frame) state.frame.loading = false;
  show();
};

const reset = () => {
  number += 1;
  state = fresh();
  clearCase();
  model.selectedIndex = 0;
  one('frame-message').replaceChildren();
  showFrame();
  showSize(true);
  show();
};

// The language is changed by another page, to which the case goes on in this browser alone: an
// upload as its place on the server, where it is for ten minutes.

document.addEventListener('thyro-language', () => {
  const {source, ends, moved, sizeFrom} = state;
  sessionStorage.setItem('thyro-clinic', JSON.stringify({source, ends, moved, sizeFrom,
    size: sizeBox.value, spacing: spacingBox.value, features: features(), model: model.value}));
});

const restore = () => {
  const back = JSON.parse(sessionStorage.getItem('thyro-clinic'));
  sessionStorage.removeItem('thyro-clinic');
  if (!back) return;
  sizeBox.value = back.size.replace(/[.,]/, tables.decimal);
  spacingBox.value = back.spacing.replace(/[.,]/, tables.decimal);
  for (const box of all('feature')) box.value = back.features[box.dataset.feature];
  for (const box of all('focus')) box.checked = back.features.foci.includes(box.value);
  model.value = back.model;
  state.sizeFrom = back.sizeFrom;
  if (back.source) {
    begin(text.reading);
    state.back = back;
    askFrame(back.source);
  }
  showSize(true);
  show();
};

// What the reader does

// It asks a phone for its camera; a computer with a mouse would only open its files again.
one('camera').toggleAttribute('hidden', !navigator.maxTouchPoints);
root.addEventListener('click', (event) => {
  const phantom = event.target.closest('[data-phantom]');
  if (phantom) {
    begin(text.reading);
    askFrame({example: phantom.dataset.phantom});
  }
  if (event.target.closest('[data-reset]')) reset();
});
for (const box of all('file')) {
  box.addEventListener('change', () => {
    if (box.files.length) send(box.files[0]);
    // Else the same file could not be chosen again.
    box.value = '';
  });
}
const dropped = one('stage').closest('section');
dropped.addEventListener('dragover', (event) => event.preventDefault());
dropped.addEventListener('drop', (event) => {
  event.preventDefault();
  if (event.dataTransfer.files.length) send(event.dataTransfer.files[0]);
});
document.addEventListener('paste', (event) => {
  const image = [...(event.clipboardData?.files ?? [])].find(
    (file) => file.type.startsWith('image/'));
  if (!image) return;
  event.preventDefault();
  send(image);
});
for (const [box, kind] of [[sizeBox, 'size'], [spacingBox, 'spacing']]) {
  box.addEventListener('input', () => {
    if (kind === 'size') state.sizeFrom = 'typed';
    else measure();
    showSize(false);
    show();
  });
  box.addEventListener('change', () => showSize(true));
}
model.addEventListener('change', () => (state.frame ? askScore() : show()));
for (const box of [...all('feature'), ...all('focus')]) box.addEventListener('change', show);

// Terms

const tip = one('tip');
const explain = (term) => {
  tip.textContent = document.getElementById(term.getAttribute('aria-describedby')).textContent;
  if (!tip.matches(':popover-open')) tip.showPopover();
  const edge = term.getBoundingClientRect(), {width, height} = tip.getBoundingClientRect();
  const below = edge.bottom + 6 + height < innerHeight;
  tip.style.left = `${Math.max(8, Math.min(edge.left, innerWidth - width - 8))}px`;
  tip.style.top = `${below ? edge.bottom + 6 : Math.max(8, edge.top - height - 6)}px`;
};
const hush = () => tip.matches(':popover-open') && tip.hidePopover();
for (const term of all('term')) {
  term.addEventListener('pointerenter', (event) => event.pointerType === 'mouse' && explain(term));
  term.addEventListener('pointerleave', (event) => event.pointerType === 'mouse' && hush());
  term.addEventListener('focus', () => explain(term));
  term.addEventListener('blur', hush);
  term.addEventListener('click', (event) => {
    // In a label it would open the box.
    event.preventDefault();
    explain(term);
  });
}
document.addEventListener('keydown', (event) => event.key === 'Escape' && hush());
document.addEventListener('scroll', hush, {passive: true});
document.addEventListener('pointerdown', (event) => event.target.closest?.('[data-term]') || hush());

new MutationObserver(() => {
  const found = /queue: (\d+)\/(\d+)/.exec(
    document.querySelector('#thyro-clinic-queue .progress-text')?.textContent ?? '');
  const shown = root.querySelector('.thyro-place');
  const words = found ? ` ${fill(text.place, {place: found[1], all: found[2]})}` : '';
  if (shown && shown.textContent !== words) shown.textContent = words;
}).observe(document.body, {subtree: true, childList: true, characterData: true});

window.thyroClinic = {answer, asked, read, scored, taken};
reset();
restore();
