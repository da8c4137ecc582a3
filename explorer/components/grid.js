const place = root.querySelector('.grid-cells');

function build() {
  place.style.setProperty('--columns', rows[0].length);
  place.replaceChildren(...rows.flatMap((row, i) => row.map((value, j) => {
    const cell = Object.assign(document.createElement('input'), { type: 'text', inputMode: 'decimal', value: String(+value.toFixed(4)) });
    const where = `row ${i + 1}, column ${j + 1}`;
    cell.setAttribute('aria-label', where);
    cell.addEventListener('input', () => {
      const number = read(cell.value, where);
      if (number === null) return cell.setAttribute('aria-invalid', true);
      cell.removeAttribute('aria-invalid');
      if (!place.querySelector('[aria-invalid]')) tell('');
      rows[i][j] = number;
      send();
    });
    cell.addEventListener('keydown', (event) => {
      const by = { ArrowUp: -rows[0].length, ArrowDown: rows[0].length }[event.key];
      if (by) { event.preventDefault(); place.children[i * rows[0].length + j + by]?.focus(); }
    });
    return cell;
  })));
}
function paint() {}  // what is typed stands there already
watch('value', load);
load();
