package httpapi

import "github.com/agentexec/agentexec/sidecar/internal/access"

// route is one operation of the API.
type route struct {
	pattern   string      // the method and the path, as http.ServeMux takes them
	operation string      // its operationId in the document; logs name it
	takes     access.Verb // what the token must grant
	handle    func(*request)
}

// waits reports whether the operation may wait for row locks. A heartbeat waits for none, so it uses a connection for reads:
// blocked writes must not delay it, because the activity would become stale.
func (r route) waits() bool { return r.takes != access.VerbRead && r.operation != heartbeatID }

const (
	activitiesPath  = "/v1/activities"
	questionsPath   = "/v1/questions"
	ticketsPath     = "/v1/feed/tickets"
	cancelPendingID = "cancel-pending"
	heartbeatID     = "send-heartbeat"
)

var routes = []route{
	{"GET " + activitiesPath, "list-activities", access.VerbRead, (*request).list},
	{"GET " + activitiesPath + "/{agent_id}", "get-activity", access.VerbRead, (*request).detail},
	{"GET " + questionsPath, "list-questions", access.VerbRead, (*request).questions},
	{"GET " + activitiesPath + "/{agent_id}/questions/{key}", "get-question", access.VerbRead, (*request).question},
	{"GET /v1/stats", "get-stats", access.VerbRead, (*request).stats},
	{"POST " + ticketsPath, "create-feed-ticket", access.VerbRead, (*request).createTicket},
	{"POST " + activitiesPath, "create-activity", access.VerbWrite, (*request).create},
	{"POST " + activitiesPath + "/{agent_id}/logs", "append-log", access.VerbWrite, (*request).append},
	{"POST " + activitiesPath + "/{agent_id}/complete", "complete-activity", access.VerbWrite, (*request).complete},
	{"POST " + activitiesPath + "/{agent_id}/error", "fail-activity", access.VerbWrite, (*request).fail},
	{"POST " + activitiesPath + "/{agent_id}/heartbeat", heartbeatID, access.VerbWrite, (*request).heartbeat},
	{"POST " + activitiesPath + "/{agent_id}/questions", "ask-question", access.VerbWrite, (*request).ask},
	{"POST " + activitiesPath + "/{agent_id}/questions/{key}/withdraw", "withdraw-question", access.VerbWrite, (*request).withdraw},
	{"POST " + activitiesPath + "/{agent_id}/questions/{key}/answer", "answer-question", access.VerbAnswer, (*request).answerQuestion},
	{"POST " + activitiesPath + "/{agent_id}/questions/{key}/decline", "decline-question", access.VerbAnswer, (*request).decline},
	{"POST " + activitiesPath + "/{agent_id}/cancel", "cancel-activity", access.VerbCancel, (*request).cancel},
	{"POST " + activitiesPath + "/cancel-pending", cancelPendingID, access.VerbCancel, (*request).cancelPending},
}
