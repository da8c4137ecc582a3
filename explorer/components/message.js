// What cannot be done is said at the control that was moved last; after a preset or an address, under all controls, and
// where that place is out of sight, as in a lecture, at the edge of the window until it is put away or seen in its place.
const panel = element.closest('[id^="tab-"]'), note = Object.assign(document.createElement('p'), { className: 'message' });
note.setAttribute('role', 'alert');
let last = null;
const toast = Object.assign(document.createElement('div'), { className: 'toast', innerHTML: '<span></span><button type="button" aria-label="Put away">×</button>' });
const away = () => toast.remove();
toast.setAttribute('role', 'alert');
toast.lastChild.addEventListener('click', away);
document.addEventListener('keydown', ({ key }) => key === 'Escape' && away());
new IntersectionObserver((changes) => changes.at(-1).isIntersecting && away()).observe(element);
panel.addEventListener('addressed', () => (last = null));
// What may be wider than its place can be scrolled by keys too: the formula, and the Python once it is unfolded.
function reach() {
  for (const [wide, name] of [['.formula', 'Formula'], ['.code', 'Python']]) {
    const region = panel.querySelector(wide);
    if (region) Object.assign(region, { tabIndex: 0, role: 'group', ariaLabel: name });
  }
  return panel.querySelector('.formula');
}
const mounting = new MutationObserver(() => reach() && mounting.disconnect());
if (!reach()) mounting.observe(panel, { childList: true, subtree: true });
panel.addEventListener('click', () => setTimeout(reach, 100));
// Gradio names every radio button apart, and anew whenever it draws them: under one name the arrow keys go through all.
for (const kind of ['focusin', 'keydown']) panel.addEventListener(kind, () => {
  for (const radio of panel.querySelectorAll('.controls [type=radio]')) radio.name = radio.closest('[id]').id;
}, true);
for (const kind of ['input', 'click', 'keydown']) panel.addEventListener(kind, ({ target }) => {
  const control = target.closest(`[id^="${panel.id.slice(4)}-"]`);
  if (control || target.closest('.chips')) last = control?.matches('.run') ? null : control;
}, true);
// Enter in a line of text presses the button. Gradio's own Enter is a change too, which would end the run it has begun.
panel.addEventListener('keydown', (event) => {
  const start = panel.querySelector('.controls .run:has(.start)')?.clientHeight && panel.querySelector('.controls .start');
  if (event.key !== 'Enter' || event.isComposing || !event.target.matches('.controls textarea') || !start) return;
  event.preventDefault();
  event.stopPropagation();
  start.click();
}, true);
// A number out of its range becomes the nearest within it when it is left: then that one counts.
panel.addEventListener('blur', ({ target }) => {
  if (target.type !== 'number') return;
  if (target.value === '' || target.matches(':out-of-range') || note.parentElement?.contains(target)) {
    setTimeout(() => target.dispatchEvent(new Event('input', { bubbles: true })));
  }
}, true);
watch('value', () => {
  const there = Boolean(props.value && last?.clientHeight);
  note.innerHTML = props.value;
  element.style.display = there ? 'none' : '';
  if (there) last.append(note);
  else note.remove();
  away();
  if (props.value && !there) requestAnimationFrame(() => {
    const { top, bottom } = element.getBoundingClientRect();
    if (top >= 0 && bottom <= innerHeight && bottom > top) return;
    toast.firstChild.innerHTML = props.value;
    panel.append(toast);
  });
});
