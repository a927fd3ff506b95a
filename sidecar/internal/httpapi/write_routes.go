package httpapi

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/agentexec/agentexec/sidecar/internal/access"
)

const cancelPendingID = "cancel-pending"

// The statuses that a write may be refused with, beside those of every request.
var (
	createErrors = []int{400, 403, 408, 409, 413, 415, 422}
	lineErrors   = []int{400, 403, 404, 408, 409, 413, 415, 422}
	cancelErrors = []int{400, 403, 408, 413, 415, 422}
)

func (a *api) registerWrites() {
	register(a, access.VerbWrite, huma.Operation{
		OperationID:   "create-activity",
		Method:        http.MethodPost,
		Path:          "/v1/activities",
		Tags:          []string{tagActivities},
		Summary:       "Create an activity",
		Description:   "Registers an activity, QUEUED at 0 percent, with the message as its line 1.",
		DefaultStatus: http.StatusCreated,
		Responses:     jsonResponse(http.StatusCreated, "The activity is created.", nil),
		Errors:        createErrors,
	}, a.create)

	register(a, access.VerbWrite, huma.Operation{
		OperationID: "append-log",
		Method:      http.MethodPost,
		Path:        "/v1/activities/{agent_id}/logs",
		Tags:        []string{tagActivities},
		Summary:     "Append a line",
		Description: "Appends one line to the activity's log. A line without a status, or with the one the activity has, is taken even " +
			"after the end: a trailing line is not lost. The first line with RUNNING starts the activity.",
		DefaultStatus: http.StatusCreated,
		Responses:     jsonResponse(http.StatusCreated, "The line as it was written.", nil),
		Errors:        lineErrors,
	}, a.append)

	register(a, access.VerbWrite, huma.Operation{
		OperationID: "complete-activity",
		Method:      http.MethodPost,
		Path:        "/v1/activities/{agent_id}/complete",
		Tags:        []string{tagActivities},
		Summary:     "End an activity well",
		Description: "Appends the line that makes the activity COMPLETE. The body may be left out.",
		Responses:   jsonResponse(http.StatusOK, "The line as it was written.", nil),
		Errors:      lineErrors,
	}, a.complete)

	register(a, access.VerbWrite, huma.Operation{
		OperationID: "fail-activity",
		Method:      http.MethodPost,
		Path:        "/v1/activities/{agent_id}/error",
		Tags:        []string{tagActivities},
		Summary:     "End an activity badly",
		Description: "Appends the line that makes the activity ERROR. A later line with RUNNING or QUEUED is a retry. The body may be left out.",
		Responses:   jsonResponse(http.StatusOK, "The line as it was written.", nil),
		Errors:      lineErrors,
	}, a.fail)

	register(a, access.VerbCancel, huma.Operation{
		OperationID: "cancel-activity",
		Method:      http.MethodPost,
		Path:        "/v1/activities/{agent_id}/cancel",
		Tags:        []string{tagActivities},
		Summary:     "Cancel an activity",
		Description: "Appends the line that makes the activity CANCELED. Its worker learns of it from the answer to its next line. The body may be left out.",
		Responses:   jsonResponse(http.StatusOK, "The line as it was written.", nil),
		Errors:      lineErrors,
	}, a.cancel)

	register(a, access.VerbCancel, huma.Operation{
		OperationID: cancelPendingID,
		Method:      http.MethodPost,
		Path:        "/v1/activities/cancel-pending",
		Tags:        []string{tagActivities},
		Summary:     "Cancel all pending activities that match",
		Description: "Cancels the QUEUED and RUNNING activities that match every field given, each with its own line. At least one of `agent_type`, " +
			"`metadata_filter` and `idle_for` must be given, or `all: true`. Activities that another transaction keeps locked for longer than 1 s are skipped.",
		Responses: jsonResponse(http.StatusOK, "They are canceled.", nil),
		Errors:    cancelErrors,
	}, a.cancelPending)
}
