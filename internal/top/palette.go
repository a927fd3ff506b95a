package top

import (
	"image/color"

	"charm.land/lipgloss/v2"
)

// palette are the colours of the screen: one for each state, and for what is less important.
type palette struct {
	states                  [len(looks)]color.Color
	muted, selected, accent color.Color
	warning                 color.Color
}

// unknownBackground has the colours of the terminal itself, which its user has chosen for the background. It is used until the
// terminal has said what that is.
var unknownBackground = palette{
	states: [len(looks)]color.Color{
		queued: lipgloss.BrightBlack, running: lipgloss.Blue, stopping: lipgloss.Red, waiting: lipgloss.Magenta, silent: lipgloss.Yellow,
		complete: lipgloss.Green, failed: lipgloss.Red, canceled: lipgloss.BrightBlack,
	},
	muted: lipgloss.BrightBlack, accent: lipgloss.Blue, warning: lipgloss.Yellow,
}

// paletteFor returns the colours of the dashboard for a dark or a light background.
func paletteFor(dark bool) palette {
	pick := func(light, onDark string) color.Color {
		return lipgloss.LightDark(dark)(lipgloss.Color(light), lipgloss.Color(onDark))
	}
	return palette{
		states: [len(looks)]color.Color{
			queued:   pick("#59626d", "#9aa3ae"),
			running:  pick("#1a5fd0", "#7eb0ff"),
			stopping: pick("#a8420f", "#ffa273"),
			waiting:  pick("#6a3ec2", "#bfa3ff"),
			silent:   pick("#8a5200", "#f0b34a"),
			complete: pick("#0f7040", "#5fcf95"),
			failed:   pick("#bd232b", "#ff8f89"),
			canceled: pick("#6a635d", "#a8a199"),
		},
		muted:    pick("#626b76", "#8d96a1"),
		selected: pick("#e8f0fe", "#152442"),
		accent:   pick("#1a5fd0", "#7eb0ff"),
		warning:  pick("#8a5200", "#f0b34a"),
	}
}

// ink returns the style of a text in a colour.
func ink(c color.Color) lipgloss.Style { return lipgloss.NewStyle().Foreground(c) }

// muted returns the style of what is less important.
func (p palette) faint() lipgloss.Style { return ink(p.muted) }

// of returns the style of a state.
func (p palette) of(s state) lipgloss.Style { return ink(p.states[s]) }

var bold = lipgloss.NewStyle().Bold(true)
