// One move at a time; of those that come while it is under way the last one follows, and the others show nothing.
const panel = element.closest('[id^="tab-"]');
let running = null, waiting = null, era = 0, views = 0;  // running: the move under way, and its era; views: choices unanswered
const controls = FIRST;  // their values, as the last answer has set them, and as they were moved since
const put = (values) => controls.forEach((_, i) => values[i]?.__type__ === 'update' || (controls[i] = values[i]));
const follows = (it) => {
  const go = waiting?.go;
  waiting = null;
  go?.(it);
};
// Moves made before controls have been set are of what they then no longer say; but for those of the very same control.
const stale = (one, call) => one?.sets && one.call !== call;
window.explorer.moves.set(NAME, {
  // call: which of the tab's; numbers: those of the pieces that take its outputs, 0 where Gradio does; sets: whether it
  // sets controls, too; field: which of the controls has moved, or null.
  async move({ call, numbers, sets, field }, values) {
    if (field !== null) {
      [controls[field]] = values;
      values = [...controls];
    }
    const mine = era;
    if (running?.era === mine) {
      if (stale(running, call) || stale(waiting, call)) return [];
      follows(false);
      if (!(await new Promise((go) => (waiting = { go, call, sets })))) return [];
    }
    running = { era: mine, call, sets };
    const held = [...panel.querySelectorAll('[data-held]')].flatMap((piece) => piece.dataset.held.split(' '));
    const shown = await server.move({ call, values, held });  // nothing if it failed: Gradio's client keeps the reason to itself
    if (mine !== era) return [];
    running = null;
    if (shown && sets) put(shown);
    follows(true);
    const others = [];
    if (!shown) others[numbers.length - 1] = 'This move was not answered: the server is not there, or has too much to do. Move again.';
    // Pieces take their values here, what they are not given is left to Gradio: it searches the whole page for each.
    shown?.forEach((value, i) => explorer.give(numbers[i], value) || (others[i] = value));
    return others;
  },
  // What the controls say that Gradio has set.
  put,
  // A preset, an address or another view was chosen: it waits for no move, and what was moved before has no say any more.
  overtaken(values) {
    era += 1;
    follows(false);
    return values;
  },
  // The same of another view, which sets no controls: what is moved before it is answered waits for `answered`, or it would
  // be shown first, and then what was chosen before it.
  chosen(values) {
    put(values);
    this.overtaken();
    views += 1;  // Gradio's list tells a choice twice: when it is made, and when the list is left
    running = { era, view: true };
    return values;
  },
  answered() {
    views -= 1;
    if (views || !running?.view) return;
    running = null;
    follows(true);
  },
  // The same of one that goes Gradio's way and sets controls, until it is answered: `set` is called then.
  setting(values) {
    this.overtaken();
    running = { era, sets: true };
    return values;
  },
  set(values) {
    put(values);
    if (running?.sets && running.call === undefined) running = null;
    follows(true);
  },
});
