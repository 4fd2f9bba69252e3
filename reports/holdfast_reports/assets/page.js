// Draws the timeline and makes the buttons work; without it every figure is still in the tables.
(() => {
  "use strict";
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);

  // theme: what the system prefers, until somebody chooses
  const THEMES = ["system", "light", "dark"];
  const KEY = "holdfast-theme";
  const remembered = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  let theme = THEMES.includes(remembered()) ? remembered() : "system";
  const button = byId("theme");
  const dress = (chosen) => {
    if (chosen === "system") delete root.dataset.theme; else root.dataset.theme = chosen;
    button.querySelector("span").textContent = chosen;
  };
  button.hidden = false;
  dress(theme);
  button.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    try { localStorage.setItem(KEY, theme); } catch { /* a page that may store nothing forgets */ }
    dress(theme);
    redraw();
  });

  // links to a clause open it; paper shows everything
  const reveal = () => {
    const found = location.hash.length > 1 && byId(decodeURIComponent(location.hash.slice(1)));
    if (found && found.tagName === "DETAILS") found.open = true;
  };
  addEventListener("hashchange", reveal);
  reveal();
  let opened = [];
  let printing = false;
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach((one) => { one.open = true; });
    printing = true;
    root.dataset.theme = "light";
    redraw();
  });
  addEventListener("afterprint", () => {
    opened.forEach((one) => { one.open = false; });
    printing = false;
    dress(theme);
    redraw();
  });

  const data = JSON.parse(byId("data").textContent);
  const charts = [];
  let redraw = () => {};
  if (data === null) return;
  byId("charts").hidden = false;

  const color = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
  const COLORS = ["c1", "c2", "c3", "c4", "c5", "c6"];
  const OUTCOMES = { acknowledged: "c1", refused: "c2", unknown: "c3" };
  const PRINTED_WIDTH = 680;
  const AXIS_WIDTH = 64;

  const seconds = (value) => `${Number(value.toPrecision(5))} s`;
  const duration = (value) => (value < 1000 ? `${Number(value.toPrecision(3))} ms` : `${Number((value / 1000).toPrecision(3))} s`);
  const plain = (value) => Number(value.toPrecision(3)).toLocaleString("en");

  // one shape for each series, so that colour is not the only difference
  const SHAPES = [
    (path, x, y, r) => { path.moveTo(x + r, y); path.arc(x, y, r, 0, 2 * Math.PI); },
    (path, x, y, r) => { path.moveTo(x, y - 1.3 * r); path.lineTo(x + 1.2 * r, y + r); path.lineTo(x - 1.2 * r, y + r); path.closePath(); },
    (path, x, y, r) => { path.moveTo(x - r, y - r); path.lineTo(x + r, y + r); path.moveTo(x + r, y - r); path.lineTo(x - r, y + r); },
    (path, x, y, r) => { path.rect(x - r, y - r, 2 * r, 2 * r); },
    (path, x, y, r) => { path.moveTo(x, y - 1.4 * r); path.lineTo(x + 1.4 * r, y); path.lineTo(x, y + 1.4 * r); path.lineTo(x - 1.4 * r, y); path.closePath(); },
    (path, x, y, r) => { path.moveTo(x - 1.3 * r, y); path.lineTo(x + 1.3 * r, y); path.moveTo(x, y - 1.3 * r); path.lineTo(x, y + 1.3 * r); },
  ];
  const SIGNS = ["●", "▲", "✕", "■", "◆", "+"];
  const shapeOf = (points, number) => Math.max(0, "name" in points ? Object.keys(OUTCOMES).indexOf(points.name) : number);

  const scatter = (shape, crowded) => (u, at) => {
    const { ctx } = u;
    const xs = u.data[0];
    const ys = u.data[at];
    const path = new Path2D();
    const { min, max } = u.scales.x;
    const radius = 2.6 * devicePixelRatio;
    for (let i = 0; i < xs.length; i += 1) {
      if (ys[i] != null && xs[i] >= min && xs[i] <= max) SHAPES[shape](path, u.valToPos(xs[i], "x", true), u.valToPos(ys[i], "y", true), radius);
    }
    ctx.save();
    ctx.beginPath();
    ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    ctx.clip();
    ctx.globalAlpha = crowded ? 0.3 : 0.75;
    ctx.fillStyle = ctx.strokeStyle = u.series[at].stroke(u, at);
    ctx.lineWidth = 1.4 * devicePixelRatio;
    if (shape !== 2 && shape !== 5) ctx.fill(path);
    ctx.stroke(path);
    ctx.restore();
  };

  const bands = (u) => {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.fillStyle = color("band");
    for (const [from, to] of data.shades) {
      const left = u.valToPos(from, "x", true);
      ctx.fillRect(left, bbox.top, Math.max(devicePixelRatio, u.valToPos(to, "x", true) - left), bbox.height);
    }
    ctx.restore();
  };

  const lanes = (u) => {
    const { ctx, bbox } = u;
    const height = bbox.height / data.lanes.length;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.font = `${12 * devicePixelRatio}px ${color("sans")}`;
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    data.lanes.forEach((name, lane) => {
      ctx.fillStyle = color("soft");
      ctx.fillText(name, bbox.left + 2 * devicePixelRatio, bbox.top + height * (lane + 0.3));
    });
    for (const [from, to, lane, aimed] of data.bands) {
      const left = u.valToPos(from, "x", true);
      const width = Math.max(2 * devicePixelRatio, u.valToPos(to, "x", true) - left);
      ctx.fillStyle = color(aimed ? "c5" : "bar");
      ctx.fillRect(left, bbox.top + height * (lane + 0.58), width, height * 0.3);
    }
    ctx.restore();
  };

  let zooming = false;
  const together = (u, key) => {
    if (key !== "x" || zooming) return;
    zooming = true;
    const { min, max } = u.scales.x;
    charts.forEach((other) => { if (other !== u) other.setScale("x", { min, max }); });
    byId("whole").hidden = min <= 0 && max >= data.end;
    zooming = false;
  };
  const zoom = (from, to) => { if (charts.length) charts[0].setScale("x", { min: from, max: to }); };

  const nearest = (u, at, index) => {
    const xs = u.data[0];
    const ys = u.data[at];
    const reach = (u.scales.x.max - u.scales.x.min) / 60;
    for (let step = 0; step < 400; step += 1) {
      for (const i of [index - step, index + step]) {
        if (ys[i] != null && Math.abs(xs[i] - xs[index]) <= reach) return ys[i];
      }
    }
    return null;
  };
  const readout = (id, names, format) => (u) => {
    const place = document.querySelector(`.readout[data-for="${id}"]`);
    const { idx, left } = u.cursor;
    if (idx == null || left < 0) { place.textContent = ""; return; }
    const told = names.map((name, at) => [name, nearest(u, at + 1, idx)]).filter(([, value]) => value !== null);
    place.textContent = [`at ${seconds(u.posToVal(left, "x"))}`, ...told.map(([name, value]) => `${name} ${format(value)}`)].join(" · ");
  };

  const chart = (id, { names, values, series, height, format, y, draw }) => {
    const host = byId(id);
    host.replaceChildren();
    const made = new uPlot({
      width: printing ? PRINTED_WIDTH : host.clientWidth,
      height,
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: true }, sync: { key: "run" } },
      scales: { x: { time: false, range: (u, min, max) => (min == null ? [0, data.end] : [min, max]) }, y },
      axes: [
        { stroke: color("soft"), grid: { stroke: color("gridline"), width: 1 }, ticks: { show: false }, size: 30, values: (u, splits) => splits.map((value) => (value == null ? "" : seconds(value))) },
        { stroke: color("soft"), grid: { stroke: color("gridline"), width: 1, show: names.length > 0 }, ticks: { show: false }, size: AXIS_WIDTH, values: (u, splits) => splits.map((value) => (value == null || !names.length ? "" : format(value))) },
      ],
      series: [{}, ...series],
      hooks: {
        drawClear: [bands],
        drawAxes: draw,
        setScale: [together],
        setCursor: [readout(id, names, format)],
      },
    }, values, host);
    charts.push(made);
  };

  const whole = (u, min, max) => [0, max > 0 ? max * 1.06 : 1];
  const cloud = (id, points, colors, format, quantiles = []) => {
    if (!points.length || !byId(id)) return;
    const all = points.flatMap((one) => one.values);
    const least = Math.max(all.reduce((a, b) => Math.min(a, b), Infinity), 1e-3);
    const most = all.reduce((a, b) => Math.max(a, b), 0);
    const steep = most / least > 50;
    const joined = uPlot.join([...points, ...quantiles].map((one) => [one.seconds, one.values.map((value) => (steep ? Math.max(value, least) : value))]));
    const shapes = points.map((one, number) => (id === "latency" ? shapeOf(one, number) : number % SHAPES.length));
    chart(id, {
      names: [...points, ...quantiles].map((one) => one.name),
      values: joined,
      series: [
        ...points.map((one, number) => ({ stroke: () => color(colors(one, number)), paths: () => null, points: { show: false } })),
        ...quantiles.map((one) => ({ stroke: () => color("ink"), width: 1.8, dash: one.dash, spanGaps: true, points: { show: false } })),
      ],
      height: 210,
      format,
      y: steep ? { distr: 3, range: (u, min, max) => [10 ** Math.floor(Math.log10(least)), 10 ** Math.ceil(Math.log10(most))] } : { range: whole },
      draw: [(u) => points.forEach((one, number) => scatter(shapes[number], quantiles.length > 0)(u, number + 1))],
    });
  };

  const lines = (id, joined, names, styles, options) => {
    if (!names.length || !byId(id)) return;
    chart(id, {
      names,
      values: joined,
      series: names.map((name, number) => ({ stroke: () => color(styles[number % styles.length][0]), dash: styles[number % styles.length][1], width: 1.6, points: { show: false }, ...options })),
      height: 150,
      format: plain,
      y: { range: whole },
      draw: [],
    });
  };

  const legend = (id, names, signs) => {
    const place = byId(id)?.closest("figure").querySelector(".legend");
    names.forEach((name, number) => {
      const part = document.createElement("span");
      part.textContent = signs ? `${SIGNS[number % SIGNS.length]} ${name}` : name;
      part.style.color = `var(--${COLORS[number % COLORS.length]})`;
      place?.append(part);
    });
  };
  legend("lag", data.lags.map((one) => one.name), true);
  data.sampled.forEach((lines, number) => legend(`sampled-${number}`, lines.map((one) => one.name), false));

  redraw = () => {
    const range = charts.length ? [charts[0].scales.x.min, charts[0].scales.x.max] : null;
    charts.splice(0).forEach((one) => one.destroy());
    if (byId("faults")) {
      chart("faults", { names: [], values: [[0, data.end], [null, null]], series: [{ stroke: "transparent" }], height: 34 * data.lanes.length + 34, format: plain, y: { range: [0, 1] }, draw: [lanes] });
    }
    const { quantiles } = data;
    cloud("latency", data.latencies, (one) => OUTCOMES[one.name], duration, quantiles === null ? [] : [
      { name: "median", seconds: quantiles.seconds, values: quantiles.p50, dash: [] },
      { name: "p99", seconds: quantiles.seconds, values: quantiles.p99, dash: [7, 4] },
    ]);
    cloud("lag", data.lags.map((one) => ({ ...one, values: one.values.map((value) => value * 1000) })), (one, number) => COLORS[number % COLORS.length], duration);
    lines("rate", [data.rate.seconds, data.rate.ok, data.rate.fail, data.rate.unknown], ["acknowledged", "refused", "unknown"], [["c1", []], ["c2", [8, 4]], ["c3", [2, 4]]], { paths: uPlot.paths.stepped({ align: 1 }) });
    data.sampled.forEach((sampled, at) => {
      const joined = uPlot.join(sampled.map((one) => [one.seconds, one.values]));
      const dashes = COLORS.map((name, number) => [name, number ? [10 - number, 4] : []]);
      lines(`sampled-${at}`, joined, sampled.map((one) => one.name), dashes, { spanGaps: true, paths: uPlot.paths.stepped({ align: 1 }) });
    });
    zoom(...(range && range[0] != null ? range : [0, data.end]));
  };
  redraw();
  root.dataset.drawn = "yes";

  byId("whole").addEventListener("click", () => zoom(0, data.end));
  document.querySelectorAll("button.zoom").forEach((one) => {
    one.hidden = false;
    one.addEventListener("click", () => {
      const from = Number(one.dataset.from);
      const to = Number(one.dataset.to);
      const margin = Math.max((to - from) * 0.3, data.end / 100);
      zoom(Math.max(0, from - margin), Math.min(data.end, to + margin));
      byId("timeline").scrollIntoView();
    });
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    requestAnimationFrame(() => redraw());
  });
})();
