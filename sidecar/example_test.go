package sidecar_test

import (
	"context"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/agentexec/agentexec/sidecar"
)

// A Go program serves the feed, the API and the dashboard at /agentexec/ of its own server.
func ExampleServer_Handler() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	service, err := sidecar.New(sidecar.Config{DatabaseURL: os.Getenv("AGENTEXEC_DATABASE_URL"), NoListener: true})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/agentexec/", http.StripPrefix("/agentexec", service.Handler()))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	listener, err := net.Listen("tcp", "127.0.0.1:8080")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		if err := server.Serve(service.Listener(listener)); err != http.ErrServerClosed {
			log.Print(err)
			stop()
		}
	}()
	if err := service.Run(ctx); err != nil {
		log.Print(err)
	}
	_ = server.Close()
}
