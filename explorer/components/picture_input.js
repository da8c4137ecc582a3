const root = element.querySelector('.own-picture'), select = root.querySelector('select'), mine = select.querySelector('[value="data:"]');
let own = '', says = '';
const tell = upload(root, () => ({}), (answer) => {
  own = answer.picture;
  send(own);
  return (says = `as its middle square, ${answer.side} × ${answer.side} pixels`);
});

function show() {
  const owned = props.value.startsWith('data:');
  if (owned) own = props.value;
  else tell('');
  mine.hidden = !own;
  select.value = owned ? 'data:' : props.value;
}
function send(value) {
  props.value = value;
  show();
  trigger('input');
}
// The browser keeps the visitor's picture, so that one can come back to it from another.
select.addEventListener('change', () => {
  send(select.value === 'data:' ? own : select.value);
  tell(select.value === 'data:' ? says : '');
});
watch('value', show);
show();
