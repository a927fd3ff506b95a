// A proxy in front of the sidecar that fails as it is told. nginx.mjs is a real one.

import http from 'node:http';
import net from 'node:net';
import { base } from './stage.mjs';

export const horrible = '<h1>500</h1><script>window.pwned = 3</script>';

// proxy returns where it is, and what has it fail: `fail` is of a path, and has the API answer 500 where it holds.
export async function proxy() {
  const { hostname, port } = new URL(base);
  const ways = { fail: () => false };
  const open = new Set();
  const server = http.createServer((req, res) => {
    if (ways.fail(req.url)) return void res.writeHead(500, { 'content-type': 'text/html' }).end(horrible);
    const on = http.request({ hostname, port, path: req.url, method: req.method, headers: req.headers }, (answer) => {
      res.writeHead(answer.statusCode, answer.headers);
      answer.pipe(res);
    });
    on.on('error', () => res.destroy());
    res.on('close', () => on.destroy());
    req.pipe(on);
  });
  server.on('upgrade', (req, socket, head) => {
    if (ways.fail(req.url)) return socket.end('HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
    const on = net.connect(Number(port), hostname, () => {
      const headers = req.rawHeaders.map((h, i) => h + (i % 2 ? '\r\n' : ': ')).join('');
      on.write(`${req.method} ${req.url} HTTP/1.1\r\n${headers}\r\n`);
      on.write(head);
      on.pipe(socket).pipe(on);
    });
    for (const [one, other] of [[on, socket], [socket, on]]) {
      open.add(one);
      one.on('error', () => {});
      one.on('close', () => (open.delete(one), other.destroy()));
    }
  });
  await new Promise((go) => server.listen(0, '127.0.0.1', go));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    set: (change) => Object.assign(ways, change),
    cut: () => open.forEach((socket) => socket.destroy()),
    close: () => (open.forEach((socket) => socket.destroy()), server.closeAllConnections(), server.close()),
  };
}
