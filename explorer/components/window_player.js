let boards = null, narrow = false;
const sizes = () => ['source', 'kernel', 'target'].map((name) => now.shapes[name]);
const single = () => (now.kind === 'gather' ? boards[2] : boards[0]);
const spread = () => (now.kind === 'gather' ? boards[0] : boards[2]);

function show(step) {
  (now.kind === 'gather' ? slide : stamp)(step);
  data.kernel.forEach((v, i) => boards[1].paint(i, v, data.bound));
  single().mark([step]);
  spread().mark(patch(step));
  tell(step);
  explorer.say(caption, now.labels[step]);
  explorer.say(readout, `${narrow ? '' : 'step '}${step + 1} / ${now.labels.length}`);
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
  if (now.kind === 'scatter') boards[0].reach(steps(outputs[0]));
});

// A slider moves among few sizes: the boards of those stay, with what is drawn on them.
let made = new Map();
function build(anew) {
  if (anew || made.size > 20) made = new Map();
  place.replaceChildren();
  boards = now.titles.map((title, i) => {
    const sign = (now.kind === 'gather' ? ['⋆', '='] : ['×', '→'])[i - 1];
    if (i) place.appendChild(Object.assign(document.createElement('span'), { className: sign === '⋆' ? 'sign star' : 'sign', textContent: sign }));
    const key = [now.kind, i, title, ...sizes()[i]].join(), known = made.get(key) ?? listening(board(place, title, sizes()[i]), i);
    made.set(key, known);
    place.appendChild(known.figure);
    known.reach([]);
    known.point([]);
    return known;
  });
  fit();
}
function listening(one, i) {
  const [alone, many] = now.kind === 'gather' ? [2, 0] : [0, 2];
  if (i === alone) pick(one);
  if (i === many) {
    const over = (at) => { single().reach(steps(at)); explorer.say(caption, told(at)); };
    const away = () => { single().reach([]); explorer.say(caption, now.labels[bar.step()]); };
    pointed(one, over, away);
    pointedByKeys(one, over, away, () => caption.textContent);
  }
  return one;
}
// The steps whose patch has a cell in it, and what that means.
const steps = (at) => now.labels.flatMap((_, step) => (patch(step).includes(at) ? [step] : []));
function told(at) {
  const place = (grid, i) => `[${Math.floor(i / grid.cols)}, ${i % grid.cols}]`, all = steps(at), { length } = all;
  const ends = [...new Set([all[0], all.at(-1)])].map((step) => place(single(), step)).join(' to ');
  if (now.kind === 'gather') return `${now.titles[0]} ${place(spread(), at)}: ${length ? `in ${counted(length, 'window')}, of output${ends}` : 'no window reads it'}`;
  return `output${place(spread(), at)}: ${length ? `the sum of ${counted(length, 'stamp')}, of input${ends}` : 'no stamp reaches it'}`;
}
const counted = (n, what) => `${n} ${what}${n === 1 ? '' : 's'}`;

// All cells of one size, in one row if they stay readable there; else the source above, or the output below, or all stacked.
function fit() {
  const [a, b, c] = [0, 1, 2], tall = 640, edge = 6, gap = 52;
  const side = (lines) => Math.min(84,
    ...lines.map((line) => (wide - gap * (line.length - 1) - edge * line.length) / line.reduce((sum, i) => sum + sizes()[i][1], 0)),
    tall / lines.reduce((sum, line) => sum + Math.max(...line.map((i) => sizes()[i][0])), 0));
  const sides = [[[a, b, c]], [[a], [b, c]], [[a, b], [c]], [[a], [b], [c]]].map(side), most = Math.max(...sides);
  const best = sides.findIndex((px) => px >= Math.min(36, most));
  place.dataset.rows = ['one', 'top', 'bottom', 'stack'][best];
  cell = Math.floor(sides[best]);
  narrow = wide < 400;
  boards.forEach((grid) => { grid.svg.style.width = `${grid.cols * cell + 6}px`; });
}

const readFrom = () => (now.kind === 'gather' ? [boards[0]] : []);
load();
