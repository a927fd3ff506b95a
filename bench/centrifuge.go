package main

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/jackc/pgx/v5"
)

// runCentrifuge is the peer for fan-out: the centrifuge library, one channel, fed by LISTEN with
// the line as the payload, as relays commonly are.
func runCentrifuge(ctx context.Context, url, addr string, ready func(string)) error {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return err
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{UserID: "bench"}}, nil
	})
	node.OnConnect(func(c *centrifuge.Client) {
		c.OnSubscribe(func(_ centrifuge.SubscribeEvent, done centrifuge.SubscribeCallback) {
			done(centrifuge.SubscribeReply{}, nil)
		})
	})
	if err := node.Run(); err != nil {
		return err
	}
	defer func() { _ = node.Shutdown(context.WithoutCancel(ctx)) }()

	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	// The timeouts are longer than its defaults (1 s, 8 s): the sockets share the machine with it, and a closed one would
	// get no lines.
	config := centrifuge.WebsocketConfig{WriteTimeout: 20 * time.Second}
	config.PingInterval, config.PongTimeout = 25*time.Second, 20*time.Second
	web := &http.Server{Handler: centrifuge.NewWebsocketHandler(node, config)}
	go func() { _ = web.Serve(l) }()
	defer web.Close()

	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "listen centrifuge"); err != nil {
		return err
	}
	ready("ws://" + l.Addr().String() + "/")
	for {
		n, err := conn.WaitForNotification(ctx)
		if ctx.Err() != nil {
			return nil
		} else if err != nil {
			return err
		}
		if _, err := node.Publish("bench", []byte(n.Payload)); err != nil {
			return err
		}
	}
}
