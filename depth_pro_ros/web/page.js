// Depth in metres under the cursor: reads the file that web/answers.py packs, follows the pointer over the picture.
(() => {
  const IDLE = "move the cursor over the picture to read the depth";
  let map = null; // {width, height, metres: Float32Array}
  let newest = 0;

  const readout = () => document.getElementById("depth_readout");

  function say(text, idle) {
    const line = readout();
    if (!line) return;
    line.textContent = text;
    line.classList.toggle("idle", idle);
  }

  // Takes Gradio's description of the file, or null when the result was cleared.
  async function show(file) {
    const turn = ++newest;
    map = null;
    say("", true);
    if (!file) return;
    const answer = await fetch(file.url);
    if (!answer.ok) return say(`the depth values could not be read (${answer.status})`, true);
    const bytes = await answer.arrayBuffer();
    if (turn !== newest) return; // a newer photo has come meanwhile
    const [width, height] = new Uint32Array(bytes, 0, 2);
    map = { width, height, metres: new Float32Array(bytes, 8, width * height) };
    say(IDLE, true);
  }

  // The part of an <img> element that the picture covers, which is smaller than the element when it is letterboxed.
  function covered(image) {
    const box = image.getBoundingClientRect();
    if (getComputedStyle(image).objectFit !== "contain" || !image.naturalWidth) return box;
    const scale = Math.min(box.width / image.naturalWidth, box.height / image.naturalHeight);
    const width = image.naturalWidth * scale;
    const height = image.naturalHeight * scale;
    return { left: box.left + (box.width - width) / 2, top: box.top + (box.height - height) / 2, width, height };
  }

  function metresAt(event) {
    const image = document.querySelector("#depth_view img");
    if (!map || !image) return undefined;
    const box = covered(image);
    const u = Math.floor(((event.clientX - box.left) / box.width) * map.width);
    const v = Math.floor(((event.clientY - box.top) / box.height) * map.height);
    if (u < 0 || v < 0 || u >= map.width || v >= map.height) return undefined;
    return map.metres[v * map.width + u];
  }

  function words(metres) {
    if (Number.isNaN(metres)) return "unknown";
    if (metres === Infinity) return "beyond the range";
    return `${metres.toFixed(metres < 10 ? 3 : 2)} m`;
  }

  document.addEventListener("pointermove", (event) => {
    if (!map || !event.target.closest) return;
    const metres = event.target.closest("#depth_view") ? metresAt(event) : undefined;
    if (metres === undefined) say(IDLE, true);
    else say(words(metres), false);
  });

  window.depthPro = { show };
})();
