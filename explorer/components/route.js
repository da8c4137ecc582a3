const list = element.querySelector('.route ol'), caption = element.querySelector('.route-caption');
const brief = (share) => `${share >= 99.95 ? 100 : +share.toFixed(share < 10 ? 1 : 0)} %`;
function show() {
  if (!props.value) return;
  const { steps, end } = props.value, walked = steps.filter((step) => step[2]).length;
  const many = steps.length > 50;
  caption.textContent = `${steps.length} ${steps.length === 1 ? 'step' : 'steps'} planned: ${steps.length - walked} left out, ${walked} walked`;
  list.className = many ? 'many' : '';
  list.replaceChildren(...steps.map(([t, share, on], i) => {
    const item = document.createElement('li'), words = `step ${i + 1}, from t = ${t}, ${brief(share)} noise: ${on ? 'walked' : 'left out'}`;
    item.className = on ? 'on' : 'off';
    item.style.setProperty('--share', share / 100);
    item.title = words;
    item.setAttribute('aria-label', words);
    if (!many) item.innerHTML = `<b>${t}</b><small>${brief(share)}</small>`;
    return item;
  }), Object.assign(document.createElement('li'), { className: 'end', innerHTML: many ? '' : `<b>${end}</b><small>picture</small>`, title: `t = ${end}: the picture` }));
}
watch('value', show);
show();
