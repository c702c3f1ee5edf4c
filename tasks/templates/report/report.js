"use strict";
// The table of videos and the scores by video. Names of files are text throughout: nothing here makes markup of them.
(() => {
  const source = document.getElementById("video-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const at = Object.fromEntries(data.columns.map((name, index) => [name, index]));
  const SCORE = data.columns.length;
  const PICTURE = SCORE + 1;
  const asText = DataTable.render.text();
  const sigmoid = (value) => 1 / (1 + Math.exp(-value));
  const quiet = new Set(["not judged", "right"]);

  function element(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  const columns = data.columns.map((title, index) => ({
    title,
    data: (row) => row[index] ?? (title === "P(fake)" ? null : ""),
    type: title === "P(fake)" ? "num" : "string",
    render: asText,
    visible: title === "video" || data.rows.some((row) => row[index] !== null),
    className: { "P(fake)": "number", video: "path", remark: "reason" }[title] ?? "",
  }));
  columns[at["P(fake)"]].render = (value, type) =>
    type === "display" || type === "filter" ? (value === null ? "" : value.toFixed(3)) : (value ?? -1);
  columns[at.video].createdCell = (cell, _value, row) => {
    if (row[PICTURE] !== null) {
      cell.prepend(element("img", { src: data.pictures[row[PICTURE]], alt: "" }));
    }
  };
  for (const name of ["truth", "verdict"]) {
    columns[at[name]].createdCell = (cell, value) => {
      if (value === "real" || value === "fake") cell.classList.add(value);
    };
  }
  columns[at.outcome].createdCell = (cell, value) => cell.classList.add(quiet.has(value) ? "quiet" : "wrong");

  const holder = document.getElementById("videos");
  holder.querySelector("tbody").replaceChildren();
  const table = new DataTable(holder, {
    data: data.rows,
    columns,
    order: [],
    autoWidth: false,
    deferRender: true,
    pageLength: 25,
    lengthMenu: [10, 25, 100],
    layout: { topStart: "search", topEnd: "pageLength", bottomStart: "info", bottomEnd: "paging" },
    language: {
      search: "Search",
      lengthMenu: "_MENU_ rows a page",
      info: "_START_ to _END_ of _TOTAL_ videos",
      infoEmpty: "no video",
      infoFiltered: "(of _MAX_)",
      zeroRecords: "No video is like this.",
    },
  });

  const chosen = {};
  const form = document.getElementById("video-filters");
  for (const [index, words] of data.filters) {
    const values = [...new Set(data.rows.map((row) => row[index]).filter((value) => value !== null))].sort();
    if (values.length < 2) continue;
    const select = element("select", {}, element("option", { value: "", textContent: "all" }));
    for (const value of values) select.append(element("option", { value, textContent: value }));
    select.addEventListener("change", () => {
      chosen[index] = select.value;
      table.draw();
    });
    form.append(element("label", {}, words, select));
  }
  table.search.fixed("chosen", (_text, row) =>
    Object.entries(chosen).every(([index, value]) => value === "" || row[index] === value));
  form.hidden = false;

  const canvas = document.getElementById("score-chart");
  if (canvas) drawScores(canvas);

  function drawScores(canvas) {
    const judgement = JSON.parse(canvas.dataset.judgement);
    const logit = (probability) => Math.log(probability / (1 - probability));
    const cut = logit(judgement.threshold);
    const band = judgement.band.map((end) => (end === null ? null : logit(end)));
    const steps = [1e-6, 1e-5, 1e-4, 0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999, 0.9999, 0.99999, 0.999999];
    const words = (probability) =>
      probability > 0.0005 && probability < 0.9995
        ? probability.toFixed(3).replace(/0+$/, "")
        : probability < 0.5 ? probability.toExponential(0) : `1 - ${(1 - probability).toExponential(0)}`;
    const tested = data.rows.filter((row) => row[at.split] === "test" && row[SCORE] !== null);
    const heights = new Map();
    for (const name of ["real", "fake"]) {
      const own = tested.filter((row) => row[at.truth] === name).sort((one, other) => one[SCORE] - other[SCORE]);
      own.forEach((row, rank) => heights.set(row, (name === "fake" ? 1 : 0) + (((rank * 0.618) % 1) - 0.5) * 0.7));
    }
    const points = (name, rows) =>
      rows.filter((row) => row[at.truth] === name).map((row) => ({ x: row[SCORE], y: heights.get(row), row }));
    const marks = {
      id: "marks",
      beforeDatasetsDraw(chart) {
        const { ctx, chartArea: area, scales: { x } } = chart;
        ctx.save();
        ctx.beginPath();
        ctx.rect(area.left, area.top, area.width, area.height);
        ctx.clip();
        if (band[0] !== null && band[1] !== null) {
          ctx.fillStyle = colour("--soft");
          ctx.fillRect(x.getPixelForValue(band[0]), area.top, x.getPixelForValue(band[1]) - x.getPixelForValue(band[0]), area.height);
        }
        ctx.strokeStyle = colour("--quiet");
        ctx.setLineDash([5, 4]);
        ctx.beginPath();
        ctx.moveTo(x.getPixelForValue(cut), area.top);
        ctx.lineTo(x.getPixelForValue(cut), area.bottom);
        ctx.stroke();
        ctx.restore();
      },
    };
    const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const chart = new Chart(canvas, {
      type: "scatter",
      data: {
        datasets: ["real", "fake"].map((name) => ({
          label: name,
          data: points(name, tested),
          pointRadius: tested.length > 1000 ? 2.5 : 4,
          pointHoverRadius: 7,
          pointStyle: name === "real" ? "circle" : "triangle",
        })),
      },
      options: {
        animation: false,
        maintainAspectRatio: false,
        scales: {
          x: {
            title: { display: true, text: "probability of fake (scale: log odds)" },
            afterBuildTicks(axis) {
              const there = steps.map(logit).filter((value) => value >= axis.min && value <= axis.max);
              if (there.length > 2) axis.ticks = there.map((value) => ({ value }));
            },
            ticks: { callback: (value) => words(sigmoid(value)), maxRotation: 0, autoSkipPadding: 8 },
          },
          y: {
            min: -0.5,
            max: 1.5,
            afterBuildTicks(axis) { axis.ticks = [{ value: 0 }, { value: 1 }]; },
            ticks: { callback: (value) => ["real", "fake"][value] },
            grid: { display: false },
          },
        },
        plugins: {
          legend: { display: false },
          tooltip: {
            displayColors: false,
            callbacks: {
              title: ([item]) => item.raw.row[at.video],
              label: ({ raw: { row } }) => [
                `P(fake) ${sigmoid(row[SCORE]).toFixed(3)}`,
                `${row[at.truth]}, called ${row[at.verdict]}: ${row[at.outcome]}`,
                ["data set", "method", "compression"].map((name) => row[at[name]]).filter(Boolean).join(", "),
              ],
            },
          },
          zoom: {
            limits: { x: { min: "original", max: "original", minRange: 0.01 } },
            zoom: {
              mode: "x",
              drag: { enabled: true },
              wheel: { enabled: true, modifierKey: "ctrl" },
            },
          },
        },
        onClick(_event, [hit]) {
          if (!hit) return;
          table.search(chart.data.datasets[hit.datasetIndex].data[hit.index].row[at.video]).draw();
          holder.scrollIntoView({ block: "center" });
        },
      },
      plugins: [marks],
    });
    canvas.chart = chart;
    const paint = () => {
      chart.data.datasets.forEach((set) => {
        set.backgroundColor = `${colour(`--${set.label}`)}b0`;
        set.borderColor = "transparent";
      });
      for (const axis of Object.values(chart.options.scales)) {
        axis.ticks.color = colour("--quiet");
        axis.grid = { ...axis.grid, color: colour("--line") };
        if (axis.title) axis.title.color = colour("--quiet");
      }
      chart.update();
    };
    paint();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
    for (const button of document.querySelectorAll("#score-buttons button")) {
      const act = {
        in: () => chart.zoom({ x: 1.5 }), // the plugin multiplies the range by 2 less this
        out: () => chart.zoom({ x: 0 }),
        left: () => chart.pan({ x: chart.chartArea.width / 4 }),
        right: () => chart.pan({ x: -chart.chartArea.width / 4 }),
        all: () => chart.resetZoom(),
      }[button.value];
      button.addEventListener("click", act);
    }
    let filter = "";
    table.on("draw", () => {
      const now = JSON.stringify([chosen, table.search()]);
      if (now === filter) return;
      filter = now;
      const rows = new Set(table.rows({ search: "applied" }).data().toArray());
      const kept = tested.filter((row) => rows.has(row));
      chart.data.datasets.forEach((set) => { set.data = points(set.label, kept); });
      chart.update();
      document.getElementById("score-count").textContent = kept.length;
    });
    document.documentElement.classList.add("scores-live");
  }
})();
