element.querySelector('button').addEventListener('click', () => {
  if (!props.value) return;
  const file = new Blob([props.value], { type: 'application/x-ipynb+json' });
  const anchor = Object.assign(document.createElement('a'), { href: URL.createObjectURL(file), download: `${NAME}.ipynb` });
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 10_000);
  element.querySelector('.saved').textContent = `saved as ${NAME}.ipynb`;
});
