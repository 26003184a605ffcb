"use strict";
/* The samples of the page: filtered, shown in groups, and one of them large. Whatever comes from
   the data becomes text, never markup. */
const samples = JSON.parse(document.getElementById("samples").textContent);
const byId = (id) => document.getElementById(id);
const form = byId("filters"), groups = byId("groups"), found = byId("found"), dialog = byId("large");
const streams = { image: "image", alpha: "alpha", trimap: "trimap", crude_trimap: "crude trimap", errors: "error map" };
let shown = [], place = 0;

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function view(sample, stream) {
  const box = make("span", { className: "view" });
  if (stream === "alpha") {
    const alpha = make("span", { className: "alpha" });
    alpha.style.maskImage = `url("${sample.cutout}")`;
    alpha.setAttribute("role", "img");
    alpha.setAttribute("aria-label", `alpha of ${sample.key}`);
    box.append(alpha);
  } else {
    const alt = `${streams[stream]} of ${sample.key}`;
    box.append(make("img", { src: sample[stream], alt, loading: "lazy" }));
  }
  return box;
}

function wanted(sample) {
  const text = form.search.value.trim().toLowerCase();
  const words = [sample.key, sample.foreground, sample.background].join("\n").toLowerCase();
  return (!text || words.includes(text))
    && ["subject", "transparency", "split"].every((name) => !form[name].value || form[name].value === sample[name])
    && (!form.set.value || sample.worst)
    && sample.iou <= Number(form.iou.value);
}

function card(sample, number, stream) {
  const note = make("small", {}, sample.key, make("br"), `IoU ${sample.iou.toFixed(3)}`);
  const button = make("button", { type: "button", className: "sample" }, view(sample, stream), note);
  button.setAttribute("aria-label", `${sample.key}, ${sample.subject}, ${sample.transparency}, crude IoU ${sample.iou.toFixed(3)}: show large`);
  button.addEventListener("click", () => open(number));
  return make("li", {}, button);
}

function draw() {
  const stream = document.querySelector("input[name=stream]:checked").value;
  byId("iou-value").textContent = Number(form.iou.value).toFixed(2);
  shown = samples.filter(wanted);
  if (form.set.value) shown.sort((a, b) => a.iou - b.iou);
  const lists = new Map();
  shown.forEach((sample, number) => {
    const name = form.set.value ? "The worst first" : `${sample.subject}, ${sample.transparency} transparent`;
    if (!lists.has(name)) lists.set(name, make("ul", { className: "grid" }));
    lists.get(name).append(card(sample, number, stream));
  });
  groups.replaceChildren();
  for (const [name, list] of lists) groups.append(make("h3", {}, `${name} (${list.children.length})`), list);
  found.textContent = `${shown.length} of ${samples.length} samples on this page`;
}

function paint() {
  const chosen = document.querySelector("input[name=behind]:checked").value;
  const stage = byId("stage"), sample = shown[place];
  const picture = make("img", { src: chosen === "image" ? sample.image : sample.cutout });
  picture.alt = chosen === "image" ? `image of ${sample.key}` : `foreground of ${sample.key} over ${chosen}`;
  stage.className = chosen === "checks" ? "stage checks" : "stage";
  stage.style.background = chosen === "colour" ? byId("colour").value : chosen === "checks" || chosen === "image" ? "" : chosen;
  stage.replaceChildren(picture);
}

function open(number) {
  place = (number + shown.length) % shown.length;
  const sample = shown[place];
  byId("name").textContent = sample.key;
  byId("streams").replaceChildren(...["alpha", "trimap", "crude_trimap", "errors"].map(
    (stream) => make("figure", {}, view(sample, stream), make("figcaption", {}, streams[stream]))));
  byId("facts").replaceChildren(...sample.facts.flatMap(
    ([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))]));
  paint();
  if (!dialog.open) dialog.showModal();
}

form.addEventListener("input", draw);
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(draw));
document.querySelectorAll("input[name=stream]").forEach((one) => one.addEventListener("change", draw));
document.querySelectorAll("input[name=behind]").forEach((one) => one.addEventListener("change", paint));
byId("colour").addEventListener("input", () => { byId("behind-colour").checked = true; paint(); });
byId("previous").addEventListener("click", () => open(place - 1));
byId("next").addEventListener("click", () => open(place + 1));
byId("close").addEventListener("click", () => dialog.close());
dialog.addEventListener("keydown", (event) => {
  if (event.target.type === "radio" || event.target.type === "color") return;
  if (event.key === "ArrowRight") open(place + 1);
  if (event.key === "ArrowLeft") open(place - 1);
});
draw();
