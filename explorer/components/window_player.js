const root = element.querySelector('.player'), place = root.querySelector('.boards');
const NS = 'http://www.w3.org/2000/svg', SIDE = 48;
const make = (parent, tag, attributes) => {
  const node = parent.appendChild(document.createElementNS(NS, tag));
  Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value));
  return node;
};

// Three digits that count; whole numbers whole.
const brief = (v) => (v !== 0 && Math.abs(v) < 0.001 ? digits(v)
  : String(Math.abs(v) < 1000 ? +v.toPrecision(3) : Math.round(v)).replace('-', '−'));

// In small cells the 0 before the point goes.
const tight = (text) => (cell < 52 ? text.replace(/^(−?)0\./, '$1.') : text);

// A grid of cells that are touched only when they change. look: '' | ghost | empty | product.
function board(parent, title, [rows, cols]) {
  const figure = parent.appendChild(document.createElement('figure'));
  figure.appendChild(document.createElement('figcaption')).textContent = title;
  const svg = make(figure, 'svg', { viewBox: `-3 -3 ${cols * SIDE + 6} ${rows * SIDE + 6}`, class: 'cells', role: 'img', 'aria-label': title });
  const drawn = [];
  const nodes = Array.from({ length: rows * cols }, (_, i) => {
    const x = (i % cols) * SIDE, y = Math.floor(i / cols) * SIDE, group = make(svg, 'g', { 'data-cell': i });
    return {
      group,
      box: make(group, 'rect', { x, y, width: SIDE, height: SIDE }),
      text: make(group, 'text', { x: x + SIDE / 2, y: y + SIDE / 2 }),
      note: make(group, 'text', { x: x + SIDE / 2, y: y + 12, class: 'note' }),
    };
  });
  const [reach, edge, mark] = ['reach', 'mark-edge', 'mark'].map((name) => make(svg, 'path', { class: name }));
  const around = (indices) => indices.filter((i) => i >= 0).map((i) =>
    `M${(i % cols) * SIDE} ${Math.floor(i / cols) * SIDE}h${SIDE}v${SIDE}h${-SIDE}z`).join('');
  return {
    figure, svg, rows, cols,
    paint(i, value, bound, look = '', note = '') {
      const key = `${value}|${bound}|${look}|${note}|${cell}`;
      if (drawn[i] === key) return;
      drawn[i] = key;
      const { group, box, text, note: small } = nodes[i], { fill, ink } = diverging(value / bound), shown = look === 'empty' ? '' : tight(brief(value));
      const size = Math.min(12.5, 80 / note.length), room = note && cell * size >= 11.5 * SIDE;
      group.setAttribute('class', look);
      box.setAttribute('fill', look === 'empty' ? 'transparent' : fill);
      text.setAttribute('fill', ink);
      text.setAttribute('font-size', Math.min(16, 78 / shown.length));
      text.setAttribute('dy', room ? 6 : 0);
      text.textContent = shown;
      small.setAttribute('fill', ink);
      small.setAttribute('font-size', size);
      small.textContent = room ? note : '';
    },
    mark(indices) {
      const path = around(indices);
      edge.setAttribute('d', path);
      mark.setAttribute('d', path);
    },
    reach: (indices) => reach.setAttribute('d', around(indices)),
  };
}

let now = null, data = null, boards = null, cell = 0, narrow = false;
const bar = transport(root, show), readout = root.querySelector('.transport-step');
const largest = (values) => values.reduce((most, v) => Math.max(most, Math.abs(v)), 1e-9);
const patch = (step) => Array.from(data.patches.subarray(step * data.taps, (step + 1) * data.taps));
const single = () => (now.kind === 'gather' ? boards[2] : boards[0]);
const spread = () => (now.kind === 'gather' ? boards[0] : boards[2]);

function show(step) {
  (now.kind === 'gather' ? slide : stamp)(step);
  single().mark([step]);
  spread().mark(patch(step));
  readout.textContent = `${narrow ? '' : 'step '}${step + 1} / ${now.labels.length}`;
}

// The products stand in the window's cells; the output holds what has been summed so far.
function slide(step) {
  const [source, , target] = boards, taps = new Map(patch(step).map((i, tap) => [i, tap]));
  for (let i = 0; i < data.source.length; i++) {
    const tap = taps.get(i), ghost = data.ghost[i] ? 'ghost' : '';
    if (tap === undefined) source.paint(i, data.source[i], data.bound, ghost);
    else source.paint(i, data.products[step * data.taps + tap], data.bound, `${ghost} product`, `${brief(data.source[i])}·${brief(data.kernel[tap])}`);
  }
  for (let i = 0; i < data.target.length; i++) target.paint(i, data.target[i], data.bound, i <= step ? '' : 'empty');
}

// The output starts as zeros; each input cell so far has added its stamp.
function stamp(step) {
  const [source, , target] = boards, values = new Map();
  for (let i = 0; i < data.source.length; i++) source.paint(i, data.source[i], data.bound);
  for (let s = 0; s <= step; s++) patch(s).forEach((i, tap) => { if (i >= 0) values.set(i, data.after[s * data.taps + tap]); });
  const added = new Map(patch(step).map((i, tap) => [i, data.products[step * data.taps + tap]]));
  for (let i = 0; i < data.target.length; i++) target.paint(i, values.get(i) ?? 0, data.bound, values.has(i) ? '' : 'ghost',
    added.has(i) ? `+${brief(added.get(i))}`.replace('+−', '−') : '');
}

function build() {
  place.replaceChildren();
  boards = now.titles.map((title, i) => {
    if (i) place.appendChild(Object.assign(document.createElement('span'), { className: 'sign', textContent: (now.kind === 'gather' ? ['∗', '='] : ['×', '→'])[i - 1] }));
    return board(place, title, now.shapes[i]);
  });
  const [one, many] = [single(), spread()];
  const under = (event) => event.target.closest('[data-cell]')?.dataset.cell;
  one.svg.addEventListener('pointerover', (event) => { const i = under(event); if (i !== undefined) show(+i); });
  one.svg.addEventListener('click', (event) => { const i = under(event); if (i !== undefined) { bar.stop(); bar.go(+i); } });
  many.svg.addEventListener('pointerover', (event) => {
    const i = under(event);
    if (i !== undefined) one.reach(now.labels.flatMap((_, step) => (patch(step).includes(+i) ? [step] : [])));
  });
  many.svg.addEventListener('pointerleave', () => one.reach([]));
  one.svg.addEventListener('pointerleave', () => show(bar.step()));
  one.svg.classList.add('pick');
  fit();
}

// All cells of one size, in one row if they stay readable there; else the source above, or the output below, or all stacked.
function fit() {
  const [a, b, c] = [0, 1, 2], wide = place.clientWidth, tall = 640, edge = 6, gap = 52;
  const side = (lines) => Math.min(84,
    ...lines.map((line) => (wide - gap * (line.length - 1) - edge * line.length) / line.reduce((sum, i) => sum + now.shapes[i][1], 0)),
    tall / lines.reduce((sum, line) => sum + Math.max(...line.map((i) => now.shapes[i][0])), 0));
  const sides = [[[a, b, c]], [[a], [b, c]], [[a, b], [c]], [[a], [b], [c]]].map(side), most = Math.max(...sides);
  const best = sides.findIndex((px) => px >= Math.min(36, most));
  place.dataset.rows = ['one', 'top', 'bottom', 'stack'][best];
  cell = Math.floor(sides[best]);
  narrow = wide < 400;
  boards.forEach((grid) => { grid.svg.style.width = `${grid.cols * cell + 6}px`; });
}

function load() {
  if (!props.value) return;
  const same = now && JSON.stringify([now.kind, now.shapes, now.titles]) === JSON.stringify([props.value.kind, props.value.shapes, props.value.titles]);
  now = props.value;
  data = { ghost: unpack(now.ghost, Uint8Array), patches: unpack(now.patches, Int16Array), taps: now.shapes[1][0] * now.shapes[1][1] };
  for (const name of ['source', 'kernel', 'target', 'products', 'after']) data[name] = unpack(now[name], Float32Array);
  data.bound = Math.max(...['source', 'kernel', 'products', 'target'].map((name) => largest(data[name])));
  if (!same) build();
  data.kernel.forEach((v, i) => boards[1].paint(i, v, data.bound));
  bar.load(now.labels);
}
new ResizeObserver(() => { if (now) { fit(); show(bar.step()); } }).observe(place);
watch('value', load);
load();
