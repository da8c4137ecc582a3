// What pieces with pictures share: their bytes, whole pixels on the screen, and the button that smooths them.

// Base64 to a typed array.
function unpack(text, Kind) {
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return new Kind(bytes.buffer);
}

// Lays bytes, from the place `from` on, on a canvas that becomes as large: H x W pixels of one channel or three.
function lay(canvas, bytes, [H, W, channels = 3], from = 0) {
  Object.assign(canvas, { width: W, height: H });
  const context = canvas.getContext('2d'), image = context.createImageData(W, H), pixels = new Uint32Array(image.data.buffer);
  const [green, blue] = channels === 3 ? [1, 2] : [0, 0];  // a pixel is one number, its red in the lowest byte
  for (let p = 0; p < pixels.length; p++, from += channels) {
    pixels[p] = 0xff000000 | bytes[from + blue] << 16 | bytes[from + green] << 8 | bytes[from];
  }
  context.putImageData(image, 0, 0);
}

// A zoom of `most`, or the whole number below it; what has to be scaled down is.
const zoomed = (most) => (most >= 1 ? Math.floor(most) : most);
// Gives what shows H x W pixels its size at such a zoom, and tells the zoom.
function enlarge({ style }, [H, W], most) {
  const zoom = zoomed(most);
  Object.assign(style, { width: `${W * zoom}px`, height: `${H * zoom}px` });
  return zoom;
}

// A button that shows the pixels of `root` smooth, or crisp again.
function smoothing(button, root) {
  const tell = (smooth) => {
    button.textContent = smooth ? 'smooth' : 'crisp';
    button.setAttribute('aria-label', `Pixels drawn ${button.textContent}; press for the other`);
  };
  button.addEventListener('click', () => tell(root.classList.toggle('is-smooth')));
  tell(false);
}
