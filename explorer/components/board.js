// Grids of numbers drawn as SVG, whose cells are touched only when they change. cell: CSS pixels a cell has on the screen.
const NS = 'http://www.w3.org/2000/svg', SIDE = 48;
let cell = 0;
const make = (parent, tag, attributes) => {
  const node = parent.appendChild(document.createElementNS(NS, tag));
  Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value));
  return node;
};

// Three digits that count; whole numbers whole.
const brief = (v) => (v !== 0 && Math.abs(v) < 0.001 ? digits(v)
  : String(Math.abs(v) < 1000 ? +v.toPrecision(3) : Math.round(v)).replace('-', '−'));

// In small cells the 0 before the point goes.
const tight = (text) => (cell < 52 ? text.replace(/^(−?)0\./, '$1.') : text);

// A grid of cells that are touched only when they change. look: '' | ghost | empty | product.
function board(parent, title, [rows, cols]) {
  const figure = parent.appendChild(document.createElement('figure'));
  const caption = figure.appendChild(document.createElement('figcaption'));
  caption.textContent = title;
  const svg = make(figure, 'svg', { viewBox: `-3 -3 ${cols * SIDE + 6} ${rows * SIDE + 6}`, class: 'cells', role: 'img', 'aria-label': title });
  const left = (i) => (i % cols) * SIDE, top = (i) => Math.floor(i / cols) * SIDE, drawn = [];
  svg.innerHTML = Array.from({ length: rows * cols }, (_, i) => `<g data-cell="${i}"><rect x="${left(i)}" y="${top(i)}" width="${SIDE}" height="${SIDE}"/>`
    + `<text x="${left(i) + SIDE / 2}" y="${top(i) + SIDE / 2}"></text></g>`).join('');
  const nodes = [...svg.children].map((group) => ({ group, box: group.firstChild, text: group.lastChild, note: null }));
  const [crosses, reach, edge, mark] = ['crosses', 'reach', 'mark-edge', 'mark'].map((name) => make(svg, 'path', { class: name }));
  const around = (indices) => indices.filter((i) => i >= 0).map((i) => `M${left(i)} ${top(i)}h${SIDE}v${SIDE}h${-SIDE}z`).join('');
  return {
    figure, svg, rows, cols,
    paint(i, value, bound, look = '', note = '') {
      const key = `${value}|${bound}|${look}|${note}|${cell}`;
      if (drawn[i] === key) return;
      drawn[i] = key;
      const { group, box, text } = nodes[i], { fill, ink } = diverging(value / bound), shown = look === 'empty' ? '' : tight(brief(value));
      const size = Math.min(12.5, 80 / note.length), room = note && cell * size >= 11.5 * SIDE;
      group.setAttribute('class', look.trim());
      box.setAttribute('fill', look === 'empty' ? 'transparent' : fill);
      text.setAttribute('fill', ink);
      text.setAttribute('font-size', Math.min(16, 78 / shown.length));
      text.setAttribute('dy', room ? 6 : 0);
      text.textContent = shown;
      if (!room) return nodes[i].note &&= void nodes[i].note.remove();
      const small = nodes[i].note ??= make(group, 'text', { x: left(i) + SIDE / 2, y: top(i) + 12, class: 'note' });
      small.setAttribute('fill', ink);
      small.setAttribute('font-size', size);
      small.textContent = note;
    },
    mark(indices) {
      const path = around(indices);
      edge.setAttribute('d', path);
      mark.setAttribute('d', path);
    },
    reach: (indices) => reach.setAttribute('d', around(indices)),
    cross(indices) {
      crosses.setAttribute('d', indices.map((i) => `M${left(i)} ${top(i)}l${SIDE} ${SIDE}m0 ${-SIDE}l${-SIDE} ${SIDE}`).join(''));
      caption.textContent = indices.length ? `${title}; no window reads what is crossed out` : title;
    },
  };
}
