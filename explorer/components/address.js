const button = element.querySelector('button');
button.addEventListener('click', async () => {
  const link = window.explorer.link(props.value);
  const copied = navigator.clipboard?.writeText(link) ?? Promise.reject();  // there is none where the page came by http
  const done = await copied.then(() => true, () => false);
  if (!done) window.prompt('The link to this screen', link);
  button.textContent = done ? 'Copied' : 'Copy link';
  setTimeout(() => (button.textContent = 'Copy link'), 1500);
});
watch('value', () => window.explorer.write(props.value));
window.explorer.reads(new URLSearchParams(props.value).get('tab'), () => trigger('input'));
