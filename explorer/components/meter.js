const root = element.querySelector('.meter');
const LOWEST = -3;  // the power of ten at the left end
const place = (share) => (share > 0 ? Math.max(0, Math.min(1, 1 - Math.log10(share) / LOWEST)) : 0);
const written = (v) => (v === 0 ? '0' : v < 0.001 ? v.toExponential(1).replace('-', '−') : String(+v.toPrecision(3)));

function show() {
  if (!props.value) return;
  root.replaceChildren();
  props.value.forEach(({ share, name, verdict, grave }) => {
    const row = root.appendChild(document.createElement('div'));
    row.className = `meter-row ${grave}`;
    row.innerHTML = '<div class="meter-name"></div><div class="meter-track"><div></div></div><div class="meter-verdict"></div>';
    row.querySelector('.meter-name').append(`${name} = `, Object.assign(document.createElement('b'), { textContent: written(share) }));
    row.querySelector('.meter-verdict').textContent = `${{ fine: '✓', careful: '!', wrong: '✗' }[grave]} ${verdict}`;
    const track = row.querySelector('.meter-track');
    track.firstChild.style.width = `${100 * place(share)}%`;
    for (const mark of MARKS) {
      const tick = track.appendChild(document.createElement('i'));
      tick.style.left = `${100 * place(mark)}%`;
      tick.dataset.at = mark;
    }
  });
}
watch('value', show);
show();
