const bar = element.querySelector('.progress-bar'), text = element.querySelector('.progress-text');
function show() {
  const { done, total, doing, left } = props.value?.total ? props.value : { done: 0, total: 1, doing: '', left: null };
  bar.firstElementChild.style.width = `${(100 * done) / total}%`;
  bar.setAttribute('aria-valuenow', Math.round((100 * done) / total));
  text.textContent = left > 0 ? `${doing} · ${left < 10 ? left.toFixed(1) : Math.round(left)} s left` : doing;
}
watch('value', show);
show();
