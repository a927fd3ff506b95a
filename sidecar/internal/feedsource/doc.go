// Package feedsource serves the feed's reads for a subscription: snapshots, replays, lists and counts. It implements
// wsfeed.Source with one statement for each, in the scope of the subscriber.
//
// May import: internal/pgurl, pkg/client, wsfeed.
package feedsource
