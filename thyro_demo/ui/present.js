// The page "Present": a case, then its answer, moved on by keys, a remote or taps.
const root = element.querySelector('#thyro-present');
const {of, words, compare} = JSON.parse(root.dataset.setup);
const one = (name) => root.querySelector(`[data-${name}]`);
const button = (name) => root.querySelector(`[data-do="${name}"]`);
const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const made = (name, options, ...children) => {
  const it = Object.assign(document.createElement(name), options);
  it.append(...children);
  return it;
};

// What has come, by the number of its case; what has failed is asked for again.
const questions = new Map(), answers = new Map(), asked = {question: 0, answer: 0};
let number = 0, open = false, view = 0, ahead = 0;

// What is shown

const note = (text, kind = 'busy') => {
  one('note').textContent = text;
  one('note').className = `thyro-message thyro-${kind}`;
  one('note').hidden = !text;
};
const put = (name, address) => {
  one(name).hidden = !address;
  if (address) one(name).src = address;
  else one(name).removeAttribute('src');
};
const showView = () => {
  const answer = open && answers.get(number);
  const chosen = answer ? answer.views[view - 1] : null;
  put('map', chosen?.map);
  put('border', chosen?.border);
  put('outline', answer ? answer.outline : '');
  one('caption').textContent = chosen ? `${chosen.title} · ${chosen.head}. ${chosen.caption}` : '';
  [...one('views').children].forEach((it, at) => it.setAttribute('aria-pressed', at === view));
};
const chip = (it, at) => {
  const mark = it.agrees === null ? [] : [made('em', {title: it.agrees ? words.right : words.wrong},
    it.agrees ? '✓' : '✗', made('span', {className: 'sr-only'}, it.agrees ? words.right : words.wrong))];
  const chosen = made('button', {type: 'button', className: it.positive ? 'thyro-above' : 'thyro-below'},
    made('strong', {}, it.title), made('span', {className: 'thyro-present-score'}, it.text, ' ',
      made('i', {}, it.positive ? words.above : words.below), ...mark));
  chosen.dataset.view = at + 1;
  return chosen;
};
const showAnswer = () => {
  const answer = open && answers.get(number);
  for (const name of ['answer', 'views', 'compare']) one(name).hidden = !answer;
  one('question').hidden = Boolean(answer);
  one('point').hidden = !answer?.point;
  root.toggleAttribute('data-open', Boolean(answer));
  button('answer').textContent = open ? words.hide : words.answer;
  note(!questions.has(number) ? words.waiting : open && !answer ? words.comparing : '');
  if (answer) {
    one('label').textContent = answer.label[0].toUpperCase() + answer.label.slice(1);
    one('known').textContent = answer.known;
    one('verdict').textContent = answer.verdict;
    one('notices').replaceChildren(...answer.notices.map(
      (text) => made('p', {className: 'thyro-message thyro-notice'}, text)));
    const bare = made('button', {type: 'button'}, made('strong', {}, words.bare));
    bare.dataset.view = 0;
    one('views').replaceChildren(bare, ...answer.views.map(chip));
    one('point').lastElementChild.textContent = answer.point;
    one('compare').href = `./${compare}?case=${answer.slug}`;
  }
  showView();
};
const showQuestion = () => {
  const it = questions.get(number);
  one('count').textContent = fill(words.case, {number, of});
  one('image').setAttribute('aria-label', fill(words.frame, {number}));
  one('image').style.setProperty('--thyro-frame', it ? `url(${it.frame})` : 'none');
  root.style.setProperty('--thyro-ratio', it?.ratio ?? '4/3');
  button('back').disabled = number <= 1;
  button('next').disabled = number >= of;
  if (it) {
    const {address, hint, code, described} = it.join;
    one('address').textContent = address;
    one('hint').textContent = hint;
    one('code').alt = described;
    put('code', code);
  }
};

// What is asked

const askAnswer = () => {
  clearTimeout(ahead);
  if (answers.has(number) || asked.answer === number) return;
  asked.answer = number;
  trigger('submit');
};
const askQuestion = () => {
  if (asked.question === number) return;
  asked.question = number;
  trigger('select');
};
const refuse = (it) => {
  open = false;
  showAnswer();
  note(it?.refused ?? words.failed, 'error');
};
const question = (it, failed) => {
  const wanted = asked.question;
  asked.question = 0;
  if (failed || !it || it.refused) {
    if (wanted === number) refuse(it);
    return;
  }
  questions.set(it.number, it);
  if (it.number !== number) return;
  showQuestion();
  showAnswer();
  if (open) return askAnswer();
  // So that the answer is there when it is asked for, and not for cases that are passed over.
  ahead = setTimeout(askAnswer, 400);
};
const answer = (it, failed) => {
  const wanted = asked.answer;
  asked.answer = 0;
  if (failed || !it || it.refused) {
    if (open && wanted === number) refuse(it);
    return;
  }
  answers.set(it.number, it);
  if (it.number === number) showAnswer();
  else if (open) askAnswer();
};

// What the reader does

const go = (to) => {
  if (to < 1 || to > of || to === number) return;
  clearTimeout(ahead);
  [number, open, view] = [to, false, 1];
  const here = new URL(location.href);
  here.searchParams.set('case', number);
  history.replaceState(history.state, '', here);
  showAnswer();
  showQuestion();
  if (questions.has(number)) askAnswer();
  else askQuestion();
};
const reveal = () => {
  open = !open;
  showAnswer();
  if (!questions.has(number)) askQuestion();
  else if (open) askAnswer();
};
const look = (at) => {
  const found = open && answers.get(number);
  if (!found || at > found.views.length) return;
  view = at;
  showView();
};
const invitation = one('invitation');
const does = {
  back: () => go(number - 1),
  next: () => go(number + 1),
  answer: reveal,
  code: () => (invitation.open ? invitation.close() : invitation.showModal()),
  close: () => invitation.close(),
  full: () => (document.fullscreenElement ? document.exitFullscreen()
    : document.documentElement.requestFullscreen()),
};
button('full').hidden = !document.fullscreenEnabled;
root.addEventListener('click', (event) => {
  const pressed = event.target.closest('button');
  if (event.target === invitation) invitation.close();
  if (!pressed) return;
  if (pressed.dataset.view) look(Number(pressed.dataset.view));
  else does[pressed.dataset.do]();
  // After a tap the keys are those of the page again, not of the button.
  if (event.detail) pressed.blur();
});
const keys = {
  ArrowLeft: does.back, PageUp: does.back, ArrowRight: does.next, ' ': reveal, Enter: reveal,
  PageDown: () => (open ? does.next() : reveal()), q: does.code, f: does.full,
};
document.addEventListener('keydown', (event) => {
  const busy = event.ctrlKey || event.metaKey || event.altKey || event.repeat;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (busy || event.target.closest?.('input, select, textarea')) return;
  if (invitation.open && key !== 'q') return;
  // A button or a link in focus keeps the keys that press it.
  if ([' ', 'Enter'].includes(key) && event.target.closest?.('button, a, summary')) return;
  if (/^[0-9]$/.test(key)) look(Number(key));
  else if (key in keys) {
    event.preventDefault();
    keys[key]();
  }
});

window.thyroPresent = {asked, question, answer};
const wanted = Number(new URLSearchParams(location.search).get('case') ?? 1);
go(Number.isInteger(wanted) && wanted >= 1 && wanted <= of ? wanted : 1);
