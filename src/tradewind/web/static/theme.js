// Runs before the first paint: the choice of light or dark, kept in this browser only.
const chosen = () => { try { return localStorage.getItem('theme'); } catch { return null; } };
const dark = () => (chosen() ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark';
if (chosen()) document.documentElement.dataset.theme = chosen();
const label = () => { const button = document.getElementById('theme'); if (button) button.textContent = dark() ? 'Light' : 'Dark'; };
document.addEventListener('DOMContentLoaded', label);
document.addEventListener('click', event => {
  if (!event.target.closest('#theme')) return;
  const next = dark() ? 'light' : 'dark';
  document.documentElement.dataset.theme = next;
  try { localStorage.setItem('theme', next); } catch { /* a browser that keeps nothing still gets the theme for this page */ }
  label();
  dispatchEvent(new Event('retheme'));
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { label(); dispatchEvent(new Event('retheme')); });
