// Rules, not marks on elements: they also hold for the controls and pieces that the page draws later.
const sheet = element.querySelector('style');
let shown = '';
function apply() {
  if (!props.value || JSON.stringify(props.value) === shown) return;  // most moves stay in one view
  shown = JSON.stringify(props.value);
  const { pieces, hidden } = props.value, tab = `#tab-${NAME}`;
  const gone = hidden.map((name) => name.startsWith('group-') ? `.${name}` : `#${NAME}-${name}`).join(', ') || '#nothing';
  const stays = pieces.map((name) => `#${NAME}-stage-${name}`).join(', ');
  sheet.textContent = `.views-piece, ${tab} .stage > .piece:not(${stays}), ${tab} .controls :is(${gone}),
    ${tab} .controls .form:not(:has(> .block:not(${gone}))) { display: none !important; }`;
  requestAnimationFrame(() => {
    window.dispatchEvent(new Event('resize'));  // a plot drawn while hidden takes its width
    for (const field of document.querySelectorAll(`${tab} .controls textarea`)) {  // and a text its lines
      if (field.scrollHeight > field.clientHeight) field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
    }
  });
}
watch('value', apply);
apply();
