const root = element.querySelector('.token-grid'), [kept, lost] = root.querySelectorAll('.places'), title = root.querySelector('.cut-title');
const MEANS = { mark: 'a mark', known: 'known to the model', unknown: 'never seen in training', padding: 'nothing stands here', cut: 'cut: it did not fit' };
const MOST = 60;  // cut words shown; of the others only their number

function item({ number, id, text, kind }) {
  const place = document.createElement('li');
  place.className = kind;
  place.title = `${number < 0 ? 'no place' : `place ${number}`}: ${text || '(nothing)'}, id ${id}, ${MEANS[kind]}`;
  for (const [name, content] of [['number', number < 0 ? '' : number], ['text', text || '·'], ['id', id]]) {
    place.appendChild(Object.assign(document.createElement('span'), { className: name, textContent: content }));
  }
  return place;
}

function show() {
  if (!props.value) return;
  const cut = props.value.filter(({ kind }) => kind === 'cut');
  kept.replaceChildren(...props.value.filter(({ kind }) => kind !== 'cut').map(item));
  lost.replaceChildren(...cut.slice(0, MOST).map(item));
  lost.hidden = title.hidden = !cut.length;
  title.textContent = `Cut from the end of the prompt: ${cut.length} token${cut.length > 1 ? 's' : ''}${cut.length > MOST ? `, of which the first ${MOST} are` : ''}`;
}
watch('value', show);
show();
