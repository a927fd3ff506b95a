// A real nginx in front of the sidecar, with the settings of docs/deploy/proxies.md.

import { documented, replaced, run } from './documented.mjs';
import { base } from './stage.mjs';

// settings are those of the documentation, for another prefix, address and port.
function settings({ port, prefix, to, strip, sockets, files }) {
  let conf = replaced(documented('nginx'), 'listen 80;', `listen 127.0.0.1:${port};`);
  if (!strip || !prefix) conf = replaced(conf, 'X-Forwarded-Prefix /agentexec;', 'X-Forwarded-Prefix "";');
  conf = replaced(conf, 'http://127.0.0.1:8484/', to + (strip ? '/' : ''));
  if (!sockets) conf = replaced(conf, 'proxy_http_version 1.1;', 'proxy_http_version 1.1; if ($http_upgrade) { return 403; }');
  if (!prefix || !strip) conf = conf.replace(/location = \/agentexec \{[^}]*\}/, '');
  if (!strip) conf = conf.replace('location /agentexec/ {', 'location ~ ^/agentexec(/|$) {');
  if (!prefix) return withFiles(conf.replaceAll('/agentexec', ''), files);
  return withFiles(conf.replace('server {', 'server {\n    location / { return 404; }').replaceAll('/agentexec', prefix), files);
}

const withFiles = (conf, files) =>
  files ? conf.replace('server {', `server {\n    location /files/ { alias ${files}/; types { text/html html; text/javascript js; } }`) : conf;

/**
 * Starts nginx. It serves the sidecar at `to` below `prefix`, which it removes or, with `strip: false`, leaves; with
 * `sockets: false` it refuses WebSockets. It serves a folder of `files` at /files/. `strays` returns the requests that were
 * not below the prefix.
 */
export const nginx = ({ prefix = '', to = base, strip = true, sockets = true, files } = {}) =>
  run('nginx', {
    prefix,
    settings(port, dir) {
      const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${dir}/${name};`).join(' ');
      return `
daemon off; master_process off; pid ${dir}/pid; error_log stderr warn;
events { worker_connections 1024; }
http {
  ${temporary}
  log_format asked '$request_uri'; access_log ${dir}/asked asked;
  ${settings({ port, prefix, to, strip, sockets, files })}
}`;
    },
    args: (file, dir) => ['-p', dir, '-c', file],
    requested: (lines) => lines,
  });
