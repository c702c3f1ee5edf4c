"use strict";
// Uploads clips one after the other and shows what is said of them. Whatever a clip or the service says is text: nothing here makes markup.
(() => {
  const limits = document.body.dataset;
  const suffixes = limits.suffixes.split(" ");
  const token = document.getElementById("token");
  const results = document.getElementById("results");
  const drop = document.getElementById("drop");
  const input = document.getElementById("file");
  const waiting = [];
  let sending = false;

  document.getElementById("most").textContent = bytes(Number(limits.mostBytes));

  function bytes(count) {
    const units = ["bytes", "KiB", "MiB", "GiB"];
    let unit = 0;
    while (count >= 1024 && unit < units.length - 1) {
      count /= 1024;
      unit += 1;
    }
    return `${Number(count.toPrecision(3))} ${units[unit]}`;
  }

  function element(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  function shape(tag, attributes, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const authority = () => (token && token.value ? { Authorization: `Bearer ${token.value.trim()}` } : {});

  function share(probability) {
    if (probability > 0.999) return "over 99.9 %";
    if (probability < 0.001) return "under 0.1 %";
    return `${(100 * probability).toFixed(probability > 0.1 && probability < 0.9 ? 0 : 1)} %`;
  }

  // Choosing and dropping.

  function take(files) {
    const cards = [...files].map((file) => {
      const card = makeCard(file);
      const problem = whyNot(file);
      if (problem) card.fail(problem);
      else waiting.push([file, card]);
      return card.article;
    });
    results.prepend(...cards);
    document.getElementById("results-title").hidden = !results.children.length;
    work();
  }

  function whyNot(file) {
    if (!suffixes.some((suffix) => file.name.toLowerCase().endsWith(suffix))) return "This is neither a video nor an image by its name.";
    if (file.size === 0) return "This file is empty.";
    if (file.size > Number(limits.mostBytes)) return `Larger than the ${bytes(Number(limits.mostBytes))} that are taken.`;
    return null;
  }

  async function work() {
    if (sending) return;
    sending = true;
    while (waiting.length) {
      const [file, card] = waiting.shift();
      const job = await upload(file, card);
      if (job) follow(job, card);
    }
    sending = false;
  }

  input.addEventListener("change", () => {
    take(input.files);
    input.value = "";
  });
  for (const [name, over] of [["dragenter", true], ["dragover", true], ["dragleave", false], ["drop", false]]) {
    drop.addEventListener(name, () => drop.classList.toggle("over", over));
  }
  for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => event.preventDefault());
  document.addEventListener("drop", (event) => take(event.dataTransfer.files));

  // The service.

  function send(file, card) {
    return new Promise((resolve) => {
      const request = new XMLHttpRequest();
      const query = new URLSearchParams({ name: file.name.slice(-Number(limits.longestName)), evidence: "true" });
      request.open("POST", `jobs?${query}`);
      request.setRequestHeader("Content-Type", "application/octet-stream");
      for (const [name, value] of Object.entries(authority())) request.setRequestHeader(name, value);
      request.upload.addEventListener("progress", (event) => card.progress(`Uploading, ${Math.floor((100 * event.loaded) / event.total)} %`, event.loaded / event.total));
      request.addEventListener("loadend", () => resolve(request));
      request.send(file);
    });
  }

  async function upload(file, card) {
    for (;;) {
      card.progress("Uploading", 0);
      const answer = await send(file, card);
      if (answer.status === 202) return JSON.parse(answer.responseText);
      if (answer.status !== 503) {
        card.fail(said(answer.status, answer.responseText), () => take([file]));
        return null;
      }
      card.progress("The service is busy: waiting for room");
      await pause(Number(answer.getResponseHeader("Retry-After") ?? 5));
    }
  }

  function said(status, body) {
    if (status === 0) return "The service does not answer, or broke the upload off.";
    if (status === 401) return token ? "The service wants its token: type it in above." : "The service wants a token.";
    try {
      const { detail } = JSON.parse(body);
      return typeof detail === "string" ? `Refused: ${detail}` : `Refused (${status}).`;
    } catch {
      return `Refused (${status}).`;
    }
  }

  async function follow(job, card) {
    let wait = 0.2;
    let lost = 0;
    while (job.state === "queued" || job.state === "judging") {
      if (job.judgement) card.judged(job);
      else if (job.state === "judging") card.progress("Looking at the frames");
      else card.progress(job.ahead ? `Waiting, ${job.ahead} before this one` : "Waiting");
      await pause(wait);
      wait = Math.min(wait * 1.3, 2);
      try {
        const answer = await fetch(`jobs/${job.id}`, { headers: authority() });
        if (!answer.ok) {
          card.fail(answer.status === 404 ? "The result is not there any more." : said(answer.status, await answer.text()));
          return;
        }
        job = await answer.json();
        lost = 0;
      } catch {
        lost += 1;
        if (lost > 5) {
          card.fail("The service does not answer any more.");
          return;
        }
      }
    }
    if (job.judgement) card.judged(job);
    else card.fail(`The service failed: ${job.reason}.`);
  }

  // What is shown.

  function makeCard(file) {
    const status = element("p", { className: "status" });
    status.setAttribute("role", "status");
    const bar = element("progress", { max: 1 });
    bar.setAttribute("aria-label", "Progress");
    const body = element("div");
    const title = element("h3", {}, element("bdi", { textContent: file.name }));
    const card = element("article", {}, element("div", { className: "head" }, title, element("span", { className: "quiet", textContent: bytes(file.size) })), status, bar, body);
    progress("Waiting for its turn");
    bar.hidden = true;

    function progress(words, fraction) {
      if (status.textContent !== words) status.textContent = words;
      bar.hidden = false;
      if (fraction === undefined) bar.removeAttribute("value");
      else bar.value = fraction;
    }

    function fail(words, again) {
      bar.hidden = true;
      status.className = "status problem";
      status.textContent = words;
      body.replaceChildren();
      const dismiss = element("button", { type: "button", textContent: "Dismiss" });
      dismiss.addEventListener("click", remove);
      const actions = element("div", { className: "actions" }, dismiss);
      if (again) {
        const retry = element("button", { type: "button", textContent: "Try again" });
        retry.addEventListener("click", () => {
          remove();
          again();
        });
        actions.prepend(retry);
      }
      body.append(actions);
    }

    function remove() {
      card.remove();
      document.getElementById("results-title").hidden = !results.children.length;
      input.focus();
    }

    function judged(job) {
      const explaining = job.state === "judging";
      if (explaining) progress("Judged; drawing the evidence");
      else {
        bar.hidden = true;
        status.textContent = job.state === "failed" ? "The evidence could not be made." : "";
        status.classList.toggle("problem", job.state === "failed");
      }
      body.replaceChildren(...verdict(job.judgement), actions(job));
    }

    function actions(job) {
      const made = element("div", { className: "actions" });
      if (job.evidence) {
        const address = new URL(job.evidence.slice(1), document.baseURI);
        made.append(element("a", { className: "button first", href: address.href, target: "_blank", rel: "noopener", textContent: "See the evidence" }));
      }
      if (job.state === "judging") return made;
      const numbers = URL.createObjectURL(new Blob([JSON.stringify(job.judgement, null, 2)], { type: "application/json" }));
      const saved = element("a", { className: "button", href: numbers, download: "judgement.json", textContent: "Save as JSON" });
      const forget = element("button", { type: "button", textContent: "Delete now" });
      forget.addEventListener("click", async () => {
        forget.disabled = true;
        const answer = await fetch(`jobs/${job.id}`, { method: "DELETE", headers: authority() }).catch(() => null);
        if (answer && (answer.ok || answer.status === 404)) {
          URL.revokeObjectURL(numbers);
          remove();
        } else {
          forget.disabled = false;
          status.className = "status problem";
          status.textContent = "It could not be deleted: the service does not answer, or wants its token.";
        }
      });
      made.append(saved, forget);
      return made;
    }

    return { article: card, progress, fail, judged };
  }

  const HEADLINES = { real: "Looks real", fake: "Looks fake", uncertain: "Cannot tell" };

  function verdict(judged) {
    const parts = [];
    const tone = judged.verdict === "uncertain" || !judged.verdict ? "" : judged.verdict;
    const headline = HEADLINES[judged.verdict] ?? (judged.status === "abstained" ? "Nothing to judge" : "Cannot be read");
    const heading = element("p", { className: `verdict ${tone}`, textContent: headline });
    parts.push(heading);
    if (judged.probability_fake !== null) {
      heading.append(element("span", { className: "sure", textContent: `probability of fake ${share(judged.probability_fake)}` }));
      parts.push(scale(judged, tone));
    }
    if (judged.reason) parts.push(element("p", { textContent: `Why: ${judged.reason}.` }));
    if (judged.warnings.length) {
      parts.push(element("h4", { textContent: "What makes it doubtful" }));
      parts.push(element("ul", { className: "doubts" }, ...judged.warnings.map((text) => element("li", { textContent: text }))));
    }
    for (const face of judged.faces) {
      const several = judged.faces.length > 1;
      const place = face.position[0].toUpperCase() + face.position.slice(1);
      if (several) parts.push(element("h4", { textContent: `${place}: ${face.verdict}, ${share(face.probability_fake)}` }));
      else if (face.frames.length > 1) parts.push(element("h4", { textContent: "Frame by frame" }));
      if (face.frames.length > 1) parts.push(timeline(face));
    }
    parts.push(facts(judged));
    return parts;
  }

  // As wide as it is shown, so that its letters are as large as they are elsewhere.
  const drawingWidth = () => Math.max(240, results.clientWidth - 42);

  function scale(judged, tone) {
    const whole = drawingWidth();
    const [left, width] = [2, whole - 4];
    const at = (probability) => left + probability * width;
    const between = judged.interval ? `, 95 % interval ${share(judged.interval[0])} to ${share(judged.interval[1])}` : "";
    const drawing = shape("svg", { viewBox: `0 0 ${whole} 44`, class: `drawing ${tone}`, role: "img", "aria-label": `Probability of fake ${share(judged.probability_fake)}${between}` });
    drawing.append(shape("rect", { class: "track", x: left, y: 9, width, height: 6, rx: 3 }));
    if (judged.interval) {
      const [low, high] = judged.interval;
      drawing.append(shape("rect", { class: "range", x: at(low), y: 6, width: Math.max(2, at(high) - at(low)), height: 12, rx: 3 }));
    }
    drawing.append(
      shape("circle", { class: "mark", cx: Math.min(Math.max(at(judged.probability_fake), 9), whole - 9), cy: 12, r: 8 }),
      shape("text", { x: left, y: 38 }, "real"),
      shape("text", { x: left + width, y: 38, "text-anchor": "end" }, "fake"),
    );
    if (judged.interval) drawing.append(shape("text", { x: whole / 2, y: 38, "text-anchor": "middle" }, between.slice(2)));
    return drawing;
  }

  function timeline(face) {
    const whole = drawingWidth();
    const [left, right, top, bottom] = [30, whole - 6, 8, 98];
    const timed = face.frames.every((frame) => frame.timestamp_s !== null);
    const moment = (frame) => (timed ? frame.timestamp_s : frame.frame_index);
    const first = moment(face.frames[0]);
    const last = moment(face.frames[face.frames.length - 1]);
    const x = (frame) => left + ((moment(frame) - first) / (last - first || 1)) * (right - left);
    const y = (probability) => bottom - probability * (bottom - top);
    const values = face.frames.map((frame) => frame.probability_fake);
    const unit = timed ? " s" : "";
    const label = `Probability of fake of each of ${values.length} frames, from ${share(Math.min(...values))} to ${share(Math.max(...values))}`;
    const tone = face.verdict === "uncertain" ? "" : face.verdict;
    const drawing = shape("svg", { viewBox: `0 0 ${whole} 120`, class: `drawing ${tone}`, role: "img", "aria-label": label });
    for (const level of [0, 0.5, 1]) {
      drawing.append(
        shape("line", { class: "rule", x1: left, x2: right, y1: y(level), y2: y(level) }),
        shape("text", { x: left - 6, y: y(level) + 4, "text-anchor": "end" }, String(level)),
      );
    }
    drawing.append(shape("polyline", { class: "curve", points: face.frames.map((frame) => `${x(frame)},${y(frame.probability_fake)}`).join(" ") }));
    for (const frame of face.frames) {
      const dot = shape("circle", { class: "dot", cx: x(frame), cy: y(frame.probability_fake), r: 3 });
      dot.append(shape("title", {}, `${timed ? `${moment(frame).toFixed(2)} s` : `frame ${moment(frame)}`}: ${share(frame.probability_fake)}`));
      drawing.append(dot);
    }
    drawing.append(
      shape("text", { x: left, y: 116 }, `${first.toFixed(timed ? 1 : 0)}${unit}`),
      shape("text", { x: right, y: 116, "text-anchor": "end" }, `${last.toFixed(timed ? 1 : 0)}${unit}`),
    );
    return drawing;
  }

  function facts(judged) {
    const rows = [
      ["frames judged", judged.frames_scored || null],
      ["faces", judged.faces.length || null],
      ["picture", judged.width && `${judged.width} x ${judged.height}, ${judged.codec}`],
      ["length", judged.duration_s && `${judged.duration_s.toFixed(1)} s`],
      ["SHA-256", judged.sha256],
      ["detector", judged.model],
    ];
    const list = element("dl");
    for (const [name, value] of rows) if (value !== null && value !== 0) list.append(element("dt", { textContent: name }), element("dd", { textContent: value }));
    return element("details", {}, element("summary", { textContent: "Details" }), list);
  }
})();
