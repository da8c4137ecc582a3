const table = element.querySelector('.picture-rows'), [head, body] = ['thead', 'tbody'].map((name) => table.querySelector(name));

function picture({ shape: [H, W, channels], data }, name) {
  const canvas = Object.assign(document.createElement('canvas'), { width: W, height: H });
  const bytes = unpack(data, Uint8Array), context = canvas.getContext('2d'), image = context.createImageData(W, H);
  for (let p = 0, from = 0; p < 4 * H * W; p += 4, from += channels) {
    image.data[p] = bytes[from];
    image.data[p + 1] = bytes[from + (channels === 3 ? 1 : 0)];
    image.data[p + 2] = bytes[from + (channels === 3 ? 2 : 0)];
    image.data[p + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', name);
  return canvas;
}

// A whole-number zoom that leaves room for the words; larger pictures are scaled down.
function fit() {
  const room = Math.min(144, 0.31 * table.clientWidth);
  body.querySelectorAll('canvas').forEach((canvas) => {
    const most = room / Math.max(canvas.width, canvas.height), zoom = most >= 1 ? Math.floor(most) : most;
    canvas.style.width = `${canvas.width * zoom}px`;
  });
}

function line(cells, tag) {
  const row = document.createElement('tr');
  row.append(...cells.map((content) => {
    const place = document.createElement(tag);
    place.append(content);
    return place;
  }));
  return row;
}

function show() {
  if (!props.value) return;
  const { heads, rows } = props.value;
  head.replaceChildren(line(heads, 'th'));
  body.replaceChildren(...rows.map((row) => line(row.map((one, i) => (typeof one === 'string' ? one : picture(one, `${heads[i]}, ${row[0]}`))), 'td')));
  fit();
}
new ResizeObserver(fit).observe(table);
watch('value', show);
show();
