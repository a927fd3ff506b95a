// Why a request failed, in words and for programs.

import { ProblemError } from './http.ts';

const PATIENCE = 5_000;

export interface Reason {
  reason: string;
  code: string;
}

export type Explain = (error: unknown) => Promise<Reason>;

/**
 * A browser tells a page neither the status of a refused WebSocket nor why a fetch failed. Whether the server answers at
 * all can be asked: a request without CORS succeeds without showing the answer. The first refusal of the page's origin
 * is also logged to the console, because it takes a setting of the sidecar to cure it.
 */
export function createExplain(base: URL, fetch: typeof globalThis.fetch): Explain {
  let logged = false;
  return async (error) => {
    if (error instanceof ProblemError) return { reason: error.message, code: error.code };
    const { origin } = base;
    const page = globalThis.location?.origin;
    const answers =
      page && page !== origin && (await fetch(new URL('healthz', base), { mode: 'no-cors', cache: 'no-store', signal: AbortSignal.timeout(PATIENCE) }).then(() => true, () => false));
    if (!answers) {
      const { message, cause } = error as Error & { cause?: Error };
      return { reason: `${origin} cannot be reached (${cause?.message || message})`, code: 'unreachable' };
    }
    const reason = `${origin} refuses pages of ${page}: start the sidecar with --allow-origin ${page}, or set AGENTEXEC_ALLOW_ORIGIN=${page}`;
    if (!logged) console.error('agentexec: ' + reason);
    logged = true;
    return { reason, code: 'refused_origin' };
  };
}
