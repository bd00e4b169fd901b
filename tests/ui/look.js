// What a designer would measure on the page: an object of functions, each of which lists faults.
(() => {
  const shown = (one) => {
    const box = one.getBoundingClientRect();
    return box.width > 1 && box.height > 1
      && one.checkVisibility({opacityProperty: true, visibilityProperty: true})
      && !one.closest('[aria-hidden="true"], .sr-only');
  };
  const name = (one) => `${one.tagName.toLowerCase()}${one.id ? '#' + one.id : ''}.`
    + `${String(one.className?.baseVal ?? one.className).split(' ').slice(0, 2).join('.')}`
    + ` “${(one.innerText || one.getAttribute('aria-label') || '').trim().slice(0, 40)}”`;

  const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => top.slice(0, 3).map(
    (level, i) => level * top[3] + below[i] * (1 - top[3]));
  const luminance = (colour) => {
    const [r, g, b] = colour.map((level) => {
      const part = level / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const ground = (one) => {
    const line = [];
    for (let at = one; at; at = at.parentElement) line.unshift(at);
    return line.reduce(
      (below, at) => over(rgba(getComputedStyle(at).backgroundColor), below), [255, 255, 255]);
  };
  // What scrolls within its own edges runs off nothing.
  const scrolls = (one) => {
    for (let at = one.parentElement; at && at !== document.body; at = at.parentElement) {
      if (['auto', 'scroll'].includes(getComputedStyle(at).overflowX)) return true;
    }
    return false;
  };
  const opacity = (one) => {
    let all = 1;
    for (let at = one; at; at = at.parentElement) all *= Number(getComputedStyle(at).opacity);
    return all;
  };

  return {
    contrast: (least) => {
      const faults = new Set();
      const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      while (texts.nextNode()) {
        const one = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || !shown(one) || one.closest('script, style')) continue;
        const below = ground(one);
        const ink = rgba(getComputedStyle(one).color);
        // Names that are repeated for readers of cells alone.
        if (ink[3] === 0) continue;
        const found = ratio(over([...ink.slice(0, 3), ink[3] * opacity(one)], below), below);
        if (found < least) faults.add(`${found.toFixed(2)} ${name(one)}`);
      }
      return [...faults];
    },
    targets: (least) => [...document.querySelectorAll(
      'button, summary, select, nav a, .thyro-language, input:not([type=file]), [role=button], [role=option]')]
      .map((one) => (one.matches('input') && one.closest('label')) || one)
      .filter((one) => shown(one) && !one.disabled)
      .map((one) => [one, one.getBoundingClientRect()])
      .filter(([, box]) => Math.min(box.width, box.height) < least - 0.5)
      .map(([one, box]) => `${box.width.toFixed(0)} × ${box.height.toFixed(0)} ${name(one)}`),
    beyond: () => {
      const cards = document.querySelectorAll(
        '.thyro-card, #thyro-map-card, #thyro-poke-card, #thyro-tabs, .thyro-empty, .thyro-examples, .thyro-masthead');
      const faults = [...cards].flatMap((card) => {
        const edge = card.getBoundingClientRect().right;
        return [...card.querySelectorAll('*')]
          .filter((one) => shown(one) && !scrolls(one))
          .filter((one) => one.getBoundingClientRect().right > edge + 0.5)
          .map((one) => `${(one.getBoundingClientRect().right - edge).toFixed(0)} px ${name(one)}`);
      });
      const wide = document.documentElement.scrollWidth - window.innerWidth;
      return wide > 0 ? [`the page by ${wide} px`, ...faults] : faults;
    },
    broken: () => {
      const faults = [];
      for (const one of document.querySelectorAll(
        '.thyro-example span, .thyro-tile figcaption strong, .thyro-scores td, .thyro-verdict')) {
        if (!shown(one)) continue;
        const texts = document.createTreeWalker(one, NodeFilter.SHOW_TEXT);
        while (texts.nextNode()) {
          // A soft hyphen is where a word may break.
          for (const word of texts.currentNode.data.matchAll(/[^\s\u00ad\u2002-]+/g)) {
            const range = document.createRange();
            // The hyphen that is drawn there counts as part of what follows.
            const after = texts.currentNode.data[word.index - 1] === '\u00ad' ? 1 : 0;
            range.setStart(texts.currentNode, word.index + after);
            range.setEnd(texts.currentNode, word.index + word[0].length);
            const lines = new Set(
              [...range.getClientRects()].filter((box) => box.width > 1)
                .map((box) => Math.round(box.top)));
            if (lines.size > 1) faults.push(`“${word[0]}” in ${name(one)}`);
          }
        }
      }
      return faults;
    },
  };
})()
