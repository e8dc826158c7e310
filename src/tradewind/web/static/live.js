// One socket: how many predictions this server gave, and a fresh forecast when another version starts to serve.
const pill = document.getElementById('live');
let last = null, wait = 1000;
const show = (state, text) => { pill.dataset.state = state; if (pill.textContent !== text) pill.textContent = text; };
const connect = () => {
  const socket = new WebSocket(location.origin.replace(/^http/, 'ws') + '/ws');
  socket.addEventListener('open', () => {
    wait = 1000; show('on', 'connected');
    socket.send(JSON.stringify({ type: 'subscribe', topics: ['deployment'], ...(last === null ? {} : { after: last }) }));
    socket.send(JSON.stringify({ type: 'subscribe', topics: ['counts'] }));
  });
  socket.addEventListener('message', event => {
    const said = JSON.parse(event.data);
    if (said.type === 'hello' && last === null) last = said.seq;
    if (said.topic === 'counts' && said.type === 'counts') show('on', 'live · ' + said.data.predictions.toLocaleString('en-US') + ' predictions by REST');
    if (said.topic === 'deployment' && said.type !== 'error') {
      last = said.seq;
      const form = document.getElementById('ask');
      if (form) htmx.trigger(form, 'refresh'); else location.reload();
    }
  });
  socket.addEventListener('close', () => { show('off', 'offline, trying again'); setTimeout(connect, wait); wait = Math.min(wait * 2, 30000); });
};
connect();
