// A real HAProxy in front of the sidecar, with the settings of docs/deploy/proxies.md.

import { documented, replaced, run } from './documented.mjs';
import { base } from './stage.mjs';

// settings are those of the documentation, for another prefix, address and port.
function settings({ port, prefix, to, strip, sockets }) {
  let conf = replaced(documented('haproxy'), 'bind :80', `bind 127.0.0.1:${port}\n    log global\n    option dontlognull\n    log-format %HU`);
  conf = replaced(conf, '127.0.0.1:8484', new URL(to).host);
  if (!strip || !prefix) {
    conf = replaced(conf, 'set-header X-Forwarded-Prefix /agentexec', 'del-header X-Forwarded-Prefix');
    conf = replaced(conf, 'http-request replace-path /agentexec(/.*) \\1', '');
  }
  if (!sockets) conf = replaced(conf, 'option forwardfor', 'option forwardfor\n    http-request deny if { hdr(upgrade) -m found }');
  if (prefix) return conf.replaceAll('/agentexec', prefix);
  conf = conf.replace(/http-request redirect .*/, '');
  return replaced(conf, 'use_backend agentexec if { path_beg /agentexec/ }', 'default_backend agentexec');
}

/** Starts HAProxy, as nginx.mjs starts nginx. */
export const haproxy = ({ prefix = '', to = base, strip = true, sockets = true } = {}) =>
  run('haproxy', {
    prefix,
    quiet: true, // it tells its version
    settings: (port) => `global\n    log stdout format raw local0\n\n${settings({ port, prefix, to, strip, sockets })}`,
    args: (file) => ['-db', '-f', file],
    requested: (lines) => lines,
  });
