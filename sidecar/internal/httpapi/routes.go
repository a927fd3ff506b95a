package httpapi

import (
	"net/http"

	"github.com/agentexec/agentexec/sidecar/internal/access"
)

// route is one operation of the API.
type route struct {
	pattern   string      // the method and the path, as http.ServeMux takes them
	operation string      // its operationId in the document; logs name it
	takes     access.Verb // what the token must grant
	status    int         // the status of its answer
	handle    handler
}

// waits reports whether the operation may wait for row locks. A heartbeat waits for none, so it uses a connection for reads:
// blocked writes must not delay it, because the activity would become stale.
func (r route) waits() bool { return r.takes != access.VerbRead && r.operation != heartbeatID }

const (
	activitiesPath  = "/v1/activities"
	activityPath    = activitiesPath + "/{agent_id}"
	questionsPath   = "/v1/questions"
	questionPath    = activityPath + "/questions/{key}"
	ticketsPath     = "/v1/feed/tickets"
	cancelPendingID = "cancel-pending"
	heartbeatID     = "send-heartbeat"
)

var routes = []route{
	{"GET " + activitiesPath, "list-activities", access.VerbRead, http.StatusOK, (*request).list},
	{"GET " + activityPath, "get-activity", access.VerbRead, http.StatusOK, (*request).detail},
	{"GET " + questionsPath, "list-questions", access.VerbRead, http.StatusOK, (*request).questions},
	{"GET " + questionPath, "get-question", access.VerbRead, http.StatusOK, (*request).question},
	{"GET /v1/stats", "get-stats", access.VerbRead, http.StatusOK, (*request).stats},
	{"POST " + ticketsPath, "create-feed-ticket", access.VerbRead, http.StatusCreated, (*request).createTicket},
	{"POST " + activitiesPath, "create-activity", access.VerbWrite, http.StatusCreated, post[createActivity]},
	{"POST " + activityPath + "/logs", "append-log", access.VerbWrite, http.StatusCreated, post[appendLog]},
	{"POST " + activityPath + "/complete", "complete-activity", access.VerbWrite, http.StatusOK, post[completeActivity]},
	{"POST " + activityPath + "/error", "fail-activity", access.VerbWrite, http.StatusOK, post[failActivity]},
	{"POST " + activityPath + "/heartbeat", heartbeatID, access.VerbWrite, http.StatusOK, post[sendHeartbeat]},
	{"POST " + activityPath + "/questions", "ask-question", access.VerbWrite, http.StatusCreated, post[askQuestion]},
	{"POST " + questionPath + "/withdraw", "withdraw-question", access.VerbWrite, http.StatusOK, post[withdrawQuestion]},
	{"POST " + questionPath + "/answer", "answer-question", access.VerbAnswer, http.StatusOK, post[answerQuestion]},
	{"POST " + questionPath + "/decline", "decline-question", access.VerbAnswer, http.StatusOK, post[declineQuestion]},
	{"POST " + activityPath + "/cancel", "cancel-activity", access.VerbCancel, http.StatusOK, post[cancelActivity]},
	{"POST " + activitiesPath + "/cancel-pending", cancelPendingID, access.VerbCancel, http.StatusOK, post[cancelPending]},
}
