// The page "Play": controls, the one question in flight, and what is drawn from the answers.
// Gradio runs it with `element`, the page, and `trigger`, which starts a question.
const root = element.querySelector('#thyro-play');
const setup = JSON.parse(root.dataset.setup);
const {texts, choices, numbers, titles, totals} = setup;
const words = texts.words;
const find = (name) => root.querySelector(`[data-${name}]`);
const all = (name) => [...root.querySelectorAll(`[data-${name}]`)];
const filled = (text, value) => text.replace('{}', value);
const decimal = (number) => String(number).replace('.', setup.decimal);
const percent = (share) => filled(words.percent, Math.round(100 * share));

const make = (name, options = {}, ...children) => {
  const space = options.svg ? 'http://www.w3.org/2000/svg' : 'http://www.w3.org/1999/xhtml';
  const made = document.createElementNS(space, name);
  for (const [key, value] of Object.entries(options)) {
    if (key !== 'svg') made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
};

let state = {...setup.first};
// What was moved last, and whether anything was: until then the networks rest.
let moved = '';
let shown = null;

// Words for values

const label = (key, value) => {
  if (key === 'foci') {
    return value.map((one) => texts.features.foci.choices[one].label).join(', ')
      || texts.features.foci.none;
  }
  if (key in choices) return texts.features[key].choices[value].label;
  if (key in numbers) return `${decimal(value)} ${texts.numbers[key].unit}`.trim();
  if (key === 'marks') return value ? texts.marks.printed : texts.marks.blank;
  return titles[value] ?? value;
};
const short = (key, value) => {
  if (key === 'foci') {
    return value.map((one) => texts.features.foci.choices[one].short).join(', ')
      || texts.features.foci.none;
  }
  return key in choices ? texts.features[key].choices[value].short
    : key in numbers ? decimal(value) : label(key, value);
};
const named = (key) => (texts.features[key] ?? texts.numbers[key] ?? texts[key]).label;

// Controls

const setControls = () => {
  for (const one of all('key')) {
    const key = one.dataset.key;
    if (key === 'foci') one.checked = state.foci.includes(one.value);
    else if (key === 'marks') one.checked = state.marks;
    else if (key === 'network') one.checked = one.value === state.network;
    else one.value = key in choices ? choices[key].indexOf(state[key]) : state[key];
  }
  writeValues();
};
const writeValues = () => {
  for (const one of all('value')) one.textContent = label(one.dataset.value, state[one.dataset.value]);
  for (const one of root.querySelectorAll('input[type=range]')) {
    one.setAttribute('aria-valuetext', label(one.dataset.key, state[one.dataset.key]));
  }
};
const set = (key, value) => {
  state = {...state, [key]: value};
  if (key !== 'network') {
    moved = key;
    strip.stop();
  }
  writeValues();
  dirty = true;
  next();
};
root.addEventListener('input', ({target}) => {
  const key = target.dataset.key;
  if (!key) return;
  if (key === 'foci') {
    const ticked = all('key').filter((one) => one.dataset.key === 'foci' && one.checked);
    set(key, ticked.map((one) => one.value));
  } else if (key === 'marks') set(key, target.checked);
  else if (key === 'network') set(key, target.value);
  else set(key, key in choices ? choices[key][Number(target.value)] : Number(target.value));
});

// One question at a time: the newest state is sent when the last answer has come.

const PATIENCE_MS = 90000, WORDS_MS = 600, REST_MS = 450, TRIES = 8;
let flying = null, dirty = true, resting = 0, wordless = 0, lost = 0, failures = 0;

const say = (text, kind = '') => {
  find('note').textContent = text;
  find('note').dataset.kind = kind;
};
const ask = (job) => {
  flying = job;
  clearTimeout(wordless);
  if (job.kind === 'frame') wordless = setTimeout(() => say(words.waiting), WORDS_MS);
  clearTimeout(lost);
  lost = setTimeout(failed, PATIENCE_MS);
  trigger(job.kind === 'frame' ? 'input' : 'change');
};
const next = () => {
  if (flying) return;
  if (dirty) {
    dirty = false;
    clearTimeout(resting);
    ask({kind: 'frame', state: fromLink ?? state});
  } else strip.next();
};
const answered = (it) => {
  const job = flying;
  flying = null;
  clearTimeout(wordless);
  clearTimeout(lost);
  failures = 0;
  if (!job || !it) return next();
  if (it.refused) refuse(it.refused);
  else if (job.kind === 'frame') frameCame(it);
  else strip.came(job, it);
  next();
};
const failed = () => {
  const job = flying;
  flying = null;
  clearTimeout(wordless);
  clearTimeout(lost);
  failures += 1;
  say(failures < TRIES ? words.failed : words.gave_up, 'error');
  if (job?.kind === 'frame') dirty = true;
  else if (job) strip.again(job);
  // Not all at the same moment, where a class was sent away at the same moment.
  if (failures < TRIES) setTimeout(next, 1000 + 2000 * Math.random());
};
const refuse = (sentence) => {
  const linked = fromLink;
  fromLink = null;
  state = {...setup.first};
  setControls();
  address(false);
  dirty = Boolean(linked);
  say(sentence, 'error');
  kept.refused = sentence;
};
const frameCame = (it) => {
  if (fromLink) {
    fromLink = null;
    state = it.state;
    setControls();
  }
  show(it);
  if (it.loading) {
    setTimeout(() => { dirty = true; next(); }, 1000);
  } else if (!dirty && moved) {
    clearTimeout(resting);
    resting = setTimeout(rest, REST_MS);
  }
};
const rest = () => {
  if (dirty || flying?.kind === 'frame') return;
  address(true);
  // Another network is in the strip already.
  if (strip.run) return;
  strip.start();
  next();
};
window.thyroPlay = {wanted: () => flying?.state ?? state, answered, failed};

// The address

const address = (full) => {
  const here = new URL(location.href);
  for (const [key, value] of Object.entries(state)) {
    if (full) here.searchParams.set(key, Array.isArray(value) ? value.join(',') : value);
    else here.searchParams.delete(key);
  }
  history.replaceState(history.state, '', here);
};
const asked = [...new URLSearchParams(location.search)].filter(([key]) => key in setup.first);
let fromLink = asked.length ? Object.fromEntries(asked) : null;

// The frame and what is known of it

const times = [];
const pace = () => {
  const now = performance.now();
  if (times.length && now - times[times.length - 1] > 1000) times.length = 0;
  times.push(now);
  if (times.length > 12) times.shift();
  if (times.length < 4) return;
  const rate = (times.length - 1) / ((now - times[0]) / 1000);
  find('pace').textContent = filled(words.pace, decimal(rate.toFixed(1)));
};
const scoreRow = (one) => {
  const bar = make('span', {class: 'thyro-bar', 'aria-hidden': 'true',
    style: `--score:${one.score};--threshold:${one.threshold}`}, make('i'), make('b'));
  return make('li', {class: one.positive ? 'thyro-above' : 'thyro-below'},
    make('span', {}, one.title), make('strong', {}, one.text),
    make('span', {class: 'thyro-side'}, make('span', {}, one.side)), bar);
};
const lead = (it) => {
  const [first] = it.scores ?? [];
  const score = first ? ` · ${titles[it.state.network]} ${first.title} ${first.text}, ${first.side}` : '';
  return totals[it.points] + score;
};
const show = (it) => {
  shown = it;
  find('map').parentElement.style.setProperty('--thyro-frame', `url(${it.frame})`);
  find('map').hidden = !it.map;
  if (it.map) find('map').src = it.map;
  for (const one of all('level')) one.textContent = it.level || words.no_level;
  find('total').textContent = totals[it.points];
  find('lead').textContent = lead(it);
  find('chance').textContent = percent(it.chance);
  for (const one of all('points')) one.textContent = `+${it.parts[one.dataset.points]}`;
  find('scores').replaceChildren(...(it.scores ?? []).map(scoreRow));
  const deeper = it.depth_mm > it.state.depth ? [filled(words.deeper, decimal(it.depth_mm))] : [];
  find('notice').textContent = [...(it.notices ?? []), it.map_note, ...deeper].filter(Boolean).join(' ');
  if (kept.refused) {
    // Again, for a frame that took long to come has put its own note there.
    say(kept.refused, 'error');
    kept.refused = '';
  } else say(it.loading ? words.loading : it.state.network ? '' : words.no_network);
  if (it.scores && dirty) pace();
};

// The strip: every network along the feature that was moved

const strip = {
  key: '', values: [], left: [], got: new Map(),
  // Which run its answers are of; 0 once the frame is another.
  run: 0, runs: 0,
  name: (value) => JSON.stringify(value),
  along: (key) => {
    if (key in choices) return choices[key];
    if (key === 'foci') return [[], ...setup.foci.map((one) => [one])];
    if (key === 'marks') return [false, true];
    if (key !== 'seed') return numbers[key].points;
    const first = Math.min(Math.max(state.seed - 3, numbers.seed.low), numbers.seed.high - 6);
    return [0, 1, 2, 3, 4, 5, 6].map((step) => first + step);
  },
  start() {
    if (!setup.networks.length) return;
    this.key = moved;
    this.values = this.along(moved);
    this.left = [...this.values];
    this.run = ++this.runs;
    this.got = new Map();
    this.write(words.strip_running);
  },
  stop() {
    this.left = [];
    this.run = 0;
    if (this.values.length) this.write(words.strip_stale, true);
  },
  next() {
    if (!this.left.length) return;
    const value = this.left.shift();
    ask({kind: 'scores', value, run: this.run, state: {...state, [this.key]: value}});
  },
  again(job) {
    if (job.run === this.run) this.left.unshift(job.value);
  },
  came(job, it) {
    // It may have been stopped meanwhile.
    if (job.run !== this.run) return;
    this.got.set(this.name(job.value), it);
    this.write(this.left.length ? words.strip_running : words.strip_hint);
  },
  write(note, stale = false) {
    find('strip').toggleAttribute('data-stale', stale);
    find('strip-title').textContent = filled(words.strip, named(this.key).toLowerCase());
    const room = ['shape', 'size'].includes(this.key) ? ` ${words.strip_room}` : '';
    find('strip-note').textContent = note + room;
    this.legend();
    if (!stale) this.plot();
  },
  scored(model) {
    // With the most decimals: a score close to the threshold is written so, and beside it this.
    return [...this.got.values()].map((it) => it.scores[model]).filter(Boolean)
      .sort((one, other) => other.threshold_text.length - one.threshold_text.length)[0];
  },
  legend() {
    const lines = Object.entries(titles).map(([model, title], at) => {
      const one = this.scored(model);
      const head = one ? ` · ${one.title}, ${words.strip_threshold} ${one.threshold_text}` : '';
      return make('li', {}, sample(at), title + head);
    });
    lines.push(make('li', {}, sample(-1), texts.terms.chance.label));
    find('strip-legend').replaceChildren(...lines);
    find('strip-legend').hidden = false;
  },
  plot() {
    const {picture, table} = drawn(this);
    find('plot').replaceChildren(picture);
    find('strip-table').hidden = false;
    find('strip-table').querySelector('div').replaceChildren(table);
  },
  read(value) {
    const it = this.got.get(this.name(value));
    if (!it) return;
    const scores = Object.entries(it.scores).map(([name, one]) => `${titles[name]} ${one.text}`);
    find('strip-read').textContent = `${label(this.key, value)}: ${scores.join(', ')}; `
      + `${totals[it.points]}, ${texts.terms.chance.label} ${percent(it.chance)}`;
  },
};
const marker = (at, x, y) => {
  const shape = [
    `M${x - 4} ${y}a4 4 0 1 0 8 0a4 4 0 1 0-8 0z`, `M${x - 4} ${y - 4}h8v8h-8z`,
    `M${x} ${y - 5}l5 9h-10z`, `M${x} ${y - 5.5}l5.5 5.5l-5.5 5.5l-5.5-5.5z`][at % 4];
  return make('path', {svg: 1, d: shape, class: 'thyro-mark'});
};
const sample = (at) => make('svg', {svg: 1, width: 34, height: 14, 'aria-hidden': 'true',
  class: at < 0 ? 'thyro-line-chance' : `thyro-line-${at % 4}`},
make('path', {svg: 1, d: 'M1 7H33', class: 'thyro-line'}), ...(at < 0 ? [] : [marker(at, 17, 7)]));

const drawn = (strip) => {
  const {key, values, got, name} = strip;
  const width = Math.max(find('plot').clientWidth, 280), height = 244;
  const [left, right, top, bottom] = [30, 14, 24, 38];
  const column = (width - left - right) / values.length;
  const x = (at) => left + column * (at + 0.5);
  const y = (score) => top + (height - top - bottom) * (1 - score);
  const picture = make('svg', {svg: 1, width: '100%', height, viewBox: `0 0 ${width} ${height}`,
    role: 'img', 'aria-label': filled(words.strip, named(key).toLowerCase())});
  const write = (text, at, line, anchor = 'middle') => picture.append(
    make('text', {svg: 1, x: at, y: line, 'text-anchor': anchor}, text));
  const here = values.findIndex((value) => name(value) === name(state[key]));
  if (here >= 0) {
    picture.append(make('rect', {svg: 1, class: 'thyro-here', x: left + column * here, y: top,
      width: column, height: height - top - bottom + 34, rx: 6}));
  } else if (key in numbers) {
    const {low, high} = numbers[key];
    const at = x((values.length - 1) * (state[key] - low) / (high - low));
    picture.append(make('path', {svg: 1, class: 'thyro-now', d: `M${at} ${top}V${height - bottom}`}));
  }
  write(`${texts.terms.score.label} (0–1)`, 0, 11, 'start');
  for (const tick of [0, 0.5, 1]) {
    picture.append(make('path', {svg: 1, class: 'thyro-grid', d: `M${left} ${y(tick)}H${width - right}`}));
    write(decimal(tick), left - 6, y(tick) + 4, 'end');
  }
  values.forEach((value, at) => {
    const parts = short(key, value).split(' ');
    const half = Math.ceil(parts.length / 2);
    write(parts.slice(0, half).join(' '), x(at), height - bottom + 16);
    write(parts.slice(half).join(' '), x(at), height - bottom + 29);
  });
  const line = (kind, score, at) => {
    const there = values.map((value, place) => [place, got.get(name(value))])
      .filter(([, it]) => it && score(it) !== undefined)
      .map(([place, it]) => [place, x(place), y(score(it))]);
    if (!there.length) return;
    picture.append(make('g', {svg: 1, class: kind},
      make('path', {svg: 1, class: 'thyro-line', d: there.map(([place, ...to], turn) =>
        (turn && values[place] !== 'unclear' ? 'L' : 'M') + to.join(' ')).join('')}),
      ...(at === undefined ? [] : there.map(([, ...to]) => marker(at, ...to)))));
  };
  line('thyro-line-chance', (it) => it.chance);
  Object.keys(titles).forEach((model, at) => {
    line(`thyro-line-${at % 4}`, (it) => it.scores[model]?.score, at);
    const one = strip.scored(model);
    if (!one) return;
    picture.append(make('path', {svg: 1, class: `thyro-threshold thyro-line-${at % 4}`,
      d: `M${width - right} ${y(one.threshold)}h${right}`}));
  });
  values.forEach((value, at) => {
    const area = make('rect', {svg: 1, class: 'thyro-column', x: left + column * at, y: 0,
      width: column, height});
    area.addEventListener('pointerenter', () => strip.read(value));
    area.addEventListener('click', () => {
      strip.read(value);
      set(key, value);
      setControls();
    });
    picture.append(area);
  });
  return {picture, table: table(key, values, got, name)};
};
const table = (key, values, got, name) => {
  const head = [named(key), ...Object.values(titles), texts.terms.chance.label];
  const rows = values.map((value) => {
    const it = got.get(name(value));
    const scores = Object.keys(titles).map((model) => it?.scores[model]?.text ?? '…');
    const cells = [...scores, it ? percent(it.chance) : '…'];
    return make('tr', {}, make('th', {scope: 'row'}, label(key, value)),
      ...cells.map((cell) => make('td', {}, cell)));
  });
  return make('table', {}, make('thead', {}, make('tr', {},
    ...head.map((one) => make('th', {scope: 'col'}, one)))), make('tbody', {}, ...rows));
};
let width = 0;
new ResizeObserver(([{contentRect}]) => {
  if (Math.abs(contentRect.width - width) < 2 || !strip.values.length) return;
  width = contentRect.width;
  strip.plot();
}).observe(find('plot') ?? root);

// Two to compare

const kept = {a: null, b: null, refused: ''};
const keep = (slot) => {
  if (!shown) return;
  kept[slot] = shown;
  writeKept();
};
const card = (slot) => {
  const it = kept[slot];
  const picture = make('div', {class: 'thyro-image', role: 'img', 'aria-label': words.frame});
  picture.style.setProperty('--thyro-frame', `url(${it.frame})`);
  if (it.map) picture.append(make('img', {src: it.map, alt: ''}));
  const back = make('button', {type: 'button'}, words.restore);
  back.addEventListener('click', () => {
    state = {...it.state};
    setControls();
    moved ||= 'echogenicity';
    strip.stop();
    dirty = true;
    next();
  });
  return make('figure', {'data-slot': slot}, picture, make('figcaption', {},
    make('strong', {}, `${slot.toUpperCase()}: ${it.level || words.no_level}`), ` ${lead(it)}`),
  back);
};
const writeKept = () => {
  const slots = ['a', 'b'].filter((slot) => kept[slot]);
  find('kept-none').hidden = Boolean(slots.length);
  const parts = slots.map(card);
  if (slots.length === 2) {
    const differ = Object.keys(state).filter(
      (key) => strip.name(kept.a.state[key]) !== strip.name(kept.b.state[key]));
    parts.push(make('table', {}, make('thead', {}, make('tr', {}, make('th', {scope: 'col'}, words.differs),
      make('th', {scope: 'col'}, 'A'), make('th', {scope: 'col'}, 'B'))),
    make('tbody', {}, ...differ.map((key) => make('tr', {},
      make('th', {scope: 'row'}, named(key)),
      ...slots.map((slot) => make('td', {}, label(key, kept[slot].state[key]))))))));
  }
  find('kept').replaceChildren(...parts);
};

// Buttons

const copy = async () => {
  address(true);
  try {
    await navigator.clipboard.writeText(location.href);
    say(words.copied);
  } catch {
    say(words.not_copied);
  }
};
const actions = {
  'keep-a': () => keep('a'),
  'keep-b': () => keep('b'),
  copy,
  below: () => find('strip').scrollIntoView(),
  reset: () => {
    state = {...setup.first};
    moved = '';
    strip.stop();
    setControls();
    address(false);
    dirty = true;
    next();
  },
};
root.addEventListener('click', ({target}) => {
  actions[target.closest('[data-do]')?.dataset.do]?.();
});
find('show-map').addEventListener('change', ({target}) => {
  root.toggleAttribute('data-bare', !target.checked);
});

setControls();
next();
