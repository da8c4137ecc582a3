// One move at a time; of those that come while it is under way the last one follows, and the others show nothing.
const panel = element.closest('[id^="tab-"]');
let running = null, waiting = null, era = 0;  // running: the move under way, and its era
const follows = (it) => {
  const go = waiting;
  waiting = null;
  go?.(it);
};
window.explorer.moves.set(NAME, {
  // call: which of the tab's; numbers: those of the pieces that take its outputs, 0 where Gradio does; sets: whether it
  // sets controls, too.
  async move({ call, numbers, sets }, values) {
    const mine = era;
    if (running?.era === mine) {
      if (running.sets && running.call !== call) return [];
      follows(false);
      if (!(await new Promise((go) => (waiting = go)))) return [];
    }
    running = { era: mine, call, sets };
    const held = [...panel.querySelectorAll('[data-held]')].flatMap((piece) => piece.dataset.held.split(' '));
    const shown = await server.move({ call, values, held });  // nothing if it failed: Gradio's client keeps the reason to itself
    if (mine !== era) return [];
    running = null;
    follows(true);
    const others = [];
    if (!shown) others[numbers.length - 1] = 'This move was not answered: the server is not there, or has too much to do. Move again.';
    // Pieces take their values here, what they are not given is left to Gradio: it searches the whole page for each.
    shown?.forEach((value, i) => explorer.give(numbers[i], value) || (others[i] = value));
    return others;
  },
  // A preset, an address or another view was chosen: it waits for no move, and what was moved before has no say any more.
  overtaken(values) {
    era += 1;
    follows(false);
    return values;
  },
});
