// <vega-chart src="spec address" rows="{named data}">: draws a Vega-Lite spec made in Python with the page's colours.
// It draws in a shadow root, so that morphing the page around it never touches the drawing; new rows go into the living chart.
const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const theme = () => {
  const ink = css('--ink2'), line = css('--line');
  return {
    background: null, font: css('--font'), view: { stroke: null },
    range: { category: [1, 2, 3, 4, 5, 6].map(at => css('--c' + at)) },
    style: { series: { color: css('--c1') }, promotion: { color: css('--c2') }, plan: { color: ink } },
    axis: { labelColor: ink, titleColor: ink, gridColor: line, domainColor: line, tickColor: line, labelFontSize: 11, titleFontSize: 11, titleFontWeight: 400 },
  };
};
const specs = new Map();
const specOf = address => {
  if (!specs.has(address)) specs.set(address, fetch(address).then(answer => { if (!answer.ok) throw new Error('status ' + answer.status); return answer.json(); }));
  return specs.get(address);
};

customElements.define('vega-chart', class extends HTMLElement {
  static observedAttributes = ['rows'];
  drawn = 0; // how often; tests wait for it
  #view = null; #names = []; #turn = 0; #redraw = () => this.draw();
  constructor() { super(); this.attachShadow({ mode: 'open' }).append(document.createElement('div')); }
  connectedCallback() { this.setAttribute('role', 'img'); addEventListener('retheme', this.#redraw); this.draw(); }
  disconnectedCallback() { removeEventListener('retheme', this.#redraw); this.#view?.finalize(); this.#view = null; }
  attributeChangedCallback(_, before, after) { if (before !== null && before !== after) this.update(); }
  get rows() { return JSON.parse(this.getAttribute('rows') || '{}'); }
  async update() {
    if (!this.#view) return this.draw();
    const data = this.rows;
    for (const name of this.#names) this.#view.data(name, data[name] ?? []);
    await this.#view.runAsync();
    this.drawn += 1;
  }
  async draw() {
    const turn = ++this.#turn;
    try {
      const datasets = this.rows;
      const spec = { ...await specOf(this.getAttribute('src')), datasets };
      if (turn !== this.#turn) return;
      this.#view?.finalize();
      const made = await vegaEmbed(this.shadowRoot.firstChild, spec, { ast: true, logLevel: 1, renderer: 'svg', actions: false, defaultStyle: false, tooltip: { disableDefaultStyle: true }, config: theme() });
      if (turn !== this.#turn) return made.view.finalize();
      this.#view = made.view; this.#names = Object.keys(datasets);
      this.drawn += 1;
    } catch (error) {
      this.shadowRoot.firstChild.textContent = 'The chart could not be drawn (' + error.message + '). The table below holds its numbers.';
    }
  }
});
