// Turns each still sheet of frames on the page into a player. Needs nothing but the page it stands in.
(() => {
  "use strict";
  const COLOURS = ["#2f7fd0", "#d55e00", "#009e73", "#c2679a", "#b98400", "#56b4e9"]; // 3:1 on white and on near black
  const DASHES = ["", "7 4", "2 3", "9 3 2 3", "12 4", "1 4"];
  const WIDTH = 1000; // of an SVG plot, in its own units

  // An element with attributes, children and listeners. JupyterLab leaves keys alone where the attribute below is.
  function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (/^(button|select|input|canvas)$/.test(tag)) node.setAttribute("data-lm-suppress-shortcuts", "true");
    node.append(...children);
    return node;
  }

  function draw(tag, attributes, parent) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    parent.append(node);
    return node;
  }

  // Lines over the slider's own axis with a cursor that follows it. `lines`: arrays of numbers, null for a gap.
  class Plot {
    constructor(label, positions, height) {
      this.span = positions[positions.length - 1] || 1;
      this.positions = positions;
      this.svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      this.height = height;
      this.svg.setAttribute("viewBox", `0 0 ${WIDTH} ${height}`);
      this.svg.setAttribute("preserveAspectRatio", "none");
      this.svg.setAttribute("role", "img");
      this.svg.setAttribute("aria-label", label);
      this.svg.style.height = `${height}px`;
    }

    x(frame) {
      return (this.positions[frame] / this.span) * WIDTH;
    }

    y(value) {
      return this.height - 4 - ((value - this.low) / (this.high - this.low || 1)) * (this.height - 8);
    }

    setLines(lines, low, high) {
      this.low = low;
      this.high = high;
      this.lines = lines;
      this.svg.replaceChildren();
      draw("rect", { x: 0, y: 0, width: WIDTH, height: this.height, class: "cs-frame" }, this.svg);
      lines.forEach((line, n) => {
        let path = "";
        let pen = "M";
        line.forEach((value, i) => {
          if (value === null) pen = "M";
          else {
            path += `${pen}${this.x(i).toFixed(1)} ${this.y(value).toFixed(1)}`;
            pen = "L";
          }
        });
        const look = { d: path, stroke: COLOURS[n % 6], "stroke-width": 2, "stroke-dasharray": DASHES[n % 6] };
        draw("path", look, this.svg);
      });
      this.cursor = draw("line", { y1: 0, y2: this.height, class: "cs-cursor" }, this.svg);
      this.dots = lines.map((_, n) => draw("path", { class: "cs-dot", stroke: COLOURS[n % 6] }, this.svg));
    }

    moveTo(frame) {
      if (!this.cursor) return;
      const x = this.x(frame);
      this.cursor.setAttribute("x1", x);
      this.cursor.setAttribute("x2", x);
      this.dots.forEach((dot, n) => {
        const value = this.lines[n][frame];
        dot.setAttribute("d", value === null ? "" : `M${x} ${this.y(value)}h0`);
      });
    }
  }

  // One panel: a canvas, and its film of frames decoded once into memory, so that painting never waits.
  class Panel {
    constructor(spec, image, alt) {
      this.spec = spec;
      this.image = image;
      this.name = spec.label ? `${spec.label}: ${alt}` : alt;
      this.canvas = make("canvas", { width: spec.width, height: spec.height, role: "img", "aria-label": this.name });
      this.context = this.canvas.getContext("2d");
      this.marker = make("div", { class: "cs-pixel", hidden: "" });
      const picture = make("div", { class: "cs-picture" }, this.canvas, this.marker);
      this.element = make("figure", { class: "cs-panel" }, picture);
      this.element.style.maxWidth = `${spec.display}px`;
      if (spec.label) this.element.prepend(make("figcaption", {}, spec.label));
      if (spec.pixelArt) {
        this.canvas.className = "cs-pixels";
        this.canvas.tabIndex = 0;
      }
    }

    // `keep` holds the decoded film in memory for good; without, the browser may have to decode again.
    async decode(keep) {
      await this.image.decode();
      if (keep && "createImageBitmap" in window) this.film = await createImageBitmap(this.image);
      else this.film ??= this.image;
    }

    corner(frame) {
      const { columns, width, height, gap } = this.spec;
      return [(frame % columns) * (width + gap), Math.floor(frame / columns) * (height + gap)];
    }

    paint(frame, words) {
      if (!this.film) return;
      const { width, height } = this.spec;
      this.context.drawImage(this.film, ...this.corner(frame), width, height, 0, 0, width, height);
      this.canvas.setAttribute("aria-label", `${this.name}, ${words}`);
    }

    // Brightness of one pixel at every frame, in [0, 1].
    track(x, y, count) {
      const strip = document.createElement("canvas");
      strip.width = count;
      strip.height = 1;
      const context = strip.getContext("2d", { willReadFrequently: true });
      for (let frame = 0; frame < count; frame++) {
        const [left, top] = this.corner(frame);
        context.drawImage(this.film, left + x, top + y, 1, 1, frame, 0, 1, 1);
      }
      const rgba = context.getImageData(0, 0, count, 1).data;
      return Array.from({ length: count }, (_, i) => (rgba[4 * i] + rgba[4 * i + 1] + rgba[4 * i + 2]) / 765);
    }

    mark(x, y) {
      const { width, height } = this.spec;
      const style = this.marker.style;
      style.left = `${(100 * x) / width}%`;
      style.top = `${(100 * y) / height}%`;
      style.width = `${100 / width}%`;
      style.height = `${100 / height}%`;
      this.marker.hidden = false;
    }
  }

  class Player {
    constructor(root, data, images) {
      this.root = root;
      this.data = data;
      this.last = data.count - 1;
      this.frame = data.start;
      this.panels = data.panels.map((spec, n) => new Panel(spec, images[n], data.alt));
      this.calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      this.build();
      this.listen();
      this.show(this.frame);
    }

    build() {
      const { data } = this;
      this.slider = make("input", {
        type: "range", min: 0, max: data.positions[this.last] || 1, step: data.positions.every(Number.isInteger) ? 1 : "any",
        "aria-label": data.title || data.alt, title: "Arrow keys step, Page Up and Page Down leap, Space plays",
      });
      this.playButton = make("button", { type: "button" }, "▶ Play");
      const speeds = [0.25, 0.5, 1, 2, 4].map((s) => make("option", s === 1 ? { value: s, selected: "" } : { value: s }, `${s}×`));
      this.speed = make("select", { "aria-label": "Speed" }, ...speeds);
      this.loop = make("input", { type: "checkbox" });
      this.loop.checked = data.loop;

      const bar = make("div", { class: "cs-bar" }, this.playButton, this.slider);
      bar.append(make("div", { class: "cs-ends", "aria-hidden": "true" }, ...data.ends.map((end) => make("span", {}, end))));
      if (data.curves.length) this.buildCurves(bar);
      if (this.panels.every((panel) => panel.spec.pixelArt)) this.buildProbe(bar);

      this.values = [];
      const info = make("div", { class: "cs-info" });
      this.name = this.value(info, null, "");
      const curves = data.curves.map(([name, , texts]) => [name, texts]);
      const others = data.readout.filter(([name]) => !curves.some(([curve]) => curve === name));
      curves.forEach(([name, texts], n) => this.values.push([this.value(info, n, `${name} = `), texts]));
      for (const [name, texts] of others) this.values.push([this.value(info, null, `${name} = `), texts]);
      const options = make("span", { class: "cs-options" }, make("label", {}, "Speed ", this.speed), make("label", {}, this.loop, "Loop"));
      info.append(options);
      this.caption = make("div", { class: "cs-caption" });

      const player = make("div", { class: "cs-player", role: "group", "aria-label": data.title || data.alt });
      if (data.title) player.append(make("p", {}, make("strong", {}, data.title)));
      const panels = make("div", { class: "cs-panels" }, ...this.panels.map((panel) => panel.element));
      panels.style.setProperty("--cs-width", `${Math.max(...data.panels.map((spec) => spec.display))}px`);
      panels.style.setProperty("--cs-wide", Math.min(4, this.panels.length));
      panels.style.setProperty("--cs-narrow", Math.min(2, this.panels.length));
      player.append(panels, bar, info);
      if (data.captions) player.append(this.caption);
      const still = this.root.querySelector(".cs-still");
      this.root.querySelector(".cs-player")?.remove(); // a page saved from a browser holds the player it had
      still.before(player);
      still.hidden = true;
    }

    // One number of the readout; a curve's has its line's colour and dashes as a key.
    value(parent, curve, label) {
      const number = make("b");
      const item = make("span", { class: "cs-value" });
      if (curve !== null) {
        const key = document.createElementNS("http://www.w3.org/2000/svg", "svg");
        key.setAttribute("class", "cs-key");
        key.setAttribute("aria-hidden", "true");
        draw("path", { d: "M0 2h24", stroke: COLOURS[curve % 6], "stroke-width": 3, "stroke-dasharray": DASHES[curve % 6] }, key);
        item.append(key);
      }
      item.append(label, number);
      parent.append(item);
      return number;
    }

    buildCurves(bar) {
      const lines = this.data.curves.map(([, values]) => values);
      const finite = lines.flat().filter((value) => value !== null);
      const low = Math.min(...finite);
      const high = Math.max(...finite);
      const names = this.data.curves.map(([name]) => name).join(", ");
      this.plot = new Plot(`${names} from ${this.data.ends.join(" to ")}`, this.data.positions, 72);
      this.plot.setLines(lines, low, high);
      const round = (value) => String(Number(value.toPrecision(3))).replace("-", "−");
      const range = make("div", { class: "cs-range", "aria-hidden": "true" }, make("span", {}, round(high)), make("span", {}, round(low)));
      bar.append(range, make("div", { class: "cs-plot" }, this.plot.svg));
    }

    buildProbe(bar) {
      this.track = new Plot("Brightness of the chosen pixel", this.data.positions, 36);
      this.track.svg.style.display = "none";
      this.hint = make("div", { class: "cs-hint", "aria-live": "polite" }, "Point at a pixel to see its path through the frames.");
      bar.append(make("div", { class: "cs-probe" }, this.hint, this.track.svg));
    }

    listen() {
      this.slider.addEventListener("input", () => {
        this.pause();
        const wanted = Number(this.slider.value);
        let frame = this.nearest(wanted);
        // An assistive device may nudge the value by less than half a frame: that still means "next" or "previous".
        if (frame === this.frame && !this.dragging) frame += Math.sign(wanted - this.data.positions[frame]);
        this.show(frame);
      });
      this.slider.addEventListener("pointerdown", () => (this.dragging = true));
      for (const end of ["pointerup", "pointercancel", "blur"]) this.slider.addEventListener(end, () => (this.dragging = false));
      this.playButton.addEventListener("click", () => (this.playing ? this.pause() : this.play()));
      for (const control of [this.slider, this.playButton]) control.addEventListener("keydown", (event) => this.key(event));
      for (const panel of this.panels) if (this.track) this.listenToPixels(panel);
    }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const leap = Math.max(1, Math.round(this.last / 10));
      const targets = {
        ArrowRight: this.frame + 1, ArrowUp: this.frame + 1, ArrowLeft: this.frame - 1, ArrowDown: this.frame - 1,
        PageUp: this.frame + leap, PageDown: this.frame - leap, Home: 0, End: this.last,
      };
      if (event.key in targets) {
        this.pause();
        this.show(targets[event.key]);
      } else if (event.key === " " && event.target === this.slider) {
        if (!event.repeat) this.playButton.click();
      } else return;
      event.preventDefault();
      event.stopPropagation();
    }

    nearest(position) {
      let best = 0;
      this.data.positions.forEach((p, i) => {
        if (Math.abs(p - position) < Math.abs(this.data.positions[best] - position)) best = i;
      });
      return best;
    }

    // The one place where the frame changes: everything that follows it is painted here, before the event returns.
    show(wanted) {
      const { data } = this;
      const frame = Math.min(this.last, Math.max(0, wanted));
      this.frame = frame;
      const words = `${data.names[frame]}, frame ${frame + 1} of ${data.count}`;
      for (const panel of this.panels) panel.paint(frame, words);
      this.slider.value = data.positions[frame];
      const caption = data.captions ? `. ${data.captions[frame]}` : "";
      this.slider.setAttribute("aria-valuetext", words + caption);
      this.name.textContent = data.names[frame];
      for (const [node, texts] of this.values) node.textContent = texts[frame];
      if (data.captions) this.caption.textContent = data.captions[frame];
      this.plot?.moveTo(frame);
      this.track?.moveTo(frame);
    }

    play() {
      this.playing = true;
      this.playButton.textContent = "⏸ Pause";
      if (this.frame === this.last) this.show(0);
      let due = performance.now();
      const tick = (now) => {
        if (!this.playing) return;
        if (!this.root.isConnected) return this.pause();
        const fps = (this.calm ? Math.min(this.data.fps, 2) : this.data.fps) * Number(this.speed.value);
        if (now - due >= 1000 / fps) {
          due = now;
          if (this.frame < this.last) this.show(this.frame + 1);
          else if (this.loop.checked) this.show(0);
          else return this.pause();
        }
        requestAnimationFrame(tick);
      };
      requestAnimationFrame(tick);
    }

    pause() {
      this.playing = false;
      this.playButton.textContent = "▶ Play";
    }

    listenToPixels(panel) {
      const { canvas, spec } = panel;
      const point = (event) => {
        const box = canvas.getBoundingClientRect();
        this.probe(((event.clientX - box.left) / box.width) * spec.width, ((event.clientY - box.top) / box.height) * spec.height, spec);
      };
      canvas.addEventListener("pointermove", point);
      canvas.addEventListener("pointerdown", point);
      canvas.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
        if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
        const [x, y] = this.pixel ?? [spec.width >> 1, spec.height >> 1];
        this.probe(x + step[0], y + step[1], spec);
        event.preventDefault();
        event.stopPropagation();
      });
    }

    // Follow one pixel, the same in every panel of the same size, through all frames.
    probe(x, y, { width, height }) {
      x = Math.min(width - 1, Math.max(0, Math.floor(x)));
      y = Math.min(height - 1, Math.max(0, Math.floor(y)));
      const alike = this.panels.filter((panel) => panel.film && panel.spec.width === width && panel.spec.height === height);
      if (!alike.length || (this.pixel && this.pixel[0] === x && this.pixel[1] === y)) return;
      this.pixel = [x, y];
      for (const panel of alike) panel.mark(x, y);
      this.track.setLines(alike.map((panel) => panel.track(x, y, this.data.count)), 0, 1);
      this.track.svg.style.display = "";
      this.track.moveTo(this.frame);
      this.hint.textContent = `Brightness (0 to 1) of the pixel in row ${y + 1}, column ${x + 1}:`;
    }

    async decode(keep) {
      await Promise.all(this.panels.map((panel) => panel.decode(keep)));
      this.show(this.frame);
      if (keep) this.root.dataset.ready = "";
    }

    // Every player shows its first frame when the page is idle (for printing, too); those that come near the screen, or
    // are touched, keep their films decoded.
    prepare() {
      const keep = () => (this.kept ??= this.decode(true));
      for (const event of ["pointerenter", "focusin"]) this.root.addEventListener(event, keep, { once: true });
      if (!("IntersectionObserver" in window)) return keep();
      (window.requestIdleCallback ?? setTimeout)(() => this.kept ?? this.decode(false));
      const observer = new IntersectionObserver(
        (entries) => {
          if (!entries.some((entry) => entry.isIntersecting)) return;
          observer.disconnect();
          keep();
        },
        { rootMargin: "600px" },
      );
      observer.observe(this.root);
    }
  }

  // Jupyter may run scripts late or twice, and identical players may share a page: take every root not yet taken.
  for (const root of document.querySelectorAll(".course-scrubber")) {
    const record = root.querySelector('script[type="application/json"]');
    if (root.scrubber || !record) continue;
    root.scrubber = new Player(root, JSON.parse(record.textContent), [...root.querySelectorAll(".cs-still img")]);
    root.scrubber.prepare();
  }
})();
