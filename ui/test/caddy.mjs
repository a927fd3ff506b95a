// A real Caddy in front of the sidecar, with the settings of docs/deploy/proxies.md, and with TLS: it makes its own certificate
// for localhost.

import { documented, replaced, run } from './documented.mjs';
import { base } from './stage.mjs';

// settings are those of the documentation, for another prefix, address and port.
function settings({ port, dir, prefix, to, strip, sockets }) {
  let conf = replaced(documented('caddy'), 'example.org {', `localhost:${port} {
    bind 127.0.0.1
    log {
        output file ${dir}/asked
        format json
    }`);
  conf = replaced(conf, '127.0.0.1:8484', new URL(to).host);
  if (!sockets) conf = replaced(conf, 'reverse_proxy ', '@socket header Upgrade *\n        respond @socket 403\n        reverse_proxy ');
  if (!strip || !prefix) conf = replaced(conf, 'header_up X-Forwarded-Prefix /agentexec', 'header_up -X-Forwarded-Prefix');
  if (!strip) conf = replaced(conf, 'handle_path', 'handle');
  if (prefix) return conf.replaceAll('/agentexec', prefix);
  return replaced(conf, 'handle_path /agentexec/*', 'handle').replace(/route [^}]*\{uri\}[^}]*\}/, '');
}

/** Starts Caddy, as nginx.mjs starts nginx. */
export const caddy = ({ prefix = '', to = base, strip = true, sockets = true } = {}) =>
  run('caddy', {
    prefix,
    scheme: 'https',
    host: 'localhost',
    quiet: true, // it tells how it starts
    settings: (port, dir) => `{
    admin off
    auto_https disable_redirects
    skip_install_trust
    log {
        level ERROR
    }
}
${settings({ port, dir, prefix, to, strip, sockets })}`,
    args: (file) => ['run', '--adapter', 'caddyfile', '--config', file],
    requested: (lines) => lines.map((line) => JSON.parse(line).request.uri),
  });
