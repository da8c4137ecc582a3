const button = element.querySelector('button');
button.addEventListener('click', async () => {
  const link = window.explorer.link(props.value);
  const copied = navigator.clipboard?.writeText(link) ?? Promise.reject();  // there is none where the page came by http
  const done = await copied.then(() => true, () => false);
  if (!done) window.prompt('The link to this screen', link);
  button.textContent = done ? 'Copied' : 'Copy link';
  setTimeout(() => (button.textContent = 'Copy link'), 1500);
});
// To all of a tab that comes into view for the first time Gradio gives its first value again when the next frame is drawn
// (of a page in the background, when it is looked at), and what was answered before that would be lost. So this value is
// put aside, and when it is back the tab is read.
const name = new URLSearchParams(props.value).get('tab');
let stands = false;
props.value = '';
watch('value', () => {
  if (stands) return window.explorer.write(props.value);
  stands = true;
  window.explorer.reads(name, () => trigger('input'));
});
