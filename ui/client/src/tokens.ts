/** A token, or what gets one. It is asked again before the token expires, and when the server refuses it. */
export type TokenSource = string | (() => string | Promise<string>);

export interface Tokens {
  /** Resolves to the token to use now; fresh asks for another one than the last. */
  get(fresh?: boolean): Promise<string | undefined>;
  /** Whether there may be another one. */
  renewable: boolean;
  /** In how many milliseconds the last one wants to be renewed; Infinity for never. */
  due(): number;
}

export function createTokens(source: TokenSource | undefined): Tokens {
  let known: string | undefined;
  let renewAt = 0;
  let asking: Promise<string> | undefined;
  const ask = async (source: () => string | Promise<string>) => {
    known = await source();
    renewAt = renewalOf(known);
    return known;
  };
  return {
    renewable: typeof source === 'function',
    due: () => renewAt - Date.now(),
    async get(fresh) {
      if (typeof source !== 'function') {
        renewAt = Infinity;
        return source;
      }
      return !fresh && known && Date.now() < renewAt ? known : (asking ??= ask(source).finally(() => (asking = undefined)));
    },
  };
}

// renewalOf is when a JWT is to be renewed: half a minute before it expires, or half way where it lives shorter.
function renewalOf(token: string): number {
  try {
    const claims = JSON.parse(atob(token.split('.')[1]!.replace(/-/g, '+').replace(/_/g, '/'))) as { exp?: number };
    const left = claims.exp! * 1000 - Date.now();
    return Date.now() + Math.max(left - 30_000, left / 2) || Infinity;
  } catch {
    return Infinity; // no JWT: the server will say when it does not hold any more
  }
}
