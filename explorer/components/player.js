const root = element.querySelector('.player'), panels = root.querySelector('.panels');
let now = null, data = null, draws = [];
const bar = transport(root, show);

const modes = document.createElement('button');
modes.type = 'button';
modes.className = 'transport-speed pixel-mode';
smoothing(modes, root);
root.querySelector('.transport').insertBefore(modes, root.querySelector('.transport-label'));
const save = document.createElement('button'), wrong = Object.assign(document.createElement('p'), { className: 'message' });
if (SAVES) {
  wrong.setAttribute('role', 'alert');
  root.append(wrong);
  Object.assign(save, { type: 'button', className: 'transport-speed gif-save', textContent: 'GIF', title: 'Save all steps as a GIF' });
  save.setAttribute('aria-label', save.title);
  save.addEventListener('click', animate);
  modes.after(save);
}
// All steps, or every second, third … of a walk too long to send; the last one always.
async function animate() {
  const [count, ...rest] = now.shape.with(0, now.labels.length), size = rest.reduce((a, b) => a * b);
  const by = Math.ceil((count * size) / BYTES), chosen = [];
  for (let i = count - 1; i >= 0; i -= by) chosen.unshift(i);
  const bytes = new Uint8Array(chosen.length * size);
  chosen.forEach((step, i) => bytes.set(data.subarray(step * size, (step + 1) * size), i * size));
  let text = '';
  for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  save.disabled = true;
  save.textContent = '…';
  explorer.say(wrong, '');
  const asked = { shape: [chosen.length, ...rest], data: btoa(text) };
  const answer = (await server.animate(asked)) ?? { error: 'the pictures did not reach the server; try again' };
  save.disabled = false;
  save.textContent = 'GIF';
  if (answer.error) return explorer.say(wrong, answer.error);
  const link = Object.assign(document.createElement('a'), { href: `data:image/gif;base64,${answer.file}`, download: `${SAVES}.gif` });
  link.click();
}
function dress() {
  save.hidden = !now || now.kind !== 'pixels' || now.labels.length < 2;
  modes.hidden = !now || now.kind !== 'pixels';
}

// Pixels at a whole-number zoom; a picture larger than its place is scaled down.
function fit() {
  if (!now || now.kind !== 'pixels') return;
  const [, count, H, W] = now.shape, gap = 24;
  // All in one row, in two rows, or on a phone two beside each other.
  const columns = [count, Math.ceil(count / 2)].find((n) => panels.clientWidth >= n * 150) ?? Math.min(2, count);
  panels.style.setProperty('--columns', columns);
  const width = (panels.clientWidth - gap * (columns - 1)) / columns;
  const most = Math.min(width / W, Math.max(explorer.room(element, HEIGHT) - 40, 120) / H);
  panels.querySelectorAll('canvas').forEach((canvas) => enlarge(canvas, [H, W], most));
}

function build() {
  const [, , H, W] = now.shape;
  panels.replaceChildren();
  panels.classList.toggle('pixels', now.kind === 'pixels');
  draws = now.titles.map((title) => {
    const panel = panels.appendChild(document.createElement('figure'));
    panel.innerHTML = '<figcaption></figcaption><div class="picture"></div>';
    panel.querySelector('figcaption').textContent = title;
    const place = panel.querySelector('.picture');
    if (now.kind === 'cells') {
      const draw = cells(place, H, W);
      return (offset) => draw(data.subarray(offset, offset + H * W), now.range);
    }
    const canvas = place.appendChild(document.createElement('canvas'));
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', title);
    return (offset) => lay(canvas, data, now.shape.slice(2), offset);
  });
  fit();
}

function show(step) {
  const [, count, H, W, channels] = now.shape, size = H * W * channels;
  draws.forEach((draw, panel) => draw((step * count + panel) * size));
}

// The steps as they came last, but for the one that moves; their hash is told with every move, and they do not come again.
let rest = { hash: null, data: null };
function whole(value, sent, size) {
  if (!value.rest) return sent;
  const from = value.moving * size, count = value.shape[0] * size;
  if (sent.length < count) {
    if (rest.hash !== value.rest) return null;
    if (value.moving === null) return rest.data;
    const all = new sent.constructor(count);
    all.set(rest.data.subarray(0, from));
    all.set(sent, from);
    all.set(rest.data.subarray(from), from + size);
    return all;
  }
  let others = sent;
  if (value.moving !== null) {
    others = new sent.constructor(count - size);
    others.set(sent.subarray(0, from));
    others.set(sent.subarray(from + size), from);
  }
  rest = { hash: value.rest, data: others };
  root.dataset.held = rest.hash;
  return sent;
}

function load() {
  if (!props.value) return;
  const value = JSON.parse(props.value), size = value.shape.slice(1).reduce((a, b) => a * b);
  const Kind = value.kind === 'pixels' ? Uint8Array : Float32Array, fresh = whole(value, unpack(value.data, Kind), size);
  if (!fresh) return;  // its others have been replaced meanwhile: what replaced them is newer
  const shape = (v) => JSON.stringify([v?.kind, v?.shape.slice(1), v?.titles]);
  const same = shape(value) === shape(now), before = now;
  now = value;
  const kept = Math.min(now.start, same ? before.labels.length : 0);
  if (kept) {
    now.labels = [...before.labels.slice(0, kept), ...now.labels];
    const joined = new Kind(now.labels.length * size);
    joined.set(data.subarray(0, kept * size));
    joined.set(fresh, kept * size);
    data = joined;
  } else data = fresh;
  if (!same) build();
  explorer.say(wrong, '');
  dress();
  bar.load(now.labels, now.at);
}
// A picture that the page has kept, in place of what the server sent.
root.addEventListener('picture', ({ detail }) => {
  props.value = JSON.stringify(detail);
  load();
});
new ResizeObserver(fit).observe(panels);
element.closest('.stage > .piece')?.addEventListener('fit', fit);
watch('value', load);
dress();
load();
