// Package credential is what proves who a user is: names, tokens, and the key that tokens
// are derived from. No verb of fmt and no slog handler shows a Secret.
package credential
