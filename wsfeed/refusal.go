package wsfeed

// refused logs a read that fails however often it is tried. It is called once for a subscription, and for a list once for
// all that watch it.
func (h *Hub) refused(r *Refusal, about ...any) {
	if r.logged.Swap(true) || !h.refusals.Allow() {
		return
	}
	h.cfg.Logger.Warn("a subscription cannot be served: "+r.Message, append(about, "error", r.Err)...)
}
