// The token that the server asks for, where it does: from the address, /#token=..., which browsers send to nobody, or
// typed in. It lives as long as the tab.

const KEY = 'agentexec.token';

const given = new URLSearchParams(location.hash.slice(1)).get('token');
if (given !== null) {
  keep(given);
  history.replaceState(null, '', location.pathname + location.search); // out of sight, and out of the history
}

// token is the one there is, or ''.
export const token = () => sessionStorage.getItem(KEY) ?? '';

export function keep(text) {
  sessionStorage.setItem(KEY, text.trim());
}

// protocols are what a WebSocket offers: it can send no header.
export const protocols = () => (token() ? ['agentexec.v1', 'bearer.' + token()] : ['agentexec.v1']);

// refusal says why the server does not let us in, or '' where that is not what is wrong: a WebSocket does not say.
export async function refusal(patience) {
  try {
    const headers = token() ? { Authorization: 'Bearer ' + token() } : {};
    const answer = await fetch('/v1/feed', { headers, cache: 'no-store', signal: AbortSignal.timeout(patience) });
    return [401, 403].includes(answer.status) ? (await answer.json()).detail : '';
  } catch {
    return '';
  }
}
