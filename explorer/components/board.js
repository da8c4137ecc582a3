// Grids of numbers whose cells are touched only when they change: SVG, or a canvas where there are many, which the page
// would take long to build as elements. cell: CSS pixels a cell has on the screen.
const SIDE = 48, EDGE = 3, MANY = 48;
let cell = 0;

// Three digits that count; whole numbers whole.
const brief = (v) => (v !== 0 && Math.abs(v) < 0.001 ? digits(v)
  : String(Math.abs(v) < 1000 ? +v.toPrecision(3) : Math.round(v)).replace('-', '−'));

// In small cells the 0 before the point goes.
const tight = (text) => (cell < 52 ? text.replace(/^(−?)0\./, '$1.') : text);

// look, of a cell: '' | ghost | empty | product.
function board(parent, title, [rows, cols]) {
  const figure = parent.appendChild(document.createElement('figure'));
  const caption = figure.appendChild(document.createElement('figcaption'));
  caption.textContent = title;
  const sheet = figure.appendChild(Object.assign(document.createElement('div'), { className: 'sheet-of-cells' }));
  const svg = make(sheet, 'svg', { viewBox: `${-EDGE} ${-EDGE} ${cols * SIDE + 2 * EDGE} ${rows * SIDE + 2 * EDGE}`, class: 'cells', role: 'img', 'aria-label': title });
  // Type as large as the plots', in small cells as large as they have room for.
  const type = parseFloat(getComputedStyle(parent).getPropertyValue('--plot-size'));
  const sized = (text) => Math.min(Math.max(16, (type * SIDE) / cell), 34, 88 / text.length);
  const left = (i) => (i % cols) * SIDE, top = (i) => Math.floor(i / cols) * SIDE;
  const put = (rows * cols > MANY ? onCanvas : asElements)({ sheet, svg, rows, cols, left, top }), drawn = [];
  const [crosses, reach, edge, mark, cursor] = ['crosses', 'reach', 'mark-edge', 'mark', 'cursor'].map((name) => make(svg, 'path', { class: name }));
  const around = (indices) => indices.filter((i) => i >= 0).map((i) => `M${left(i)} ${top(i)}h${SIDE}v${SIDE}h${-SIDE}z`).join('');
  return {
    figure, svg, rows, cols,
    paint(i, value, bound, look = '', note = '') {
      const was = drawn[i];
      if (was && was.value === value && was.bound === bound && was.look === look && was.note === note && was.cell === cell) return;
      drawn[i] = { value, bound, look, note, cell };
      const { fill, ink } = diverging(value / bound), shown = look === 'empty' ? '' : tight(brief(value));
      const small = Math.min(12.5, 80 / note.length), room = note && cell * small >= 11.5 * SIDE;
      put(i, { look: look.trim(), fill, ink, shown, size: sized(shown), note: room ? note : '', small });
    },
    mark(indices) {
      const path = around(indices);
      edge.setAttribute('d', path);
      mark.setAttribute('d', path);
    },
    reach: (indices) => reach.setAttribute('d', around(indices)),
    point: (indices) => cursor.setAttribute('d', around(indices)),
    cross(indices) {
      crosses.setAttribute('d', indices.map((i) => `M${left(i)} ${top(i)}l${SIDE} ${SIDE}m0 ${-SIDE}l${-SIDE} ${SIDE}`).join(''));
      caption.textContent = indices.length ? `${title}; no window reads what is crossed out` : title;
    },
    // The cell that is pointed at.
    at({ clientX, clientY }) {
      const box = svg.getBoundingClientRect(), unit = (cols * SIDE + 2 * EDGE) / box.width;
      const [x, y] = [clientX - box.left, clientY - box.top].map((px) => Math.floor((px * unit - EDGE) / SIDE));
      return x >= 0 && y >= 0 && x < cols && y < rows ? y * cols + x : undefined;
    },
  };
}

function asElements({ svg, rows, cols, left, top }) {
  svg.innerHTML = Array.from({ length: rows * cols }, (_, i) => `<g data-cell="${i}"><rect x="${left(i)}" y="${top(i)}" width="${SIDE}" height="${SIDE}"/>`
    + `<text x="${left(i) + SIDE / 2}" y="${top(i) + SIDE / 2}"></text></g>`).join('');
  const nodes = [...svg.children].map((group) => ({ group, box: group.firstChild, text: group.lastChild, note: null }));
  return (i, { look, fill, ink, shown, size, note, small }) => {
    const { group, box, text } = nodes[i];
    group.setAttribute('class', look);
    box.setAttribute('fill', look === 'empty' ? 'transparent' : fill);
    text.setAttribute('fill', ink);
    text.setAttribute('font-size', size);
    text.setAttribute('dy', note ? 6 : 0);
    text.textContent = shown;
    if (!note) return nodes[i].note &&= void nodes[i].note.remove();
    const extra = nodes[i].note ??= make(group, 'text', { x: left(i) + SIDE / 2, y: top(i) + 12, class: 'note' });
    extra.setAttribute('fill', ink);
    extra.setAttribute('font-size', small);
    extra.textContent = note;
  };
}

// The same cells under the SVG, which keeps the frames around some of them.
function onCanvas({ sheet, svg, rows, cols, left, top }) {
  const canvas = document.createElement('canvas'), c = canvas.getContext('2d');
  canvas.setAttribute('aria-hidden', 'true');
  sheet.insertBefore(canvas, svg);
  let fitted = 0, font = '', written = 0, dashed = null;
  function fit() {
    fitted = cell;
    const unit = ((cols * cell + 2 * EDGE) / (cols * SIDE + 2 * EDGE)) * devicePixelRatio, style = getComputedStyle(sheet);
    canvas.width = Math.round((cols * SIDE + 2 * EDGE) * unit);
    canvas.height = Math.round((rows * SIDE + 2 * EDGE) * unit);
    c.setTransform(unit, 0, 0, unit, EDGE * unit, EDGE * unit);
    font = style.getPropertyValue('--font');
    Object.assign(c, { textAlign: 'center', textBaseline: 'middle', strokeStyle: style.getPropertyValue('--line'), lineWidth: 1 });
    written = 0;
    dashed = null;
  }
  // A canvas reads fonts and dashes anew each time they are set.
  function dash(on) {
    if (on !== dashed) c.setLineDash(on ? [3, 3] : []);
    dashed = on;
  }
  function write(text, size, x, y, alpha) {
    if (size !== written) c.font = `${size}px ${font}`;
    written = size;
    c.globalAlpha = alpha;
    c.fillText(text, x + SIDE / 2, y);
    c.globalAlpha = 1;
  }
  return (i, { look, fill, ink, shown, size, note, small }) => {
    if (fitted !== cell) fit();
    const x = left(i), y = top(i), ghost = look.startsWith('ghost');
    c.clearRect(x - 0.5, y - 0.5, SIDE + 1, SIDE + 1);
    c.fillStyle = fill;
    if (look !== 'empty') c.fillRect(x, y, SIDE, SIDE);
    dash(ghost || look === 'empty');
    c.strokeRect(x, y, SIDE, SIDE);
    c.fillStyle = ink;
    if (shown) write(shown, size, x, y + SIDE / 2 + (note ? 6 : 0), ghost ? 0.7 : 1);
    if (note) write(note, small, x, y + 12, 0.85);
  };
}
