package edge

import "net/http"

// safeHeaders are on every answer. The dashboard's handler replaces the policy with its own, which allows its scripts.
var safeHeaders = map[string]string{
	"Content-Security-Policy":      "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Permissions-Policy":           "accelerometer=(), camera=(), geolocation=(), microphone=(), payment=(), usb=()",
	"Referrer-Policy":              "no-referrer",
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
	"Cache-Control":                "no-store",
}

// stayOnTLS is valid for a year. It excludes subdomains, which may have another owner.
const stayOnTLS = "max-age=31536000"

// SafeHeaders adds safeHeaders to every answer.
func SafeHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		for name, value := range safeHeaders {
			h.Set(name, value)
		}
		if r.TLS != nil {
			h.Set("Strict-Transport-Security", stayOnTLS)
		}
		next.ServeHTTP(w, r)
	})
}
