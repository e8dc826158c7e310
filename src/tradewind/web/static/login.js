// A link may carry the token behind the # (browsers never send that part): fill it in, drop it from the address, sign in.
const token = decodeURIComponent(location.hash.slice(1));
if (token) {
  history.replaceState(null, '', location.pathname);
  document.getElementById('token').value = token;
  document.getElementById('login').requestSubmit();
}
