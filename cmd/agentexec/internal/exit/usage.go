package exit

import (
	"errors"
	"fmt"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// UsageError is an error in how the command was called. cmd may be nil.
func UsageError(cmd *cobra.Command, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if cmd != nil {
		err = fmt.Errorf("%w; see: %s --help", err, cmd.CommandPath())
	}
	return &Error{Code: CodeUsage, Err: err}
}

// FlagError returns what is wrong with a flag, in fewer words than pflag, and the name that was probably meant.
func FlagError(cmd *cobra.Command, err error) error {
	var (
		invalid *pflag.InvalidValueError
		unknown *pflag.NotExistError
	)
	switch {
	case errors.As(err, &invalid):
		return UsageError(cmd, "--%s: %s", invalid.GetFlag().Name, reasonFor(invalid))
	case errors.As(err, &unknown) && strings.Trim(unknown.GetSpecifiedShortnames(), "0123456789.") == "" && unknown.GetSpecifiedShortnames() != "":
		return UsageError(cmd, "-%s is no flag: put -- before a negative number", unknown.GetSpecifiedShortnames())
	case errors.As(err, &unknown):
		if meant := nearFlag(cmd, unknown.GetSpecifiedName()); meant != "" {
			return UsageError(cmd, "%s, did you mean --%s?", err, meant)
		}
	}
	return UsageError(cmd, "%s", err)
}

// reasonFor returns the reason that a flag gave, after the value where the reason does not begin with a quoted value.
func reasonFor(invalid *pflag.InvalidValueError) string {
	reason := invalid.Unwrap().Error()
	if strings.HasPrefix(reason, `"`) {
		return reason
	}
	return fmt.Sprintf("%.100q %s", invalid.GetValue(), reason)
}

// nearFlag returns the flag of a command whose name begins with this one, or differs by a letter or two; "" for none.
func nearFlag(cmd *cobra.Command, name string) (near string) {
	const most = 2
	least := most + 1
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		d := levenshtein.ComputeDistance(name, flag.Name)
		if len(name) > 2 && strings.HasPrefix(flag.Name, name) {
			d = 0
		}
		if d < least && d < len(name)-1 {
			near, least = flag.Name, d
		}
	})
	return near
}
