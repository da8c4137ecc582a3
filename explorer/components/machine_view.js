const root = element.querySelector('.machine'), sheet = root.querySelector('.machine-sheet');
let now = null, drawn = [], made = '', counter = null;
const bar = transport(root, show);

// The view a box explains is chosen in the tab's own list, as a visitor would choose it: all other settings stay.
async function open(option) {
  const field = document.querySelector(`#${TAB}-view`), list = field?.querySelector('input');
  if (!list) return;
  list.focus();
  for (let tries = 0; tries < 40; tries++) {
    await new Promise(requestAnimationFrame);
    const item = [...field.querySelectorAll('[role=option]')].find((one) => one.getAttribute('aria-label') === option);
    if (!item) continue;
    item.dispatchEvent(new MouseEvent('mousedown', { bubbles: true, cancelable: true }));
    list.blur();
    document.querySelector(`#tab-${TAB}`)?.scrollIntoView({ block: 'start' });
    return;
  }
}

function build() {
  drawn = now.boxes.map((box) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = `machine-box ${box.name}`;
    button.style.gridArea = box.name;
    button.innerHTML = '<b></b><canvas role="img"></canvas><p class="said"></p><span class="shape"></span><span class="note"></span>';
    button.addEventListener('click', () => open(button.dataset.opens));
    return { button, canvas: button.querySelector('canvas'), note: button.querySelector('.note') };
  });
  counter = document.createElement('div');
  counter.className = 'machine-counter';
  counter.innerHTML = '<b></b><span>Press a box to open the view that explains it.</span>';
  sheet.replaceChildren(...drawn.map(({ button }) => button), counter);
}

function show(step) {
  now.boxes.forEach((box, i) => {
    const { canvas, note } = drawn[i];
    note.textContent = box.notes[Math.min(step, box.notes.length - 1)];
    if (!box.size) return;
    const [frames, H, W] = box.size;
    lay(canvas, box.bytes, [H, W], Math.min(step, frames - 1) * H * W * 3);
  });
  counter.querySelector('b').textContent = now.counter[step];
}

// Every tensor at a whole-number zoom that fills its box, or scaled down.
function fit() {
  drawn.forEach(({ button, canvas }, i) => {
    const [, ...shape] = now.boxes[i].size ?? [];
    if (shape.length && button.clientWidth) enlarge(canvas, shape, Math.min(160, button.clientWidth - 18) / Math.max(...shape));
  });
}

function load() {
  if (!props.value?.boxes) return;
  now = { ...props.value, boxes: props.value.boxes.map((box) => ({ ...box, bytes: box.data && unpack(box.data, Uint8Array) })) };
  const names = now.boxes.map(({ name }) => name).join();
  if (names !== made) {
    made = names;
    build();
  }
  now.boxes.forEach((box, i) => {
    const { button, canvas } = drawn[i], said = button.querySelector('.said');
    button.dataset.opens = box.opens;
    button.title = `Open “${box.opens}”`;
    button.querySelector('b').textContent = box.title;
    button.querySelector('.shape').textContent = box.shape;
    said.textContent = box.text;
    said.hidden = !box.text;
    canvas.hidden = !box.size;
    canvas.style.display = box.size ? '' : 'none';
    canvas.setAttribute('aria-label', `${box.title}, ${box.shape}`);
  });
  fit();
  bar.load(now.labels, now.labels.length - 1);
}
new ResizeObserver(fit).observe(root);
watch('value', load);
load();
