/* Draws the charts of the overview from the numbers on the page; a bar leads to the rows behind it. */
"use strict";

(() => {
  const source = document.getElementById("amp-charts");
  if (!source || !window.Chart) return;
  const charts = JSON.parse(source.textContent);
  const drawn = [];

  const colour = (name) => getComputedStyle(document.body).getPropertyValue(`--amp-${name}`).trim();
  const fills = { amber: "#f79009", green: "#17b26a", teal: "#0d9488" };
  const format = new Intl.NumberFormat(document.documentElement.lang || "en", { maximumFractionDigits: 2 });

  const options = (urls) => ({
    animation: false,
    maintainAspectRatio: false,
    interaction: { mode: "index", intersect: false },
    onClick: (_event, bars) => { if (bars.length) window.location.assign(urls[bars[0].index]); },
    plugins: { legend: { display: false }, tooltip: { displayColors: false, callbacks: { label: (item) => format.format(item.raw) } } },
    scales: {
      x: { grid: { display: false }, border: { color: colour("line") }, ticks: { color: colour("muted"), maxRotation: 0, autoSkipPadding: 12 } },
      y: { beginAtZero: true, border: { display: false }, grid: { color: colour("line") }, ticks: { color: colour("muted"), precision: 0, maxTicksLimit: 5 } },
    },
  });

  const draw = () => {
    drawn.splice(0).forEach((chart) => chart.destroy());
    document.querySelectorAll("[data-chart]").forEach((canvas) => {
      const chart = charts[canvas.dataset.chart];
      const datasets = chart.series.map((each) => ({ label: each.label, data: each.data, backgroundColor: fills[each.tone], borderRadius: 4, maxBarThickness: 36 }));
      drawn.push(new window.Chart(canvas, { type: "bar", data: { labels: chart.labels, datasets }, options: options(chart.urls) }));
    });
  };

  draw();
  new MutationObserver(draw).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
})();
