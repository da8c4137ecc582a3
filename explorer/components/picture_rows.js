const table = element.querySelector('.picture-rows'), [head, body] = ['thead', 'tbody'].map((name) => table.querySelector(name));

function picture({ shape, data }, name) {
  const canvas = document.createElement('canvas');
  lay(canvas, unpack(data, Uint8Array), shape);
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', name);
  return canvas;
}

// A whole-number zoom that leaves room for the words; larger pictures are scaled down.
function fit() {
  const room = Math.min(144, 0.31 * table.clientWidth);
  for (const canvas of body.querySelectorAll('canvas')) {
    const { width, height } = canvas;
    enlarge(canvas, [height, width], room / Math.max(width, height));
  }
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
