const page = JSON.parse(document.getElementById("data").textContent);
const isDark = matchMedia("(prefers-color-scheme: dark)");
const LARGE = 2500; // marks, from which on a canvas is drawn

function rowsOf(chart) {
  const fields = Object.entries(chart.columns).map(([field, at]) => [field, page.columns[at]]);
  const rows = [];
  for (let i = 0; i < (fields.length ? fields[0][1].length : 0); i++) {
    const row = {};
    for (const [field, values] of fields) row[field] = values[i];
    rows.push(row);
  }
  return rows;
}

function changed(chart, changes) {
  for (const [path, value] of Object.entries(changes)) {
    const parts = path.split("/");
    let place = chart;
    for (const part of parts.slice(0, -1)) place = place[part];
    place[parts.at(-1)] = value;
  }
}

function look() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  const [ink, soft, line] = [of("--ink"), of("--soft"), of("--line")];
  const category = isDark.matches
    ? ["#7cc0ea", "#f0a08d", "#a5d6a7", "#d4a5f0", "#f2cc8f", "#80deea"]
    : ["#1d5f8a", "#c8553d", "#3d7a45", "#7b3fb5", "#a86a10", "#00798c"];
  const isNarrow = innerWidth < 600;
  const axis = { labelColor: soft, titleColor: ink, gridColor: line, domainColor: soft,
    tickColor: soft, titleFontWeight: "normal", titleLimit: 420 };
  return {
    background: "transparent", view: { stroke: null }, axis,
    axisX: { labelLimit: 130 }, axisY: { labelLimit: isNarrow ? 110 : 200 }, rule: { color: soft },
    legend: { labelColor: soft, titleColor: ink, orient: "bottom", titleLimit: 300 },
    mark: { color: category[0] }, text: { color: ink, fill: ink },
    range: { category }, font: "system-ui, sans-serif",
  };
}

async function draw(figure) {
  const said = page.charts[Number(figure.dataset.chart)];
  const spec = structuredClone(said.chart);
  figure.querySelectorAll("select").forEach((select, at) => {
    changed(spec, said.selections[at].choices[Number(select.value)]);
  });
  const rows = rowsOf(said);
  spec.datasets = { ...spec.datasets, rows };
  spec.config = look();
  spec.autosize = { type: "fit-x", contains: "padding" };
  const place = figure.querySelector(".chart");
  place.style.minHeight = `${place.offsetHeight}px`; // nothing jumps while it is drawn again
  await window.vegaEmbed(place, spec, {
    renderer: rows.length > LARGE ? "canvas" : "svg",
    actions: { export: true, source: false, compiled: false, editor: false },
    downloadFileName: said.name, tooltip: { theme: isDark.matches ? "dark" : "light" },
  });
  place.style.minHeight = "";
  figure.dataset.drawn = "yes";
}

const figures = [...document.querySelectorAll("figure[data-chart]")];
const near = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (isIntersecting) { near.unobserve(target); draw(target); }
  }
}, { rootMargin: "400px" });
for (const figure of figures) {
  near.observe(figure);
  for (const select of figure.querySelectorAll("select")) {
    select.addEventListener("change", () => draw(figure));
  }
}
isDark.addEventListener("change", () => {
  for (const figure of figures) if (figure.dataset.drawn) draw(figure);
});
addEventListener("beforeprint", () => {
  for (const figure of figures) if (!figure.dataset.drawn) { near.unobserve(figure); draw(figure); }
});

function valueOf(cell, isNumber) {
  if (!isNumber) return cell.textContent;
  return cell.dataset.v === undefined ? null : Number(cell.dataset.v);
}

function compared(a, b, way) {
  if (a === null || b === null) return (a === null) - (b === null); // what is missing comes last
  return way * (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));
}

const many = (number) => number.toLocaleString("en");

for (const section of document.querySelectorAll("section.table")) {
  const body = section.querySelector("tbody");
  const heads = [...section.querySelectorAll("th")];
  const filter = section.querySelector("input");
  const status = section.querySelector("[role=status]");
  const rest = section.querySelector("button.rest");
  const texts = new Map([...body.rows].map((row) => [row, row.textContent.toLowerCase()]));
  let most = Number(section.dataset.most); // rows that are shown; more take long to lay out

  const show = () => {
    const words = filter ? filter.value.toLowerCase().split(/\s+/).filter(Boolean) : [];
    let found = 0;
    for (const row of body.rows) {
      const isFound = words.every((word) => texts.get(row).includes(word));
      found += isFound;
      row.hidden = !isFound || found > most;
    }
    if (!filter) return;
    const of = words.length ? `${many(found)} of ${many(texts.size)} rows` : `${many(found)} rows`;
    status.textContent = found > most ? `${of}, the first ${many(most)} are shown` : of;
    rest.hidden = found <= most;
  };
  const showAll = () => { most = Infinity; show(); };

  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const way = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const isNumber = head.classList.contains("number");
    const keyed = [...body.rows].map((row) => [valueOf(row.cells[column], isNumber), row]);
    keyed.sort(([a], [b]) => compared(a, b, way));
    for (const other of heads) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
    body.append(...keyed.map(([, row]) => row));
    show();
  }));
  filter?.addEventListener("input", show);
  rest?.addEventListener("click", showAll);
  addEventListener("beforeprint", showAll);
}

for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", async () => {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
  });
}
