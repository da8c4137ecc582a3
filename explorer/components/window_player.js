const root = element.querySelector('.player'), place = root.querySelector('.boards');
const NS = 'http://www.w3.org/2000/svg', SIDE = 48;
const make = (parent, tag, attributes) => {
  const node = parent.appendChild(document.createElementNS(NS, tag));
  Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value));
  return node;
};

// A grid of cells that are touched only when they change. look: '' | ghost | empty | product.
function board(parent, title, [rows, cols]) {
  const figure = parent.appendChild(document.createElement('figure'));
  figure.appendChild(document.createElement('figcaption')).textContent = title;
  const svg = make(figure, 'svg', { viewBox: `-3 -3 ${cols * SIDE + 6} ${rows * SIDE + 6}`, class: 'cells', role: 'img', 'aria-label': title });
  const marks = { low: null, high: null }, drawn = [];
  const nodes = Array.from({ length: rows * cols }, (_, i) => {
    const x = (i % cols) * SIDE, y = Math.floor(i / cols) * SIDE, group = make(svg, 'g', { 'data-cell': i });
    return {
      group,
      box: make(group, 'rect', { x, y, width: SIDE, height: SIDE }),
      text: make(group, 'text', { x: x + SIDE / 2, y: y + SIDE / 2 }),
      note: make(group, 'text', { x: x + SIDE / 2, y: y + 12, class: 'note' }),
    };
  });
  marks.reach = make(svg, 'path', { class: 'reach' });
  marks.low = make(svg, 'path', { class: 'mark-edge' });
  marks.high = make(svg, 'path', { class: 'mark' });
  const around = (indices) => indices.filter((i) => i >= 0).map((i) =>
    `M${(i % cols) * SIDE} ${Math.floor(i / cols) * SIDE}h${SIDE}v${SIDE}h${-SIDE}z`).join('');
  return {
    figure, svg, rows, cols,
    paint(i, value, bound, look = '', note = '') {
      const key = `${value}|${bound}|${look}|${note}`;
      if (drawn[i] === key) return;
      drawn[i] = key;
      const { group, box, text, note: small } = nodes[i], { fill, ink } = diverging(value / bound), shown = look === 'empty' ? '' : digits(value);
      group.setAttribute('class', look);
      box.setAttribute('fill', look === 'empty' ? 'transparent' : fill);
      text.setAttribute('fill', ink);
      text.setAttribute('font-size', shown.length > 6 ? 10.5 : shown.length > 4 ? 13 : 16);
      text.setAttribute('dy', note ? 6 : 0);
      text.textContent = shown;
      small.setAttribute('fill', ink);
      small.textContent = note;
    },
    mark(indices) {
      const path = around(indices);
      marks.low.setAttribute('d', path);
      marks.high.setAttribute('d', path);
    },
    reach: (indices) => marks.reach.setAttribute('d', around(indices)),
  };
}

let now = null, data = null, boards = null, cell = 0;
const bar = transport(root, (step) => show(step));
const largest = (values) => values.reduce((most, v) => Math.max(most, Math.abs(v)), 0) || 1;
const patch = (step) => Array.from(data.patches.subarray(step * data.taps, (step + 1) * data.taps));
const single = () => (now.kind === 'gather' ? boards[2] : boards[0]);
const spread = () => (now.kind === 'gather' ? boards[0] : boards[2]);

function show(step) {
  (now.kind === 'gather' ? slide : stamp)(step);
  single().mark([step]);
  spread().mark(patch(step));
}

// The products stand in the window's cells; the output holds what has been summed so far.
function slide(step) {
  const [source, , target] = boards, window_ = new Map(patch(step).map((i, tap) => [i, tap])), roomy = cell >= 46;
  for (let i = 0; i < data.source.length; i++) {
    const tap = window_.get(i), ghost = data.ghost[i] ? 'ghost' : '';
    if (tap === undefined) source.paint(i, data.source[i], data.bounds[0], ghost);
    else source.paint(i, data.products[step * data.taps + tap], data.bounds[0], `${ghost} product`, roomy ? `${digits(data.source[i])}·${digits(data.kernel[tap])}` : '');
  }
  for (let i = 0; i < data.target.length; i++) target.paint(i, data.target[i], data.bounds[2], i <= step ? '' : 'empty');
}

// The output starts as zeros; each input cell so far has added its stamp.
function stamp(step) {
  const [source, , target] = boards, now_ = new Map(), roomy = cell >= 46;
  for (let i = 0; i < data.source.length; i++) source.paint(i, data.source[i], data.bounds[0]);
  for (let s = 0; s <= step; s++) patch(s).forEach((i, tap) => { if (i >= 0) now_.set(i, data.after[s * data.taps + tap]); });
  const added = new Map(patch(step).map((i, tap) => [i, data.products[step * data.taps + tap]]));
  for (let i = 0; i < data.target.length; i++) target.paint(i, now_.get(i) ?? 0, data.bounds[2], now_.has(i) ? '' : 'ghost',
    roomy && added.has(i) ? `+${digits(added.get(i))}`.replace('+−', '−') : '');
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

// All cells of one size: in one row if they stay readable there, else the source above, or all three stacked.
function fit() {
  if (!now) return;
  const width = place.clientWidth, gap = 52, cols = now.shapes.map(([, c]) => c), [a, b, c] = cols;
  const size = (...rows) => Math.min(84, ...rows.map((row) => (width - gap * (row.length - 1)) / row.reduce((x, y) => x + y, 0)));
  const options = [size(cols), size([a], [b, c]), size([a, b], [c]), size([a], [b], [c])];
  const most = Math.max(...options), best = options.findIndex((side) => side >= Math.min(44, most * 0.8));
  cell = Math.floor(options[best]);
  boards.forEach((grid) => { grid.svg.style.width = `${grid.cols * cell + 6}px`; });
  place.dataset.rows = ['one', 'top', 'bottom', 'stack'][best];
  if (data) show(bar.step());
}

function load() {
  if (!props.value) return;
  const same = now && JSON.stringify([now.kind, now.shapes, now.titles]) === JSON.stringify([props.value.kind, props.value.shapes, props.value.titles]);
  now = props.value;
  data = { ghost: unpack(now.ghost, Uint8Array), patches: unpack(now.patches, Int16Array), taps: now.shapes[1][0] * now.shapes[1][1] };
  for (const name of ['source', 'kernel', 'target', 'products', 'after']) data[name] = unpack(now[name], Float32Array);
  data.bounds = [Math.max(largest(data.source), now.kind === 'gather' ? largest(data.products) : 0), largest(data.kernel), largest(data.target)];
  if (!same) build();
  data.kernel.forEach((v, i) => boards[1].paint(i, v, data.bounds[1]));
  bar.load(now.labels);
}
new ResizeObserver(fit).observe(place);
watch('value', load);
load();
