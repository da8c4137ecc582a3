// A picture of one's own: chosen by the button `.wide`, read and reduced by the server's `reduce`, given to `take`, which
// says what it became; or dropped on `zone`. What is wrong with a file is told, and nothing changes.
function upload(root, asked, take, zone = root) {
  const file = root.querySelector('[type=file]'), message = root.querySelector('.told');
  const tell = (text, wrong = false) => {
    message.textContent = text;
    message.classList.toggle('wrong', wrong);
  };
  root.querySelector('.wide').addEventListener('click', () => file.click());
  file.addEventListener('change', () => {
    const chosen = file.files[0];
    file.value = '';
    if (chosen) read(chosen);
  });
  const over = (event) => {
    if (!event.dataTransfer?.types.includes('Files')) return;
    event.preventDefault();
    zone.classList.toggle('drop', event.type === 'dragover');
    if (event.type === 'drop' && event.dataTransfer.files[0]) read(event.dataTransfer.files[0]);
  };
  for (const kind of ['dragover', 'dragleave', 'drop']) zone.addEventListener(kind, over);
  let turns = 0;
  async function read(chosen) {
    const turn = ++turns;
    if (chosen.size > BYTES) return tell(`a picture may have at most ${BYTES / 1e6} MB, this file has ${(chosen.size / 1e6).toFixed(1)}: save it smaller`, true);
    tell(`reading ${chosen.name} …`);
    const url = await new Promise((done) => {
      const reader = new FileReader();
      reader.onload = () => done(reader.result);
      reader.onerror = () => done(null);  // a folder that was dropped, or a file that has gone
      reader.readAsDataURL(chosen);
    });
    if (turn !== turns) return;
    if (url === null) return tell(`${chosen.name} cannot be read`, true);
    const sent = await server.reduce({ file: url.slice(url.indexOf(',') + 1), ...asked() });  // nothing if it failed
    if (turn !== turns) return;
    const answer = sent ?? { error: 'the picture did not reach the server; try again' };
    if (answer.error) tell(answer.error, true);
    else tell(`${chosen.name} ${take(answer)}${answer.note ? '; ' + answer.note : ''}`);
  }
  return tell;
}
