const root = element.querySelector('.looks'), words = root.querySelector('.looks-words'), says = root.querySelector('.looks-says');
const large = root.querySelector('.large'), layer = root.querySelector('.layer'), head = root.querySelector('.head'), bare = root.querySelector('.bare');
let now = null, pictures = null, maps = [], thumbs = [], token = 1, alone = false, pointed = null, places = '';
const bar = transport(root, show);
const percent = (v) => `${v >= 0.0995 ? Math.round(100 * v) : (100 * v).toFixed(1)} %`;

// The chosen layers, on the grid of the finest of them; head -1 is the mean of all.
const chosen = () => (layer.value === '' ? maps : [maps[+layer.value]]);
const side = () => Math.max(...chosen().map((map) => map.shape[2]));
function weight(step, row, col, word) {
  let sum = 0, count = 0;
  for (const { shape: [, heads, n, , many], data } of chosen()) {
    const y = Math.floor((row * n) / side()), x = Math.floor((col * n) / side());
    for (let h = head.value === '' ? 0 : +head.value; h < (head.value === '' ? heads : Math.min(heads, +head.value + 1)); h++) {
      sum += data[(((step * heads + h) * n + y) * n + x) * many + word];
      count++;
    }
  }
  return count ? sum / count / 65535 : 0;
}
function field(step, word) {
  const n = side(), values = new Float32Array(n * n);
  for (let i = 0; i < n * n; i++) values[i] = weight(step, Math.floor(i / n), i % n, word);
  return values;
}

// Light where the picture looks, darkness where it does not; or the map alone, from black to yellow.
function light(canvas, step, values) {
  const n = side(), most = Math.max(...values, 1e-6), [, H, W] = now.shape, bytes = new Uint8ClampedArray(H * W * 3);
  for (let y = 0, to = 0; y < H; y++) {
    for (let x = 0; x < W; x++) {
      const v = values[Math.floor((y * n) / H) * n + Math.floor((x * n) / W)] / most, lit = alone ? v : 0.1 + 0.9 * v;
      for (let k = 0; k < 3; k++, to++) bytes[to] = (alone ? [240, 228, 66][k] : pictures[step * bytes.length + to]) * lit;
    }
  }
  lay(canvas, bytes, [H, W]);
  return most;
}

function show(step) {
  const fields = now.tokens.map((_, word) => field(step, word));
  const shares = fields.map((values) => values.reduce((a, b) => a + b, 0) / values.length);
  thumbs.forEach(({ canvas, share, button }, word) => {
    light(canvas, step, fields[word]);
    share.textContent = percent(shares[word]);
    button.setAttribute('aria-pressed', word === token);
  });
  const most = light(large, step, fields[token]);
  large.setAttribute('aria-label', `Where the picture looks at “${now.tokens[token]}”`);
  if (pointed) {
    const [row, col] = pointed.map((v) => Math.min(side() - 1, Math.floor(v * side())));
    const all = now.tokens.map((text, word) => [text, weight(step, row, col, word)]);
    const sum = all.reduce((a, [, v]) => a + v, 0), first = all.toSorted((a, b) => b[1] - a[1]).slice(0, 6);
    says.textContent = `Row ${row}, column ${col} looks at ${first.map(([text, v]) => `${text} ${percent(v)}`).join(', ')}${all.length > 6 ? ' …' : ''}; all together ${(100 * sum).toFixed(1)} %.`;
  } else {
    says.textContent = `“${now.tokens[token]}” draws ${percent(shares[token])} of all looks here; the brightest place gives it ${percent(most)} of its own. Each map is lit to its own brightest place. Point at the picture to read a place.`;
  }
}

// Whole-number zooms for the large picture and the small ones.
function fit() {
  if (!now || !root.clientWidth) return;
  const narrow = root.clientWidth < 720, [, H, W] = now.shape;
  enlarge(large, [H, W], (narrow ? Math.min(384, root.clientWidth) : Math.min(448, 0.52 * root.clientWidth)) / Math.max(H, W));
  for (const { canvas } of thumbs) enlarge(canvas, [H, W], (narrow || now.tokens.length > 16 ? 64 : 128) / Math.max(H, W));
}

function options(select, names, all) {
  const before = select.value;
  select.replaceChildren(new Option(all, ''), ...names.map((name, i) => new Option(name, i)));
  select.value = names[+before] === undefined ? '' : before;
}

function build() {
  thumbs = now.tokens.map((text, word) => {
    const item = document.createElement('li');
    item.innerHTML = '<button type="button"><canvas></canvas><b></b><small></small></button>';
    const button = item.firstChild;
    button.querySelector('b').textContent = text;
    button.title = text;
    button.addEventListener('click', () => { token = word; bar.go(bar.step()); });
    return { item, button, canvas: item.querySelector('canvas'), share: item.querySelector('small') };
  });
  words.replaceChildren(...thumbs.map(({ item }) => item));
  options(layer, now.maps.map(({ name }) => name), 'all, averaged');
  options(head, Array.from({ length: Math.max(...now.maps.map(({ shape }) => shape[1])) }, (_, i) => `${i + 1}`), 'all, averaged');
  head.disabled = head.options.length < 3;
}

function load() {
  if (!props.value?.maps) return;
  now = { ...props.value };
  pictures = unpack(now.pictures, Uint8Array);
  maps = now.maps.map((map) => ({ ...map, data: unpack(map.data, Uint16Array) }));
  const made = JSON.stringify([now.tokens, now.maps.map(({ name, shape }) => [name, shape.slice(1)])]);
  if (made !== places) {
    places = made;
    token = Math.min(now.at, now.tokens.length - 1);
    build();
  }
  bar.load(now.labels, now.labels.length - 1);
  fit();
}

for (const select of [layer, head]) select.addEventListener('keydown', (event) => event.stopPropagation());  // its keys are its own
const again = () => now && bar.go(bar.step());
layer.addEventListener('change', again);
head.addEventListener('change', again);
bare.addEventListener('click', () => { alone = !alone; bare.textContent = alone ? 'over the picture' : 'map alone'; again(); });
for (const kind of ['pointerdown', 'pointermove']) large.addEventListener(kind, (event) => {
  const box = large.getBoundingClientRect();
  pointed = [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width].map((v) => Math.max(0, Math.min(0.999, v)));
  again();
});
large.addEventListener('pointerleave', () => { pointed = null; again(); });
new ResizeObserver(fit).observe(root);
watch('value', load);
load();
