const root = element.querySelector('.result'), list = element.querySelector('.tokens'), link = element.querySelector('.download');
const files = element.querySelector('.files'), strip = element.querySelector('.made'), panel = element.closest('[id^="tab-"]');
const TITLES = { mark: 'start or end mark', known: 'known to the model', unknown: 'never seen in training', cut: 'cut: a prompt has 77 tokens at most' };
const address = ({ data }) => `data:image/png;base64,${data}`;
let made = [], at = null;  // the pictures of this visit, the newest first; nowhere but here

function show(value) {
  list.replaceChildren(...value.tokens.map(([text, kind]) => {
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
  const [first] = value.files, several = value.files.length > 1;
  link.setAttribute('aria-disabled', !first);
  link.hidden = several;
  if (first) Object.assign(link, { href: address(first), download: first.name });
  else link.removeAttribute('href');
  files.classList.toggle('smooth', value.full);
  files.replaceChildren(...(several || value.full ? value.files : []).map((file) => {
    const one = Object.assign(document.createElement('a'), { href: address(file), download: file.name, title: `Download ${file.name}` });
    one.appendChild(Object.assign(new Image(), { src: one.href, alt: file.name }));
    return one;
  }));
}

const key = ({ query, files }) => query || files[0].data;  // what began with a picture of one's own has no address
function keep(value) {
  if (!value.picture || !value.files.length) return;
  made = [value, ...made.filter((one) => key(one) !== key(value))].slice(0, MOST);
  at = key(value);
  paint();
}
function paint() {
  root.querySelector('.made-title').hidden = made.length < 2;
  strip.replaceChildren(...made.map((value) => {
    const item = document.createElement('li'), button = item.appendChild(document.createElement('button'));
    const { shape, data } = value.picture;
    button.type = 'button';
    button.title = value.title || 'no words';
    button.setAttribute('aria-label', `Back to ${button.title}`);
    button.setAttribute('aria-pressed', key(value) === at);
    lay(button.appendChild(document.createElement('canvas')), unpack(data, Uint8Array), shape.slice(2));
    button.addEventListener('click', () => back(value));
    return item;
  }));
}
// The picture at once, as it was kept; its settings by its address, which draws it again step by step.
function back(value) {
  at = key(value);
  paint();
  show(value);
  panel.querySelector('.player-piece .player')?.dispatchEvent(new CustomEvent('picture', { detail: value.picture }));
  if (value.query) window.explorer.go(value.query);
}

if (root.querySelector('.wide')) upload(root, () => ({}), (answer) => {
  window.explorer.go(answer.query);
  return 'opened';
}, panel.querySelector('.stage'));

const load = () => {
  if (!props.value?.tokens) return;
  show(props.value);
  keep(props.value);
};
watch('value', load);
load();
