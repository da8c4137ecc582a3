const place = element.querySelector('.lines');
function draw() {
  const next = place.cloneNode(false);
  next.innerHTML = props.value ?? '';
  become(place, next);
}
watch('value', draw);
draw();
