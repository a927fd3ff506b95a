package main

import "runtime/debug"

// version is set by the linker where the source comes without git; else Go has read it from there.
var version = ""

// currentVersion is the linker's, or what the go command read from git: a tag, or one made of the commit, with +dirty
// where files were changed. It is devel where there was no git, and under go run.
func currentVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
