package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagError says what is wrong with a flag in fewer words than pflag, and which one was probably meant.
func flagError(cmd *cobra.Command, err error) error {
	var (
		invalid *pflag.InvalidValueError
		unknown *pflag.NotExistError
	)
	switch {
	case errors.As(err, &invalid):
		return usageError(cmd, "--%s: %s", invalid.GetFlag().Name, reasonFor(invalid))
	case errors.As(err, &unknown):
		if meant := nearFlag(cmd, unknown.GetSpecifiedName()); meant != "" {
			return usageError(cmd, "%s, did you mean --%s?", err, meant)
		}
	}
	return usageError(cmd, "%s", err)
}

// reasonFor is the reason a flag gave, behind the value where the reason does not begin with it, or with a part of it.
func reasonFor(invalid *pflag.InvalidValueError) string {
	reason := invalid.Unwrap().Error()
	if strings.HasPrefix(reason, `"`) {
		return reason
	}
	return fmt.Sprintf("%.100q %s", invalid.GetValue(), reason)
}

// nearFlag is the flag of a command whose name begins with this one, or differs by a letter or two; "" where there is none.
func nearFlag(cmd *cobra.Command, name string) (near string) {
	const most = 2
	least := most + 1
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		d := distance(name, flag.Name)
		if len(name) > 2 && strings.HasPrefix(flag.Name, name) {
			d = 0
		}
		if d < least && d < len(name)-1 {
			near, least = flag.Name, d
		}
	})
	return near
}

// distance is how many letters have to be added, taken away or changed to make one word of the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			changed := diagonal
			if a[i] != b[j] {
				changed++
			}
			diagonal = row[j+1]
			row[j+1] = min(changed, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
