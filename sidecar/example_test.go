package sidecar_test

import (
	"context"
	"log"
	"net/http"
	"os"
	"os/signal"

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
	go func() {
		http.Handle("/agentexec/", http.StripPrefix("/agentexec", service.Handler()))
		log.Print(http.ListenAndServe("127.0.0.1:8080", nil))
		stop()
	}()
	if err := service.Run(ctx); err != nil {
		log.Print(err)
	}
}
