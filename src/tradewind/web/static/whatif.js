// The what-if form: says the chosen price while it is dragged, and takes the plan back. The server owns every number.
const form = document.getElementById('ask');
const price = document.getElementById('price');
const say = () => {
  const value = +price.value, text = (value > 0 ? '+' : value < 0 ? '\u2212' : '±') + Math.abs(value) + ' %';
  document.getElementById('price-said').textContent = text;
  price.setAttribute('aria-valuetext', value + ' percent');
};
price.addEventListener('input', say);
document.getElementById('reset').addEventListener('click', () => {
  price.value = 0; form.elements.promotion.value = 'plan'; say(); htmx.trigger(form, 'refresh');
});
say();
