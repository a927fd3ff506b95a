// Package auth checks the tokens of the sidecar's callers, and makes tokens for testing.
//
// A token is a JWT. Its claim "agentexec" has the rights of the caller (grant.go). The key that must have signed it comes from
// one source (key.go, jwks.go), and the algorithm from the configuration, never from the token. A right that is not granted is
// denied, and an unknown claim is refused.
//
// Nothing here logs a token or puts one into an error.
//
// May import: pkg/client's plain types, internal/jsonb, and the JWT libraries.
package auth
