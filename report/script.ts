/**
 * What the page can do with scripts on top of what it shows without: sort tables, filter by compressor, choose rule and
 * theta, switch axes, open everything for print. Plain text of one inline script; the page's policy names its hash.
 */
import { createHash } from 'node:crypto';

export const SCRIPT = `(() => {
'use strict';
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const make = (tag, props = {}, ...children) => {
  const el = Object.assign(document.createElement(tag), props);
  el.append(...children);
  return el;
};

// Sorting: each heading gets a button; a figure is the first number of its cell, what has none goes last.
const numberOf = (text) => {
  const found = text.replace(/\\u2212/g, '-').replace(/,/g, '').match(/-?\\d+(\\.\\d+)?/);
  if (!found) return null;
  const unit = /^\\s*[KMGT]iB/.exec(text.replace(/,/g, '').slice(text.indexOf(found[0]) + found[0].length));
  const power = unit ? ' KMGT'.indexOf(unit[0].trim()[0]) : 0;
  return Number(found[0]) * 1024 ** Math.max(power, 0);
};
const valueOf = (row, at, words) => {
  const cell = row.cells[at];
  const text = (cell.firstElementChild?.className === 'ci' ? cell.firstChild.textContent : cell.textContent).trim();
  return words ? text.toLowerCase() : numberOf(text);
};
for (const table of all('table')) {
  const body = table.tBodies[0];
  if (body.rows.length < 3) continue;
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((th, at) => {
    const button = make('button', { type: 'button', className: 'sort' }, ...th.childNodes);
    th.append(button);
    button.addEventListener('click', () => {
      const up = th.getAttribute('aria-sort') !== 'ascending';
      for (const other of heads) other.removeAttribute('aria-sort');
      th.setAttribute('aria-sort', up ? 'ascending' : 'descending');
      const words = th.className === 'w';
      const rows = [...body.rows].map((row) => [row, valueOf(row, at, words)]);
      rows.sort(([, a], [, b]) => {
        if (a === null || b === null) return (a === null) - (b === null);
        const order = words ? a.localeCompare(b, undefined, { numeric: true }) : a - b;
        return up ? order : -order;
      });
      body.append(...rows.map(([row]) => row));
    });
  });
}

// Filters: rows, paragraphs and stories are hidden by what they are marked with; a box per compressor, a list per choice.
const hidden = new Set();
const apply = () => {
  for (const el of all('[data-label]')) el.hidden = hidden.has(el.dataset.label) || el.dataset.off === '1';
};
const tools = document.getElementById('tools');
const labels = [...new Set(all('[data-label]').map((el) => el.dataset.label))];
if (labels.length > 1) {
  const boxes = labels.map((label) => {
    const input = make('input', { type: 'checkbox', checked: true });
    input.addEventListener('change', () => {
      if (input.checked) hidden.delete(label);
      else hidden.add(label);
      apply();
    });
    return make('label', {}, input, ' ' + label);
  });
  const reset = make('button', { type: 'button', textContent: 'all' });
  reset.addEventListener('click', () => {
    hidden.clear();
    for (const box of boxes) box.firstChild.checked = true;
    apply();
  });
  const none = make('button', { type: 'button', textContent: 'none' });
  none.addEventListener('click', () => {
    for (const label of labels) hidden.add(label);
    for (const box of boxes) box.firstChild.checked = false;
    apply();
  });
  const list = make('details', {}, make('summary', { textContent: 'Show compressors in tables and texts' }),
    make('fieldset', {}, make('legend', { textContent: 'Compressors' }), ...boxes, reset, none));
  tools.append(list);
  tools.hidden = false;
}
for (const box of all('.scroll')) {
  const rows = all('tr[data-rule]', box);
  if (rows.length === 0) continue;
  const bar = make('div', { className: 'bar' });
  const chosen = {};
  const show = () => {
    for (const row of rows) row.dataset.off = Object.keys(chosen).some((k) => chosen[k] !== '' && row.dataset[k] !== chosen[k]) ? '1' : '0';
    apply();
  };
  for (const name of ['rule', 'theta']) {
    const values = [...new Set(rows.map((row) => row.dataset[name]))];
    const select = make('select', {}, make('option', { value: '', textContent: 'all' }),
      ...values.map((value) => make('option', { value, textContent: value })));
    select.addEventListener('change', () => {
      chosen[name] = select.value;
      show();
    });
    bar.append(make('label', {}, name + ' ', select));
  }
  box.before(bar);
}

// Choices: one of several views at a time, by buttons.
for (const box of all('.choices')) {
  const options = [...box.children];
  const buttons = options.map((option) => {
    const button = make('button', { type: 'button', textContent: option.dataset.option });
    button.addEventListener('click', () => pick(option));
    return button;
  });
  const pick = (option) => {
    options.forEach((other, i) => {
      other.hidden = other !== option;
      if (other.tagName === 'DETAILS') other.open = true;
      buttons[i].setAttribute('aria-pressed', String(other === option));
    });
  };
  const group = make('div', { className: 'bar' }, make('span', { textContent: box.dataset.what + ': ' }), ...buttons);
  group.setAttribute('role', 'group');
  group.setAttribute('aria-label', box.dataset.what);
  box.before(group);
  box.classList.add('on');
  pick(options[0]);
}

// Print shows everything once.
let closed = [];
addEventListener('beforeprint', () => {
  closed = all('details:not([open])');
  for (const el of closed) el.open = true;
});
addEventListener('afterprint', () => {
  for (const el of closed) el.open = false;
});
})();`;

/** What the content policy of the page allows to run. */
export const SCRIPT_HASH = `sha256-${createHash('sha256').update(SCRIPT, 'utf8').digest('base64')}`;
