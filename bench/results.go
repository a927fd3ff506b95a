package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// table is a result as Markdown.
type table struct {
	title string
	note  string
	head  []string
	rows  [][]string
}

func (t table) String() string {
	widths := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n", t.title)
	if t.note != "" {
		fmt.Fprintf(&b, "%s\n\n", t.note)
	}
	line := func(cells []string) {
		for i, cell := range cells {
			fmt.Fprintf(&b, "| %-*s ", widths[i], cell)
		}
		b.WriteString("|\n")
	}
	line(t.head)
	rule := make([]string, len(t.head))
	for i := range rule {
		rule[i] = strings.Repeat("-", widths[i])
	}
	line(rule)
	for _, row := range t.rows {
		line(row)
	}
	return b.String()
}

// keep puts a measure's tables into the results file, in the place of its earlier ones.
func keep(file string, m measure, o options, tables []table) error {
	old, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		old = []byte("# Results\n\nRatios are between contenders that took turns in one run; absolute numbers are this machine's.\n")
	} else if err != nil {
		return err
	}
	begin, end := "<!-- "+m.name+" -->\n", "<!-- /"+m.name+" -->\n"
	var b strings.Builder
	fmt.Fprintf(&b, "%s## %s\n\n%s. `%s %s`, %s, %s.\n\n", begin, m.name, m.about, o.command,
		m.name, time.Now().UTC().Format(time.DateOnly), machine())
	for _, t := range tables {
		fmt.Fprintf(&b, "%s\n", t)
	}
	b.WriteString(end)
	before, rest, found := strings.Cut(string(old), begin)
	if found {
		_, after, _ := strings.Cut(rest, end)
		return os.WriteFile(file, []byte(before+b.String()+after), 0o644)
	}
	return os.WriteFile(file, []byte(strings.TrimRight(before, "\n")+"\n\n"+b.String()), 0o644)
}

// machine says where the numbers come from.
func machine() string {
	cpu := "unknown processor"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
				cpu = strings.TrimSpace(value)
				break
			}
		}
	} else if out, err := exec.Command("sysctl", "-n", "machdep.cpu.brand_string").Output(); err == nil {
		cpu = strings.TrimSpace(string(out))
	}
	return fmt.Sprintf("%d cores (%s), %s/%s, %s, %s", runtime.NumCPU(), cpu, runtime.GOOS, runtime.GOARCH, runtime.Version(), postgresVersion)
}
