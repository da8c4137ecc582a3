const root = element.querySelector('.player'), place = root.querySelector('.boards');
let now = null, data = null, boards = null, narrow = false;
const bar = transport(root, show), readout = root.querySelector('.transport-step');
const largest = (values) => values.reduce((most, v) => Math.max(most, Math.abs(v)), 1e-9);
const patch = (step) => Array.from(data.patches.subarray(step * data.taps, (step + 1) * data.taps));
const single = () => (now.kind === 'gather' ? boards[2] : boards[0]);
const spread = () => (now.kind === 'gather' ? boards[0] : boards[2]);

function show(step) {
  (now.kind === 'gather' ? slide : stamp)(step);
  single().mark([step]);
  spread().mark(patch(step));
  tell(step);
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

// Two players of one output, side by side: what one marks, the other frames in green.
const stage = element.closest('.stage');
const tell = (step) => stage?.dispatchEvent(new CustomEvent('cells-marked', { detail: { root, kind: now.kind, size: data.target.length, outputs: now.kind === 'gather' ? [step] : patch(step) } }));
stage?.addEventListener('cells-marked', ({ detail: { root: from, kind, size, outputs } }) => {
  if (!boards || from === root || kind === now.kind || size !== data.target.length) return;
  boards[2].reach(outputs);
  if (now.kind === 'scatter') boards[0].reach(now.labels.flatMap((_, step) => (patch(step).includes(outputs[0]) ? [step] : [])));
});

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
new ResizeObserver(() => { if (now && place.clientWidth) { fit(); show(bar.step()); } }).observe(place);
watch('value', load);
load();
