// A grid of numbers as SVG: blue for negative, white for 0, vermilion for positive, the number written in each cell.
// cells(parent, rows, cols) -> draw(values, range, {marks, write, sizes}); marks: indices of cells to
// frame; write: a number as text; sizes: of the type, for up to five characters and for more.
function cells(parent, rows, cols) {
  const side = 48, places = Array.from({ length: rows * cols }, (_, i) => [(i % cols) * side, Math.floor(i / cols) * side]);
  parent.replaceChildren();
  const svg = make(parent, 'svg', { viewBox: `-1 -1 ${cols * side + 2} ${rows * side + 2}`, class: 'cells', role: 'img' });
  svg.style.maxWidth = `${cols * side + 2}px`;
  const boxes = places.map(([x, y]) => make(svg, 'rect', { x, y, width: side, height: side }));
  const texts = places.map(([x, y]) => make(svg, 'text', { x: x + side / 2, y: y + side / 2 }));
  return (values, [low, high], { marks = [], write = digits, sizes = [15, 12] } = {}) => {
    const bound = Math.max(Math.abs(low), Math.abs(high)) || 1, marked = new Set(marks);
    for (let i = 0; i < rows * cols; i++) {
      const { fill, ink } = diverging(values[i] / bound);
      boxes[i].setAttribute('fill', fill);
      boxes[i].setAttribute('class', marked.has(i) ? 'marked' : '');
      texts[i].setAttribute('fill', ink);
      texts[i].textContent = write(values[i]);
      texts[i].setAttribute('font-size', sizes[+(texts[i].textContent.length > 5)]);
    }
    svg.setAttribute('aria-label', `${rows} by ${cols} numbers`);
  };
}

// -1 blue #0072B2, 0 white, 1 vermilion #D55E00, with the ink that stays readable on it.
function diverging(t) {
  t = Math.max(-1, Math.min(1, Number.isFinite(t) ? t : 0));
  const end = t < 0 ? [0, 114, 178] : [213, 94, 0], a = Math.abs(t);
  const rgb = end.map((c) => Math.round(255 + (c - 255) * a));
  const [r, g, b] = rgb.map((c) => ((c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  const luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return { fill: `rgb(${rgb})`, ink: luminance > 0.179 ? '#111' : '#fff' };
}

// Sensible digits: 0.375, 12, -0.5, 1.2e-5.
function digits(v) {
  if (!Number.isFinite(v)) return '·';
  if (v !== 0 && (Math.abs(v) < 0.001 || Math.abs(v) >= 10000)) return v.toExponential(1).replace('-', '−');
  return String(+v.toFixed(Math.abs(v) >= 100 ? 1 : Math.abs(v) >= 10 ? 2 : 3)).replace('-', '−');
}
