// Package auth checks the tokens that callers of the sidecar bring, and makes some for testing.
//
// A token is a JWT. Its claim "agentexec" has the rights of the caller (grant.go); the key that must have signed it comes
// from one source (key.go, jwks.go) and the algorithm from the configuration, never from the token. A right
// that is not granted is denied, and a claim that is not understood is refused.
//
// Nothing here logs a token or puts one into an error.
//
// May import: pkg/client's plain types, internal/jsonb, and the JWT libraries.
package auth
