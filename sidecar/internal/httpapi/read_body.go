package httpapi

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

const (
	// maxDrained bounds how much of a body over the limit is read and dropped after the limit. Without that, a client that
	// sends before it reads would see a broken connection instead of the answer.
	maxDrained = 8 << 20
	// smallBody is the size up to which bodies are not counted as held.
	smallBody = 64 << 10
)

// readBody reads the whole body, or returns a problem. Unless it has read all of the body, it has the connection closed.
//
// The read deadline is lifted after a whole body, because it would also end the wait for the database. Otherwise it stays,
// because net/http waits for the rest of the body, however slowly it comes.
func (rq *request) readBody() error {
	maxBody := rq.api.BodyBytes // a message of 1 MiB fits into the default of 2, with a reasonable number of JSON escapes
	rq.w.Header().Set("Connection", "close")
	if err := rq.reserveBody(); err != nil {
		return err
	}
	connection := http.NewResponseController(rq.w)
	_ = connection.SetReadDeadline(time.Now().Add(rq.api.BodyTimeout))
	data, err := io.ReadAll(io.LimitReader(rq.r.Body, int64(maxBody)+1))
	if len(data) > maxBody {
		_, _ = io.CopyN(io.Discard, rq.r.Body, maxDrained)
		rq.api.Note(LimitBodyBytes)
		return problem.New(http.StatusRequestEntityTooLarge, "", "the body must be at most "+strconv.Itoa(maxBody)+" bytes")
	}
	if network := net.Error(nil); errors.As(err, &network) && network.Timeout() {
		rq.api.Note(LimitBodyTimeout)
		return problem.New(http.StatusRequestTimeout, "", "the body did not come in time")
	}
	if err != nil {
		return problem.New(http.StatusBadRequest, "", "the body broke off")
	}
	_ = connection.SetReadDeadline(time.Time{})
	rq.w.Header().Del("Connection")
	rq.body = bytes.TrimSpace(data)
	if contentType := rq.r.Header.Get("Content-Type"); len(rq.body) > 0 && !isJSON(contentType) {
		rq.w.Header().Set("Accept", "application/json")
		return problem.New(http.StatusUnsupportedMediaType, "", "the body must be application/json, got "+problem.Quoted(contentType))
	}
	return nil
}

// isJSON reports whether a content type is JSON in UTF-8. None at all counts as JSON.
func isJSON(contentType string) bool {
	if contentType == "" {
		return true
	}
	media, params, err := mime.ParseMediaType(contentType)
	charset := params["charset"]
	return err == nil && media == "application/json" && (charset == "" || strings.EqualFold(charset, "utf-8"))
}

// reserveBody waits for memory for the body, or returns a problem.
func (rq *request) reserveBody() (err error) {
	size := rq.r.ContentLength
	if size < 0 || size > int64(rq.api.BodyBytes) {
		size = int64(rq.api.BodyBytes)
	}
	if size > smallBody {
		rq.bodyShare, err = rq.reserve(rq.r.Context(), size)
	}
	return err
}
