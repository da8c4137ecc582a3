// What players of windows share: their numbers, the cells of each step, pointing at a cell to see its step.
// The player's own script has build(), which draws its boards anew, fit(), which sizes them,
// show(step), and readFrom(), the boards that windows read; it calls load().
const root = element.querySelector('.player'), place = root.querySelector('.boards');
const bar = transport(root, show), readout = root.querySelector('.transport-step'), caption = root.querySelector('.transport-label');
let now = null, data = {}, wide = 0;
const largest = (values) => values.reduce((most, v) => Math.max(most, Math.abs(v)), 1e-9);
const patch = (step) => Array.from(data.patches.subarray(step * data.taps, (step + 1) * data.taps));
// What is done with the cell of a board that is pointed at, once for each.
function pointed({ svg, at }, over, away) {
  let last;
  for (const kind of ['pointerdown', 'pointermove']) svg.addEventListener(kind, (event) => {
    const i = at(event);
    if (i !== undefined && i !== last) over(last = i);
  });
  svg.addEventListener('pointerleave', () => away(last = undefined));
}

// The same by keyboard: arrow keys go from cell to cell; Escape, or leaving the board, lets go. said: what over() told.
function pointedByKeys({ svg, rows, cols, point }, over, away, said) {
  let at = null;
  const name = svg.getAttribute('aria-label');
  svg.setAttribute('tabindex', 0);
  svg.setAttribute('role', 'application');
  function go(i) {
    at = i;
    point(i === null ? [] : [i]);
    if (i === null) away();
    else over(i);
    svg.setAttribute('aria-label', i === null ? name : said());
  }
  svg.addEventListener('keydown', (event) => {
    const way = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey || !(way || (event.key === 'Escape' && at !== null))) return;
    event.preventDefault();
    event.stopPropagation();  // the player's own arrows step
    if (!way) return go(null);
    const [row, col] = at === null ? [0, 0] : [Math.floor(at / cols) + way[0], (at % cols) + way[1]];
    go(Math.max(0, Math.min(rows - 1, row)) * cols + Math.max(0, Math.min(cols - 1, col)));
  });
  svg.addEventListener('blur', () => { if (at !== null) go(null); });
}

// Pointing at a cell of a board with one cell a step shows that step; a click stays there.
function pick(one) {
  one.svg.classList.add('pick');
  pointed(one, show, () => show(bar.step()));
  one.svg.addEventListener('click', (event) => { const i = one.at(event); if (i !== undefined) { bar.stop(); bar.go(i); } });
}
// The cells of a source that no window reads are crossed out, and its title says so.
function cross() {
  const read = new Set(data.patches);
  for (const one of readFrom()) one.cross(Array.from({ length: one.rows * one.cols }, (_, i) => i).filter((i) => !read.has(i)));
}
function load() {
  if (!props.value) return;
  const before = now, drawn = (v) => JSON.stringify([v?.kind, v?.shapes, v?.titles]);
  now = JSON.parse(props.value);
  for (const name of Object.keys(now.shapes)) data[name] = unpack(now[name], { ghost: Uint8Array, patches: Int16Array }[name] ?? Float32Array);
  data.taps = now.shapes.patches[1];
  data.bound = Math.max(...Object.values(data).filter((values) => values instanceof Float32Array).map(largest));
  wide = place.clientWidth;  // before anything is drawn: after it, the page would have to be laid out once more
  if (drawn(now) !== drawn(before)) build();
  cross();
  bar.load(now.labels);
}
new ResizeObserver(() => {
  if (!now || !place.clientWidth || place.clientWidth === wide) return;
  wide = place.clientWidth;
  fit();
  show(bar.step());
}).observe(place);
window.addEventListener('restyled', () => {  // boards take the page's colours and type when they are made
  if (!now) return;
  build(true);
  cross();
  show(bar.step());
});
watch('value', load);
