const list = element.querySelector('.tokens'), link = element.querySelector('.download');
const TITLES = { mark: 'start or end mark', known: 'known to the model', unknown: 'never seen in training', cut: 'cut: a prompt has 77 tokens at most' };
function show() {
  const { tokens, png, name } = props.value?.tokens ? props.value : { tokens: [], png: null, name: '' };
  list.replaceChildren(...tokens.map(([text, kind]) => {
    const item = document.createElement('li');
    item.className = kind;
    item.textContent = text;
    item.title = TITLES[kind];
    if (kind === 'unknown' || kind === 'cut') {
      const note = item.appendChild(document.createElement('small'));
      note.textContent = kind;
    }
    return item;
  }));
  link.setAttribute('aria-disabled', !png);
  if (png) {
    link.href = `data:image/png;base64,${png}`;
    link.download = name;
  } else link.removeAttribute('href');
}
watch('value', show);
show();
