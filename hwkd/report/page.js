(async () => {
  const root = document.documentElement;
  const content = document.getElementById("content");
  let charts = [];
  const findCharts = () => {
    charts = [...content.querySelectorAll(".chart")].map((element) => ({
      element,
      plot: element.querySelector(".plot"),
      ...JSON.parse(element.querySelector("script").textContent),
    }));
  };
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  // The figures carry no colours of text and grid; they come from the theme in force.
  const themed = (layout) => {
    const patch = {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      "font.color": colour("--text"),
      "font.family": getComputedStyle(document.body).fontFamily,
      "hoverlabel.bgcolor": colour("--panel"),
      "hoverlabel.bordercolor": colour("--line"),
      "hoverlabel.font.color": colour("--text"),
      "hoverlabel.align": "left",
      "modebar.bgcolor": "rgba(0,0,0,0)",
      "modebar.color": colour("--muted"),
      "modebar.activecolor": colour("--accent"),
    };
    for (const axis of ["xaxis", ...Object.keys(layout).filter((key) => key.startsWith("yaxis"))]) {
      patch[`${axis}.gridcolor`] = colour("--line");
      patch[`${axis}.zerolinecolor`] = colour("--line");
      patch[`${axis}.automargin`] = true;
    }
    return patch;
  };

  const inTheme = (layout) => {
    const whole = structuredClone(layout);
    for (const [path, value] of Object.entries(themed(layout))) {
      const names = path.split(".");
      const last = names.pop();
      names.reduce((part, name) => (part[name] ??= {}), whole)[last] = value;
    }
    return whole;
  };

  const unpacked = async () => {
    const text = document.getElementById("plotly-gzip").textContent;
    const letters = atob(text);
    const bytes = new Uint8Array(letters.length);
    for (let index = 0; index < letters.length; index += 1) bytes[index] = letters.charCodeAt(index);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };

  // A plot that is there already keeps its zoom; `uirevision` says that the user's view holds.
  const draw = async (chart) => {
    chart.isDrawn = true;
    const { data, layout } = chart.figure;
    const options = { responsive: true, displaylogo: false, displayModeBar: "hover" };
    await Plotly.react(chart.plot, data, { ...inTheme(layout), uirevision: "kept" }, options);
    const buttons = [...chart.element.querySelectorAll(".views button")];
    buttons.forEach((button, index) => button.addEventListener("click", () => {
      buttons.forEach((other) => other.classList.toggle("active", other === button));
      Plotly.update(chart.plot, chart.views[index].data, chart.views[index].layout);
    }));
  };

  // What is far below is drawn when the reader comes near: a page has a dozen charts.
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((each) => each.isIntersecting)) {
      const chart = charts.find((each) => each.plot === entry.target);
      if (chart && !chart.isDrawn) draw(chart);
    }
  }, { rootMargin: "800px" });
  const isInView = (chart) => chart.plot.getBoundingClientRect().top < innerHeight;
  const drawAll = async () => {
    for (const chart of charts.filter((each) => isInView(each) && !each.isDrawn)) await draw(chart);
    near.disconnect();
    charts.forEach((chart) => near.observe(chart.plot));
  };

  const repaint = (size = {}) => {
    for (const chart of charts.filter((each) => each.isDrawn)) {
      Plotly.relayout(chart.plot, { ...themed(chart.figure.layout), ...size });
    }
  };

  try {
    const script = document.createElement("script");
    script.textContent = await unpacked();
    document.head.append(script);
  } catch (error) {
    root.classList.add("no-charts");
    document.querySelectorAll(".plot").forEach((plot) => {
      plot.textContent = "This browser cannot unpack the chart library; the tables say the same.";
    });
    return;
  }
  findCharts();
  await drawAll();

  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", () => repaint());
  document.addEventListener("click", (event) => {
    if (event.target.id !== "theme") return;
    const now = root.dataset.theme || (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    repaint();
  });

  // Paper is light and narrow, and a folded table cannot be unfolded on it.
  let before = null;
  addEventListener("beforeprint", () => {
    before = { theme: root.dataset.theme, folded: [...document.querySelectorAll("details:not([open])")] };
    root.dataset.theme = "light";
    before.folded.forEach((details) => { details.open = true; });
    charts.filter((chart) => !chart.isDrawn).forEach(draw);
    repaint({ width: 680 });
  });
  addEventListener("afterprint", () => {
    if (before.theme) root.dataset.theme = before.theme; else delete root.dataset.theme;
    before.folded.forEach((details) => { details.open = false; });
    repaint({ width: null, autosize: true });
  });
  // A page of a run that goes on asks for what changed; what the reader opened stays open.
  let known = content.dataset.version;
  const refresh = async () => {
    const answer = await fetch(`${content.dataset.live}?known=${known}`, { cache: "no-store" });
    content.classList.toggle("stale", !answer.ok);
    if (answer.status !== 200) return;
    known = answer.headers.get("X-Version");
    const fresh = await answer.text();
    const title = (details) => details.querySelector("summary").textContent.replace(/ \(.*/, "");
    const open = new Set([...content.querySelectorAll("details[open]")].map(title));
    const before = new Map(charts.map((chart) => [chart.element.id, chart]));
    const { scrollX, scrollY } = window;
    content.innerHTML = fresh;
    content.querySelectorAll("details").forEach((details) => { details.open = open.has(title(details)); });
    findCharts();
    for (const chart of charts) {
      const old = before.get(chart.element.id);
      if (!old || !old.isDrawn) continue;
      chart.plot.replaceWith(old.plot);
      chart.plot = old.plot;
      await draw(chart);
      const view = [...old.element.querySelectorAll(".views button")].findIndex((b) => b.classList.contains("active"));
      if (view > 0) chart.element.querySelectorAll(".views button")[view].click();
    }
    await drawAll();
    window.scrollTo({ left: scrollX, top: scrollY, behavior: "instant" });
  };
  const ask = async () => {
    if (!document.hidden && !String(getSelection())) {
      try { await refresh(); } catch { content.classList.add("stale"); }
    }
    setTimeout(ask, Number(content.dataset.every));
  };
  if (content.dataset.live) setTimeout(ask, Number(content.dataset.every));
  root.dataset.ready = "yes";
})();
